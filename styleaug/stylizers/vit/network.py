"""The network of Stylizing ViT as it is trained: three streams of tokens through one set of blocks.

Written from the paper, for training and as the readable form of what `engine` computes faster.
Parameter names are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ViTConfig:
    """Shape of a Stylizing ViT.

    Attributes:
        width: Channels of a token; a multiple of ``6 * patch``, which the decoder needs.
        heads: Attention heads.
        depth: Layers.
        mlp_ratio: Hidden channels of the MLPs, as a multiple of ``width``.
        patch: Side of a patch in pixels.
        image_size: Side in pixels of the square images it is trained on.

    Raises:
        ValueError: If the sizes do not divide each other.
    """

    width: int
    heads: int
    depth: int = 12
    mlp_ratio: int = 4
    patch: int = 16
    image_size: int = 224

    def __post_init__(self) -> None:
        for name, value, unit in (
            ("width", self.width, 6 * self.patch),
            ("width", self.width, self.heads),
            ("image_size", self.image_size, self.patch),
        ):
            if value % unit:
                raise ValueError(f"{name} must be a multiple of {unit}, got {value}.")

    @property
    def side(self) -> int:
        """Patches along one side of a training image."""
        return self.image_size // self.patch


CONFIGS = {"tiny": ViTConfig(192, 3), "small": ViTConfig(384, 6), "base": ViTConfig(768, 12)}
"""The published sizes."""

NORM_EPS = 1e-6


class Streams(NamedTuple):
    """Final tokens ``(B, 1 + patches, width)`` of the three streams."""

    anatomy: Tensor
    style: Tensor
    stylized: Tensor


class StylizingViTNetwork(nn.Module):
    """Anatomy, style and stylization streams, and the decoder that turns tokens into images.

    Works on normalised images. For layers l = 1 … L, with one block ``B_l(x, y)`` (queries from
    x, keys and values from y) shared by all streams::

        A_l = B_l(A_{l-1}, A_{l-1})      anatomy
        S_l = B_l(S_{l-1}, S_{l-1})      style
        T_l = B_l(F_{l-1}, S_{l-1})      stylization
        F_l = B_l(A_l, T_l)              re-anchoring on the anatomy

    Args:
        config: Shape of the network.

    Source:
        Doerrich, Di Salvo, Alle & Ledig, "Stylizing ViT: Anatomy-Preserving Instance Style
        Transfer for Domain Generalization", ISBI 2026, arXiv 2601.17586.

    Example:
        >>> network = StylizingViTNetwork(ViTConfig(96, 3, depth=2, image_size=64))
        >>> network(torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64)).shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.width * config.mlp_ratio
        self.encoder = Encoder(config)
        self.bottleneck = Mlp(config.width, hidden)
        self.post_process_conv = nn.Conv2d(3, 3, 5, padding=2, bias=False)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Return ``content`` in the style of ``style``, both ``(B, 3, H, W)`` and normalised."""
        streams = self.streams(content, style)
        return self.decode(streams.stylized, _grid(content, self.config.patch))

    def streams(self, content: Tensor, style: Tensor) -> Streams:
        """Return the final tokens of all three streams, as the training losses need them."""
        return Streams(*self.encoder(content, style))

    def repeat(self, images: Tensor, *, blocks: bool = True) -> Tensor:
        """Return normalised images as the anatomy stream alone repeats them.

        Args:
            images: ``(B, 3, H, W)``.
            blocks: Whether the blocks take part, or only the embedding and the decoder.
        """
        tokens = self.encoder.tokens(images)
        for block in self.encoder.blocks if blocks else ():
            tokens = block(tokens, tokens)
        return self.decode(self.encoder.norm(tokens), _grid(images, self.config.patch))

    def decode(self, tokens: Tensor, grid: Sequence[int]) -> Tensor:
        """Return the images ``(B, 3, H, W)`` of final tokens; ``grid`` counts patches (h, w)."""
        pixels = tokens_to_pixels(self.bottleneck(tokens)[:, 1:], grid, self.config.patch)
        images: Tensor = self.post_process_conv(pixels)
        return images


class PatchEmbed(nn.Module):
    """Patches of an image as tokens."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch, stride=config.patch)

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(B, width, h, w)`` of images ``(B, 3, H, W)``."""
        patches: Tensor = self.proj(images)
        return patches


class Encoder(nn.Module):
    """The blocks, run over three streams."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width = config.width
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.pos_embed = nn.Parameter(sincos_position_table(width, config.side))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, NORM_EPS)
        self.apply(_initialise)

    def forward(self, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the final tokens of the anatomy, style and stylization streams."""
        anatomy, styled = self.tokens(content), self.tokens(style)
        anchored, stylized = anatomy, anatomy
        for layer, block in enumerate(self.blocks, 1):
            stylized = block(anchored, styled)
            anatomy, styled = block(anatomy, anatomy), block(styled, styled)
            if layer < len(self.blocks):
                anchored = block(anatomy, stylized)
        return self.norm(anatomy), self.norm(styled), self.norm(stylized)

    def empty_blocks(self) -> None:
        """Set the last layer of both branches of every block to zero, so that none adds anything.

        Training from there starts as an autoencoder of patches (Goyal et al. 2017, section 5.1, do
        so with the last normalisation of residual branches).
        """
        for name, parameter in self.blocks.named_parameters():
            if "out_proj" in name or "fc2" in name:
                nn.init.zeros_(parameter)

    def tokens(self, images: Tensor) -> Tensor:
        """Return ``(B, 1 + patches, width)`` with the positions added."""
        patches = self.patch_embed(images)
        table = position_table(self.pos_embed, patches.shape[2:])
        cls = self.cls_token.expand(len(images), -1, -1)
        return torch.cat([cls, patches.flatten(2).transpose(1, 2)], dim=1) + table


class Block(nn.Module):
    """Attention and MLP, for self attention (context = tokens) and cross attention alike."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm_input = nn.LayerNorm(config.width, NORM_EPS)
        self.norm_context = nn.LayerNorm(config.width, NORM_EPS)
        self.attn = Attention(config.width, config.heads)
        self.mlp = Mlp(config.width, config.width * config.mlp_ratio)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Return tokens ``(B, N, width)`` after attending to a context ``(B, M, width)``."""
        tokens = tokens + self.attn(self.norm_input(tokens), self.norm_context(context))
        mixed: Tensor = tokens + self.mlp(self.norm_input(tokens))  # the same norm serves twice
        return mixed


class Attention(nn.Module):
    """Multi-head attention with separate queries and context."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Return ``(B, N, width)``."""
        query, key, value = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, channels)
            for projected in (self.q_proj(tokens), self.k_proj(context), self.v_proj(context))
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return projected


