"""The network of "appearance": two codes become one map of colours and three gains of detail."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug.stylizers.appearance_code import CODE, AppearanceEncoder
from styleaug.stylizers.detail import REACH, STEPS, amplify_detail, bordered

_UNITS = 12
_HIDDEN = 256
_PIXELS = 2**16
"""Pixels that are painted at once on a CPU: what is made of them on the way stays in its cache."""


class AppearanceNetwork(nn.Module):
    """Paints images as others were made: the code of the image and that of a style go in.

    The image's detail is amplified band by band; then every pixel goes through one map of colours,
    an affine one and 12 ramps. Equal colours in equal surroundings come out equal wherever they
    are, so no cloud and no halo wider than `REACH` can arise. Map and gains are a difference of
    two predictions, one for (image, style), one for (image, image): an image in its own code stays
    as it is.

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
            nn.Linear(3 * CODE, _HIDDEN),
            nn.GELU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.GELU(),
            last,
        )
        ramps = torch.randn(_UNITS, 4) * torch.tensor([1.5, 1.5, 1.5, 0.75])
        self.ramps = nn.Parameter(ramps)

    def forward(self, images: Tensor, code: Tensor) -> Tensor:
        """Return painted images ``(B, 3, H, W)``, which may leave [0, 1]; B codes ``(B, 96)``."""
        return self.painted(images, self.encoder(images), code)

    def painted(self, images: Tensor, own: Tensor, code: Tensor) -> Tensor:
        """Return painted images, whose own codes ``(B, 96)`` are at hand."""
        return paint(images, *self.mapping(own, code))

    def mapping(self, own: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return gains, affine map, ramps and what each ramp adds.

        Args:
            own: ``(B, 96)`` codes of the images.
            code: ``(B, 96)`` codes of the styles.

        Returns:
            ``(B, 3)``, ``(B, 3, 4)``, ``(B, 12, 4)`` and ``(B, 3, 12)``; the fourth column of a map
            is its offset, colours are counted from 0.5.
        """
        asked = torch.cat([own, code, code - own], dim=1)
        kept = torch.cat([own, own, torch.zeros_like(own)], dim=1)
        there, here = self.predictor(torch.stack([asked, kept]))
        gains, affine, ramps, added = (there - here).split(_SIZES, dim=1)
        identity = torch.eye(3, 4, device=own.device, dtype=affine.dtype)
        return (
            gains.clamp(-1.6, 1.6).exp(),
            identity + affine.view(-1, 3, 4),
            self.ramps + ramps.view(-1, _UNITS, 4),
            added.view(-1, 3, _UNITS),
        )


_SIZES = (len(STEPS), 3 * 4, _UNITS * 4, 3 * _UNITS)


def paint(images: Tensor, gains: Tensor, affine: Tensor, ramps: Tensor, added: Tensor) -> Tensor:
    """Amplify detail and map colours, strip by strip.

    Args:
        images: ``(B, 3, H, W)``.
        gains: ``(B, 3)``.
        affine: ``(B, 3, 4)``.
        ramps: ``(B, 12, 4)``.
        added: ``(B, 3, 12)``.
    """
    whole = torch.is_grad_enabled() or torch.compiler.is_compiling()
    if whole or images.device.type != "cpu":
        return map_colors(amplify_detail(bordered(images), gains), affine, ramps, added)
    out = torch.empty_like(images)
    height, width = images.shape[2:]
    strip = max(REACH, _PIXELS // width)
    for row, top in product(range(len(images)), range(0, height, strip)):
        one, rows = slice(row, row + 1), slice(top, min(top + strip, height))
        part = amplify_detail(_bordered_rows(images[one], rows), gains[one])
        out[one, :, rows] = map_colors(part, affine[one], ramps[one], added[one])
    return out


def map_colors(images: Tensor, affine: Tensor, ramps: Tensor, added: Tensor) -> Tensor:
    """Send every colour through its image's affine map and ramps; arguments as in `paint`."""
    colors = images.flatten(2)
    out = torch.baddbmm(_offset(affine) + 0.5, affine[:, :, :3], colors)
    lit = torch.baddbmm(_offset(ramps), ramps[:, :, :3], colors).relu_()
    return torch.baddbmm(out, added, lit).view_as(images)


def _offset(matrix: Tensor) -> Tensor:
    """Return the offset of a map of colours that are counted from 0.5."""
    return matrix[:, :, 3:] - 0.5 * matrix[:, :, :3].sum(dim=2, keepdim=True)


def _bordered_rows(images: Tensor, rows: slice) -> Tensor:
    """Return some rows with a border, from the image where it has one."""
    height = images.shape[2]
    top, bottom = max(0, rows.start - REACH), min(height, rows.stop + REACH)
    part = images[:, :, top:bottom]
    missing = (REACH - (rows.start - top), REACH - (bottom - rows.stop))
    return F.pad(part, (REACH, REACH, *missing), mode="replicate")
