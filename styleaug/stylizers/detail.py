"""Bands of detail at full resolution, and filters that multiply each band by a gain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = (1, 2, 4)
"""Distances of the taps, in pixels; a band holds the detail between two of them."""

REACH = sum(STEPS)
"""Largest distance of pixels that influence a filtered pixel."""


def amplify_detail(image: Tensor, gains: Tensor) -> Tensor:
    """Multiply each band of the grey's detail by a gain; coarser structures are unchanged.

    The bands are those of the mean of the channels, and all channels change by the same amount:
    sharpness is of light more than of hue, and that costs a third. Bands are differences of
    binomial filters ``[1, 2, 1] / 4`` with taps 1, 2 and 4 pixels apart. With gains of 1 the result
    is the image, up to rounding.

    Args:
        image: ``(B, C, H, W)``.
        gains: ``(B, 3)``, the finest band first.

    Returns:
        ``(B, C, H, W)``.

    Source:
        The undecimated wavelets "a trous" of Holschneider et al., 1989, with a linear spline.

    Example:
        >>> image = torch.rand(1, 3, 40, 40)
        >>> same = amplify_detail(image, torch.ones(1, 3))
        >>> torch.allclose(same, image, atol=1e-6)
        True
    """
    return image + detail_change(bordered_grey(image), gains)


def detail_change(grey: Tensor, gains: Tensor) -> Tensor:
    """Return what gains of detail add to every channel, ``(B, 1, H, W)``.

    Args:
        grey: ``(B, 1, H + 2 * REACH, W + 2 * REACH)``: the mean of the channels, with a border.
        gains: ``(B, 3)``, the finest band first.
    """
    first, *rest = _weights(gains)
    change = _inner(grey, REACH) * (first - 1.0)
    smoother, margin = grey, REACH
    for step, weight in zip(STEPS, rest, strict=True):
        smoother, margin = _smooth(_smooth(smoother, step, 2), step, 3), margin - step
        change = change.addcmul_(_inner(smoother, margin), weight)
    return change


def bordered_grey(image: Tensor) -> Tensor:
    """Return the mean of the channels, with a border of `REACH` pixels that repeats the rim."""
    return F.pad(image.mean(dim=1, keepdim=True), (REACH,) * 4, mode="replicate")


def _weights(gains: Tensor) -> Sequence[Tensor]:
    """Return the weights of the image and of its three smoothed copies, which sum to 1."""
    columns = [gains[:, index].view(-1, 1, 1, 1) for index in range(gains.shape[1])]
    ends = [torch.zeros_like(columns[0]), *columns, torch.ones_like(columns[0])]
    return [after - before for before, after in itertools.pairwise(ends)]


def _smooth(image: Tensor, step: int, axis: int) -> Tensor:
    """Return the binomial filter along an axis where its taps are inside."""
    length = image.shape[axis] - 2 * step
    left, middle, right = (image.narrow(axis, place, length) for place in (0, step, 2 * step))
    return torch.add(left, right).mul_(0.25).add_(middle, alpha=0.5)


def _inner(image: Tensor, margin: int) -> Tensor:
    return image[..., margin : image.shape[2] - margin, margin : image.shape[3] - margin]
