"""Painting images of any size with a network that was trained on squares of one size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Paint: TypeAlias = Callable[[Tensor], Tensor]
"""Takes images ``(B, 3, h, w)``, returns ``(B * S, 3, h, w)``: S paintings of each, in order."""


def paint_resampled(images: Tensor, paint: Paint, size: int) -> Tensor:
    """Paint at ``(size, size)`` and put the detail that resampling loses back.

    Args:
        images: ``(B, 3, H, W)``.
        paint: What paints squares.
        size: Side of the squares.

    Returns:
        ``(B * S, 3, H, W)``: the painting, enlarged, plus what the content loses on the way down
        and up again. Where the images are squares of that size, it is the painting itself.

    Example:
        >>> image = torch.rand(1, 3, 50, 70)
        >>> torch.allclose(paint_resampled(image, lambda x: x, 32), image, atol=1e-6)
        True
    """
    if not torch.compiler.is_compiling() and images.shape[2:] == (size, size):
        return paint(images)
    small = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    detail = images - _enlarged(small, images)
    painted = _enlarged(paint(small), images)
    return painted + detail.repeat_interleave(painted.shape[0] // images.shape[0], 0)


def paint_tiles(images: Tensor, paint: Paint, size: int, *, overlap: int) -> Tensor:
    """Paint overlapping squares and blend them.

    Args:
        images: ``(B, 3, H, W)``.
        paint: What paints squares. Sides shorter than ``size`` are painted whole.
        size: Side of the squares.
        overlap: Least pixels that neighbours share; they cross-fade over them smoothly.

    Returns:
        ``(B * S, 3, H, W)``.

    Example:
        >>> image = torch.rand(1, 3, 80, 48)
        >>> torch.allclose(paint_tiles(image, lambda x: x, 32, overlap=8), image, atol=1e-6)
        True
    """
    height, width = (min(side, size) for side in images.shape[2:])
    window = _window(height, overlap, images)[:, None] * _window(width, overlap, images)
    total = images.new_zeros(())
    weight = images.new_zeros(images.shape[2:])
    for top in tile_starts(images.shape[2], height, overlap):
        for left in tile_starts(images.shape[3], width, overlap):
            rows, columns = slice(top, top + height), slice(left, left + width)
            painted = paint(images[:, :, rows, columns])
            if total.ndim == 0:
                total = images.new_zeros(len(painted), *images.shape[1:])
            total[:, :, rows, columns] += painted * window
            weight[rows, columns] += window
    return total.div_(weight)


def tile_starts(side: int, tile: int, overlap: int) -> list[int]:
    """Return where evenly spaced tiles start that cover a side with at least ``overlap``.

    Example:
        >>> tile_starts(500, 224, 64)
        [0, 138, 276]
    """
    steps = math.ceil((side - tile) / (tile - overlap))
    return [round(step * (side - tile) / steps) for step in range(steps + 1)] if steps else [0]


def _window(side: int, overlap: int, like: Tensor) -> Tensor:
    """Return weights that rise smoothly over ``overlap`` pixels from both ends."""
    centres = torch.arange(side, device=like.device, dtype=like.dtype) + 0.5
    ramp = (torch.minimum(centres, side - centres) / overlap).clamp_(max=1.0)
    return torch.sin(ramp * (math.pi / 2)).square_()


def _enlarged(images: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(images, like.shape[2:], mode="bilinear", align_corners=False)
