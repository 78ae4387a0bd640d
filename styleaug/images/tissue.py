"""Tissue masks: everything but empty glass, air and black frames."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug._checks import check_choice
from styleaug.images.checks import check_images, check_unit_range

Background: TypeAlias = Literal["white", "black"]

BACKGROUNDS = ("white", "black")
ALL_TISSUE, NO_TISSUE = -1.0, 2.0
"""Thresholds that everything, or nothing, lies beyond."""
RADIUS = 8
REACH = 2 * RADIUS + 2
"""How far a pixel of the mask sees: two means of the guided filter, and one before the cut."""
_LEVELS = 64
_SEPARATED = 0.75
"""Smallest share of the variance that two classes must explain."""
_EMPTY = 0.12
"""Largest distance of the mean of an empty class from white or black."""
_LEAST = 0.05
"""Smallest share of each class."""


def tissue_mask(
    images: Tensor, *, background: Background = "white", radius: int = RADIUS
) -> Tensor:
    """Return a soft mask of tissue: 0 is empty glass, air or black, 1 is tissue.

    Otsu's threshold splits the distance from white or black, image by image; a guided filter makes
    the mask soft and aligns it with the edges of the image. If there are no two classes, or the
    emptier one is not nearly white or black, everything is tissue.

    Args:
        images: float ``(B, 3, H, W)`` in [0, 1], RGB, not normalised.
        background: What is empty: "white" (bright field) or "black" (CT, X-ray, endoscopy).
        radius: Radius of the guided filter, in pixels.

    Returns:
        float32 ``(B, 1, H, W)`` in [0, 1].

    Raises:
        ValueError: If shapes, values or ``background`` do not fit.

    Example:
        >>> glass = torch.full((1, 3, 64, 64), 0.95)
        >>> glass[..., :32] = torch.tensor([0.7, 0.3, 0.6]).view(1, 3, 1, 1)
        >>> mask = tissue_mask(glass)
        >>> mask[0, 0, 32, 4].round().item(), mask[0, 0, 32, 60].round().item()
        (1.0, 0.0)

    Source:
        Otsu, "A threshold selection method from gray-level histograms", IEEE SMC 1979; He, Sun &
        Tang, "Guided image filtering", TPAMI 2013.
    """
    check_images("images", images)
    check_unit_range("images", images)
    check_choice("background", background, BACKGROUNDS)
    threshold = tissue_threshold(images, background)
    whole = torch.where(threshold < NO_TISSUE, threshold, ALL_TISSUE)
    return tissue_beyond(images, whole, background, radius)


def tissue_threshold(images: Tensor, background: Background = "white") -> Tensor:
    """Return how far from white or black tissue begins, picture by picture, by Otsu's threshold.

    Args:
        images: float ``(B, 3, H, W)`` in [0, 1], RGB.
        background: As in `tissue_mask`.

    Returns:
        float32 ``(B,)``; `ALL_TISSUE` where there are no two classes or the emptier one is not
        empty, `NO_TISSUE` where the picture is empty as a whole.

    Example:
        >>> tissue_threshold(torch.tensor([0.97, 0.4]).view(2, 1, 1, 1).expand(2, 3, 9, 9))
        tensor([ 2., -1.])
    """
    distance = _distance(images, background)
    threshold, found = _otsu(box_mean(distance, 2))
    empty = distance.flatten(1).mean(1) < _EMPTY
    one = torch.where(empty, NO_TISSUE, ALL_TISSUE)
    return torch.where(found, threshold, one)


def tissue_beyond(
    images: Tensor, threshold: Tensor, background: Background = "white", radius: int = RADIUS
) -> Tensor:
    """Return the soft mask of what is further from white or black than a threshold.

    A pixel depends on what is nearer than `REACH` (at the default radius), so that parts of a
    picture come out as the whole does.

    Args:
        images: float ``(B, 3, H, W)`` in [0, 1], RGB.
        threshold: ``(B,)``, as `tissue_threshold` gives it.
        background: As in `tissue_mask`.
        radius: Of the guided filter, in pixels.

    Returns:
        float32 ``(B, 1, H, W)`` in [0, 1].

    Example:
        >>> grey = torch.full((1, 3, 32, 32), 0.4)
        >>> tissue_beyond(grey, torch.tensor([0.2])).unique()
        tensor([1.])
    """
    distance, level = _distance(images, background), threshold.view(-1, 1, 1, 1)
    cut = (box_mean(distance, 2) > level).float()
    soft = guided_filter(distance, cut, radius)
    return torch.where((level > ALL_TISSUE) & (level < NO_TISSUE), soft, cut)


def _distance(images: Tensor, background: Background) -> Tensor:
    """Return how far every pixel is from white, or from black, ``(B, 1, H, W)``."""
    images = images.float()
    if background == "white":
        return 1.0 - images.amin(1, keepdim=True)
    return images.amax(1, keepdim=True)


def guided_filter(guide: Tensor, image: Tensor, radius: int, eps: float = 1e-3) -> Tensor:
    """Smooth an image while keeping the edges of a guide image; the result is in [0, 1].

    Args:
        guide: float ``(B, 1, H, W)`` whose edges count.
        image: float ``(B, 1, H, W)`` in [0, 1] to smooth.
        radius: Half the side of the windows, in pixels.
        eps: Variance of the guide below which nothing is an edge.

    Example:
        >>> step = (torch.arange(32) > 15).float().expand(1, 1, 32, 32)
        >>> bool((guided_filter(step, step, 4) - step).abs().max() < 0.01)
        True

    Source:
        He, Sun & Tang, "Guided image filtering", TPAMI 2013, equations 5, 6 and 8.
    """
    mean_guide, mean = box_mean(guide, radius), box_mean(image, radius)
    covariance = box_mean(guide * image, radius) - mean_guide * mean
    variance = box_mean(guide * guide, radius) - mean_guide.square()
    slope = covariance / (variance.clamp_min(0.0) + eps)
    offset = mean - slope * mean_guide
    return (box_mean(slope, radius) * guide + box_mean(offset, radius)).clamp_(0.0, 1.0)


def box_mean(image: Tensor, radius: int) -> Tensor:
    """Return means over squares that are cropped at the border of the image.

    Args:
        image: float ``(B, C, H, W)``.
        radius: Half the side of the squares, in pixels.

    Example:
        >>> box_mean(torch.ones(1, 1, 5, 5), 2).unique().tolist()
        [1.0]
    """
    radius = min(radius, (min(image.shape[2:]) - 1) // 2)
    side = 2 * radius + 1
    return F.avg_pool2d(image, side, stride=1, padding=radius, count_include_pad=False)


def _otsu(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(B,)`` thresholds, and whether they separate tissue from an empty class."""
    share = _histograms(distance) / distance[0].numel()
    levels = (torch.arange(_LEVELS, device=distance.device) + 0.5) / _LEVELS
    below, sums = share.cumsum(1), (share * levels).cumsum(1)
    total = sums[:, -1:]
    between = (total * below - sums).square() / (below * (1.0 - below)).clamp_min(1e-6)
    best = between.argmax(1, keepdim=True)
    variance = (share * (levels - total).square()).sum(1, keepdim=True)
    under = below.gather(1, best)
    empty = sums.gather(1, best) / under.clamp_min(1e-6)
    separated = between.gather(1, best) > _SEPARATED * variance
    found = separated & (empty < _EMPTY) & (under > _LEAST) & (under < 1.0 - _LEAST)
    return (best[:, 0] + 1.0) / _LEVELS, found[:, 0]


def _histograms(distance: Tensor) -> Tensor:
    """Return how many pixels of each image ``(B, 1, H, W)`` are on each level, ``(B, levels)``."""
    if not torch.compiler.is_compiling():
        return torch.stack([torch.histc(image, _LEVELS, 0.0, 1.0) for image in distance])
    # the same, for any number of images in one graph; outside of one it takes twice as long
    levels = (distance.flatten(1) * _LEVELS).long().clamp_(0, _LEVELS - 1)
    empty = torch.zeros(len(distance), _LEVELS, device=distance.device)
    return empty.scatter_add_(1, levels, torch.ones_like(levels, dtype=empty.dtype))
