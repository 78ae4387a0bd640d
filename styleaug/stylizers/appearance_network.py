"""The network of "appearance": two codes become one map of colours and three gains of detail."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn

from styleaug.stylizers.appearance_code import APPEARANCE, AppearanceEncoder
from styleaug.stylizers.appearance_fit import UNITS, ClassFit, Maps, Transport
from styleaug.stylizers.detail import REACH, STEPS, bordered_grey, detail_change

_HIDDEN = 512
_PIXELS = 2**16
"""Pixels that are painted at once on a CPU: what is made of them on the way stays in its cache."""


class AppearanceNetwork(nn.Module):
    """Paints images as others were made: the code of the image and that of a style go in.

    The image's detail is amplified band by band; then every pixel goes through one map of colours,
    an affine one and 12 ramps. Equal colours in equal surroundings come out equal wherever they
    are, so no cloud and no halo wider than `REACH` can arise. Map and gains are a difference of
    two predictions, one for (image, style), one for (image, image): an image in its own code stays
    as it is. Where two pictures show the same things, statistics of all colours take over, see
    `Transport`; what is missed at the colours of the classes that both codes know, `ClassFit` takes
    back.

    Source:
        One map of colours from a network that sees a thumbnail: Ke et al., Neural Preset, CVPR
        2023. Ramps in the place of their matrix, gains of detail and codes from other pictures are
        ours.

    Example:
        >>> network = AppearanceNetwork()
        >>> images = torch.rand(2, 3, 50, 70)
        >>> network(images, network.encoder(torch.rand(2, 3, 64, 64))).shape
        torch.Size([2, 3, 50, 70])
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = AppearanceEncoder()
        last = nn.Linear(_HIDDEN, sum(_SIZES))
        nn.init.normal_(last.weight, std=3e-3)
        nn.init.zeros_(last.bias)
        self.predictor = nn.Sequential(
            nn.Linear(3 * APPEARANCE, _HIDDEN),
            nn.GELU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.GELU(),
            last,
        )
        ramps = torch.randn(UNITS, 4) * torch.tensor([1.5, 1.5, 1.5, 0.75])
        self.ramps = nn.Parameter(ramps)
        self.transport = Transport()
        self.fit = ClassFit()

    def forward(self, images: Tensor, code: Tensor) -> Tensor:
        """Return painted images ``(B, 3, H, W)``, which may leave [0, 1]; B codes ``(B, 188)``."""
        return self.painted(images, self.encoder(images), code)

    def painted(self, images: Tensor, own: Tensor, code: Tensor) -> Tensor:
        """Return painted images, whose own codes ``(B, 188)`` are at hand."""
        return paint(images, *self.mapping(own, code))

    def mapping(self, own: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return gains of detail, affine maps, ramps and what each ramp adds.

        Args:
            own: ``(B, 188)`` codes of the images.
            code: ``(B, 188)`` codes of the styles.

        Returns:
            ``(B, 3)``, ``(B, 3, 4)``, ``(B, 12, 4)`` and ``(B, 3, 12)``; the fourth column of a map
            is its offset, colours are counted from 0.5.
        """
        gains, maps = self.predicted(own, code)
        return (gains, *self.fit(self.transport(maps, own, code), own, code))

    def predicted(self, own: Tensor, code: Tensor) -> tuple[Tensor, Maps]:
        """Return gains and maps as the predictor alone says; arguments as in `mapping`."""
        one, other = own[:, :APPEARANCE], code[:, :APPEARANCE]
        asked = torch.cat([one, other, other - one], dim=1)
        kept = torch.cat([one, one, torch.zeros_like(one)], dim=1)
        there, here = self.predictor(torch.stack([asked, kept]))
        gains, affine, ramps, added = (there - here).split(_SIZES, dim=1)
        identity = torch.eye(3, 4, device=own.device, dtype=affine.dtype)
        maps = (
            identity + affine.view(-1, 3, 4),
            self.ramps + ramps.view(-1, UNITS, 4),
            added.view(-1, 3, UNITS),
        )
        return gains.clamp(-1.6, 1.6).exp(), maps


_SIZES = (len(STEPS), 3 * 4, UNITS * 4, 3 * UNITS)


def paint(
    images: Tensor,
    gains: Tensor,
    affine: Tensor,
    ramps: Tensor,
    added: Tensor,
    alpha: Tensor | None = None,
) -> Tensor:
    """Amplify detail and map colours, strip by strip.

    Args:
        images: ``(B, 3, H, W)``.
        gains: ``(B, 3)``.
        affine: ``(B, 3, 4)``.
        ramps: ``(B, 12, 4)``.
        added: ``(B, 3, 12)``.
        alpha: ``(B,)`` how far to go from the images to what is painted; None goes all the way.
    """
    grey, maps = bordered_grey(images), (affine, ramps, added)
    whole = torch.is_grad_enabled() or torch.compiler.is_compiling()
    if whole or images.device.type != "cpu":
        painted = map_colors(images + detail_change(grey, gains), *maps)
        return painted if alpha is None else images.lerp(painted, alpha.view(-1, 1, 1, 1))
    out = torch.empty_like(images)
    height, width = images.shape[2:]
    strip = max(REACH, _PIXELS // width)
    for row, top in product(range(len(images)), range(0, height, strip)):
        one, bottom = slice(row, row + 1), min(top + strip, height)
        part = images[one, :, top:bottom]
        change = detail_change(grey[one, :, top : bottom + 2 * REACH], gains[one])
        painted = map_colors(part + change, *(each[one] for each in maps))
        out[one, :, top:bottom] = painted if alpha is None else part.lerp(painted, alpha[row])
    return out


def colorless(maps: Sequence[Tensor], grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return maps, those marked in ``grey`` ``(B,)`` with three equal channels.

    Args:
        maps: Affine map, ramps and what each ramp adds, as in `paint`.
        grey: Which images and styles are grey.
    """
    affine, ramps, added = maps
    affine, added = (
        torch.where(grey.view(-1, 1, 1), each.mean(dim=1, keepdim=True), each)
        for each in (affine, added)
    )
    return affine, ramps, added


def map_colors(images: Tensor, affine: Tensor, ramps: Tensor, added: Tensor) -> Tensor:
    """Send every colour through its image's affine map and ramps; arguments as in `paint`."""
    colors = images.flatten(2)
    out = torch.baddbmm(_offset(affine) + 0.5, affine[:, :, :3], colors)
    lit = torch.baddbmm(_offset(ramps), ramps[:, :, :3], colors).relu_()
    return torch.baddbmm(out, added, lit).view_as(images)


def _offset(matrix: Tensor) -> Tensor:
    """Return the offset of a map of colours that are counted from 0.5."""
    return matrix[:, :, 3:] - 0.5 * matrix[:, :, :3].sum(dim=2, keepdim=True)