class Mlp(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``(B, N, width)``."""
        mixed: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return mixed


def tokens_to_pixels(tokens: Tensor, grid: Sequence[int], patch: int) -> Tensor:
    """Multiply the two halves of every token into a patch, and put the patches in place.

    Args:
        tokens: ``(B, h * w, width)``; the first half of the channels is ``(3, patch, r)``, the
            second ``(3, r, patch)``. Their product ``(3, patch, patch)`` of rank r is read as
            rows, columns, channels ``(patch, patch, 3)``, as the published weights expect.
        grid: Patches (h, w).
        patch: Side of a patch in pixels.

    Returns:
        ``(B, 3, h * patch, w * patch)``.
    """
    batch, _, width = tokens.shape
    rank = width // (6 * patch)
    left, right = tokens.chunk(2, dim=-1)
    patches = left.reshape(-1, 3, patch, rank) @ right.reshape(-1, 3, rank, patch)
    placed = patches.view(batch, *grid, patch, patch, 3).permute(0, 5, 1, 3, 2, 4)
    return placed.reshape(batch, 3, grid[0] * patch, grid[1] * patch)


def position_table(table: Tensor, grid: Sequence[int]) -> Tensor:
    """Return the positional table ``(1, 1 + h * w, width)`` for a grid of patches.

    The trained table is used unchanged for the trained grid, and interpolated (bicubic) for others.
    """
    side = int((table.shape[1] - 1) ** 0.5)
    if not torch.compiler.is_compiling() and tuple(grid) == (side, side):
        return table
    square = table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2).float()
    resized = F.interpolate(square, tuple(grid), mode="bicubic", align_corners=False)
    return torch.cat([table[:, :1], resized.flatten(2).transpose(1, 2).to(table)], dim=1)


def sincos_position_table(width: int, side: int) -> Tensor:
    """Return the 2-D sine-cosine table ``(1, 1 + side², width)`` that training starts from.

    The first half of the channels encodes the column, the second the row, as in MAE; the row of
    the class token is zero.
    """
    quarter = width // 4
    frequencies = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, width / 2)
    columns = waves.repeat(side, 1)
    rows = waves.repeat_interleave(side, 0)
    table = torch.cat([columns, rows], dim=1)
    return F.pad(table, (0, 0, 1, 0))[None].float()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))


def _grid(images: Tensor, patch: int) -> tuple[int, int]:
    return images.shape[2] // patch, images.shape[3] // patch
