"""Masks and label maps that come with images, as soft weights that keep to the edges."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from styleaug.images.tissue import RADIUS, guided_filter

AnyRegions: TypeAlias = "Tensor | np.ndarray | Image.Image"


def as_regions(regions: AnyRegions, shape: tuple[int, int, int], classes: int) -> Tensor:
    """Return a mask or a label map per image as a batch.

    Args:
        regions: Tensors ``(B, 1, H, W)`` or ``(B, H, W)``, and ``(1, H, W)`` or ``(H, W)`` of one
            image; arrays ``(H, W)``, ``(H, W, 1)``, ``(N, H, W)`` or ``(N, H, W, 1)``; a PIL image.
            bool or whole numbers from 0, which is no region, to ``classes``; other floats in
            [0, 1] are weights, of one class.
        shape: Number, height and width of the images.
        classes: How many there are.

    Returns:
        ``(B, 1, H, W)``: int64 labels, or float32 weights.

    Raises:
        TypeError: If it is of another kind.
        ValueError: If shapes, labels or weights do not fit.

    Example:
        >>> as_regions(np.eye(32, dtype=bool), (1, 32, 32), 1).shape
        torch.Size([1, 1, 32, 32])
    """
    if isinstance(regions, Image.Image):
        regions = np.asarray(regions)
    if not isinstance(regions, Tensor | np.ndarray):
        raise TypeError(
            f"regions must be a mask or a label map, a tensor or an array, got "
            f"{type(regions).__name__}."
        )
    given = tuple(regions.shape)
    if isinstance(regions, np.ndarray):
        plain = regions.squeeze(-1) if regions.ndim > 2 and given[-1] == 1 else regions
        whole = plain.astype(np.int64) if plain.dtype.kind in "ui" else plain
        regions = torch.from_numpy(np.require(whole, requirements=["C", "W"]))
    count, height, width = shape
    fitting = {(count, height, width), (count, 1, height, width)}
    if tuple(regions.shape) not in fitting | ({(height, width)} if count == 1 else set()):
        raise ValueError(
            f"regions must hold one map per image, {shape} (B, H, W), got shape {given}."
        )
    return _checked(regions.reshape(count, 1, height, width), classes)


def class_maps(regions: Tensor, classes: int) -> Tensor:
    """Return a map of every class, float32 ``(B, K, H, W)``: 1 where the labels say so.

    Args:
        regions: ``(B, 1, H, W)``, as `as_regions` gives them; weights are their own map.
        classes: How many there are, K.

    Example:
        >>> class_maps(torch.tensor([0, 2]).view(1, 1, 1, 2), 2).flatten(1).tolist()
        [[0.0, 0.0, 0.0, 1.0]]
    """
    if regions.is_floating_point():
        return regions
    return F.one_hot(regions[:, 0], classes + 1).movedim(-1, 1)[:, 1:].float()


def region_weights(images: Tensor, regions: Tensor, classes: int) -> Tensor:
    """Return how much every pixel belongs to every class, along the edges of the pictures.

    Labels are softened by a guided filter; weights are taken as they are.

    Args:
        images: float ``(B, 3, H, W)`` in [0, 1].
        regions: ``(B, 1, H, W)``, as `as_regions` gives them.
        classes: How many there are, K.

    Returns:
        float32 ``(B, K, H, W)`` of at least 0 that add up to 1 at most.

    Example:
        >>> labels = torch.zeros(1, 1, 32, 32, dtype=torch.long)
        >>> labels[..., 16:] = 2
        >>> weights = region_weights(torch.rand(1, 3, 32, 32), labels, 2)
        >>> weights[0, :, 4, [2, 30]].round().tolist()
        [[0.0, 0.0], [0.0, 1.0]]

    Source:
        He, Sun & Tang, "Guided image filtering", TPAMI 2013, on the maps of the labels.
    """
    maps = class_maps(regions, classes)
    if regions.is_floating_point():
        return maps
    guide, every = images.float().mean(1, keepdim=True), [(regions == 0).float(), *maps.split(1, 1)]
    soft = torch.cat([guided_filter(guide, one, RADIUS) for one in every], dim=1)
    return (soft / soft.sum(1, keepdim=True).clamp_min(1e-6))[:, 1:]


def _checked(batch: Tensor, classes: int) -> Tensor:
    if batch.is_floating_point() and not bool((batch == batch.round()).all()):
        batch = batch.float()
        inside = bool(((batch >= 0.0) & (batch <= 1.0)).all())
        if classes > 1 or not inside:
            raise ValueError(
                f"regions in floating point are weights in [0, 1] of one class, got {classes} "
                f"classes and values from {_seen(batch)}. Give label maps as integers."
            )
        return batch
    labels = batch.long()
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) <= classes:
        raise ValueError(
            f"regions must hold labels from 0 (no region) to {classes}, got {_seen(labels)}. Of a "
            "mask of 0 and 255 give mask > 0; of more classes, their number as region=."
        )
    return labels


def _seen(batch: Tensor) -> str:
    low, high = (value.item() for value in (batch.min(), batch.max()))
    return f"{low:g} to {high:g}"


def check_region(region: Any) -> str | int:
    """Return what a region may be, or raise.

    Raises:
        ValueError: If it is none of `REGIONS` and no number of classes.

    Example:
        >>> check_region("tissue"), check_region(3)
        ('tissue', 3)
    """
    if isinstance(region, int) and not isinstance(region, bool) and region >= 1:
        return region
    if region in REGIONS:
        return str(region)
    raise ValueError(
        f"region must be one of {list(REGIONS)}, or the number of classes of the masks or label "
        f"maps that are given as regions= (1: a mask), got {region!r}."
    )


REGIONS = {"tissue": "white", "tissue-on-black": "black"}
"""Names of regions that are found in the picture, and what is empty there."""
