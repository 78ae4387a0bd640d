"""Stylizing ViT for inference: the style stream once per style, the content stream once per image.

Same function as `StylizingViTNetwork`, rearranged by exact identities:

* Keys and values of the stylization come from the style stream alone, so they are computed when
  a style is encoded. They are those of the style stream's own self attention.
* The anatomy stream depends on the content alone, so many styles of one content share it, and with
  it the queries of the re-anchoring.
* Last style and re-anchored tokens are not used and not computed, those of anatomy only where the
  content is to be repeated: 45 of 48 blocks are needed, 34 with a style encoded before.
* The scales and shifts of a norm go into the linear layers behind it, so that the norms before
  queries and before keys and values are one. A bias of the keys shifts all scores of a query alike
  and is dropped; that of the values passes through the attention and joins the output's bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug.stylizers.vit.attention import attend
from styleaug.stylizers.vit.network import (
    NORM_EPS,
    Block,
    StylizingViTNetwork,
    position_table,
    tokens_to_pixels,
)
from styleaug.stylizers.vit.packed_linear import PackedLinear


class KeysValues(NamedTuple):
    """Keys and values of one layer, both ``(B, heads, N, channels)``."""

    keys: Tensor
    values: Tensor


class Anchor(NamedTuple):
    """One layer of the anatomy stream, and its queries."""

    tokens: Tensor  # (B, N, width)
    query: Tensor  # (B, heads, N, channels)


class _Layer(NamedTuple):
    query: PackedLinear
    keys_values: PackedLinear
    out: PackedLinear
    fc1: PackedLinear
    fc2: PackedLinear


class StylizingViTEngine:
    """Frozen weights of a network in the fastest form for one device.

    Args:
        network: Source of the weights; not changed.
        device: Device of the computation.
        dtype: Data type of the computation; norm and softmax statistics are always float32.
        compile: Compile the block that all layers and streams share.
        packed: Prepack the weights where this is faster; compilers cannot trace it.
    """

    def __init__(
        self,
        network: StylizingViTNetwork,
        device: torch.device,
        dtype: torch.dtype,
        *,
        compile: bool = False,  # noqa: A002
        packed: bool = True,
    ) -> None:
        self.config, self.dtype = network.config, dtype
        self._device, self._packed = device, packed and not compile
        self._block = torch.compile(_block, dynamic=False) if compile else _block
        encoder = network.encoder
        embed = encoder.patch_embed.proj
        self._embed = self._linear(embed.weight.flatten(1), embed.bias)
        self._first = self._placed(encoder.cls_token + encoder.pos_embed[:, :1])
        self._positions = encoder.pos_embed.detach().to(device)
        self._layers = [self._layer(cast(Block, block)) for block in encoder.blocks]
        self._fc1 = self._linear(*_behind_norm(encoder.norm, network.bottleneck.fc1))
        self._fc2 = self._linear(network.bottleneck.fc2.weight, network.bottleneck.fc2.bias)
        self._smoothing = network.post_process_conv.weight.detach().to(device)

    def tokens(self, images: Tensor) -> Tensor:
        """Return ``(B, 1 + patches, width)`` of normalised images ``(B, 3, H, W)``."""
        size = self.config.patch
        grid = images.shape[2] // size, images.shape[3] // size
        split = images.unflatten(3, (grid[1], size)).unflatten(2, (grid[0], size))
        patches = split.permute(0, 2, 4, 1, 3, 5).reshape(images.shape[0], grid[0] * grid[1], -1)
        table = position_table(self._positions, grid)[:, 1:].to(self.dtype)
        embedded = self._embed(patches.to(self.dtype)).add_(table)
        return torch.cat([self._first.expand(images.shape[0], -1, -1), embedded], dim=1)

    def style_layers(self, tokens: Tensor) -> Iterator[Tensor]:
        """Yield, layer by layer, the normalised tokens for keys and values."""
        for index, layer in enumerate(self._layers):
            normed = _norm(tokens)
            yield normed
            if index + 1 < len(self._layers):
                context = self.keys_values(index, normed)
                tokens = self._block(layer, tokens, self._query(index, normed), context)

    def keys_values(self, index: int, normed: Tensor) -> KeysValues:
        """Return keys and values of one layer from normalised tokens."""
        both = self._layers[index].keys_values(normed)  # (B, N, 2 * width)
        keys, values = both.unflatten(-1, (2, self.config.heads, -1)).permute(2, 0, 3, 1, 4)
        return KeysValues(keys, values)

    def content_layers(self, tokens: Tensor) -> Iterator[Anchor]:
        """Yield the anatomy stream after 0, 1 … L - 1 layers."""
        normed = _norm(tokens)
        yield Anchor(tokens, query := self._query(0, normed))
        for index, layer in enumerate(self._layers[:-1]):
            if index > 0:
                query = self._query(index, normed)
            tokens = self._block(layer, tokens, query, self.keys_values(index, normed))
            normed = _norm(tokens)
            yield Anchor(tokens, self._query(index, normed))

    def stylized(self, anchors: Iterable[Anchor], styles: Iterable[KeysValues]) -> Tensor:
        """Return the final tokens of the stylization stream.

        Args:
            anchors: What `content_layers` yields, for as many images as there are styles.
            styles: Keys and values of each layer.
        """
        steps = iter(anchors)
        tokens, query = next(steps)
        for index, (layer, style) in enumerate(zip(self._layers, styles, strict=True)):
            tokens = self._block(layer, tokens, query, style)
            if index + 1 < len(self._layers):
                anchor = next(steps)
                context = self.keys_values(index, _norm(tokens))
                tokens = self._block(layer, anchor.tokens, anchor.query, context)
                query = self._query(index + 1, _norm(tokens))
        return tokens

    def repeated(self, tokens: Tensor) -> Tensor:
        """Return the final tokens of the anatomy stream, whose image repeats the content.

        Args:
            tokens: Those of the last of `content_layers`.
        """
        index, normed = len(self._layers) - 1, _norm(tokens)
        context, query = self.keys_values(index, normed), self._query(index, normed)
        return self._block(self._layers[index], tokens, query, context)

    def pixels(self, tokens: Tensor, grid: Sequence[int]) -> Tensor:
        """Return normalised images ``(B, 3, H, W)`` in float32; ``grid`` counts patches (h, w)."""
        hidden = self._fc1(_norm(tokens[:, 1:]), activation="gelu")
        patches = tokens_to_pixels(self._fc2(hidden).float(), grid, self.config.patch)
        return F.conv2d(patches, self._smoothing, padding=self._smoothing.shape[-1] // 2)

    def _query(self, index: int, normed: Tensor) -> Tensor:
        query = self._layers[index].query(normed)
        queries: Tensor = query.unflatten(-1, (self.config.heads, -1)).transpose(1, 2)
        return queries

    def _layer(self, block: Block) -> _Layer:
        attention, mlp = block.attn, block.mlp
        query, query_bias = _behind_norm(block.norm_input, attention.q_proj)
        keys, _ = _behind_norm(block.norm_context, attention.k_proj)
        values, values_bias = _behind_norm(block.norm_context, attention.v_proj)
        out = attention.out_proj
        scale = (self.config.width // self.config.heads) ** -0.5
        return _Layer(
            query=self._linear(query * scale, query_bias * scale),
            keys_values=self._linear(torch.cat([keys, values]), None),
            out=self._linear(out.weight, out.weight @ values_bias + out.bias),
            fc1=self._linear(*_behind_norm(block.norm_input, mlp.fc1)),
            fc2=self._linear(mlp.fc2.weight, mlp.fc2.bias),
        )

    def _linear(self, weight: Tensor, bias: Tensor | None) -> PackedLinear:
        placed = None if bias is None else self._placed(bias)
        return PackedLinear(self._placed(weight), placed, packed=self._packed)

    def _placed(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._device, self.dtype)


def _block(layer: _Layer, tokens: Tensor, query: Tensor, context: KeysValues) -> Tensor:
    attended = layer.out(attend(query, *context), residual=tokens)
    hidden = layer.fc1(_norm(attended), activation="gelu")
    return layer.fc2(hidden, residual=attended)


def _norm(tokens: Tensor) -> Tensor:
    return F.layer_norm(tokens, tokens.shape[-1:], eps=NORM_EPS)


def _behind_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return weight and bias of ``linear(norm(x))`` as a function of the bare normalised x."""
    return linear.weight * norm.weight, linear.weight @ norm.bias + linear.bias
