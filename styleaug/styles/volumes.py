"""Choice of the slices of a volume that become styles."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from styleaug._checks import check_count
from styleaug._draws import id_keys
from styleaug.images.batch import Images

Slices: TypeAlias = "int | Literal['all'] | None"

_DRAWN = 8
"""Number of slices drawn from a volume for stylizers that are not pointwise."""
_SEEN = 16
"""Largest number of slices that describe a volume."""


def check_slices(slices: Slices) -> None:
    """Raise ``ValueError`` unless ``slices`` is a number from 1 on, "all" or None."""
    if slices not in (None, "all"):
        check_count("slices", slices)


def style_images(
    images: Images, path: Path, slices: Slices, seed: int, *, whole: bool
) -> list[tuple[str, Images]]:
    """Return the parts of a file that become styles, with their names.

    Slices of a single value, such as air, are left out unless all are like that.

    Args:
        images: One image or volume.
        path: Its file; its name is part of the names of the styles and of the seed.
        slices: Number of slices, "all", or None.
        seed: Seed of the draw.
        whole: Whether None means the whole volume.

    Example:
        >>> import torch
        >>> volume = Images(torch.rand(1, 1, 5 * 40, 50), lambda batch: batch, depth=5)
        >>> [name for name, _ in style_images(volume, Path("ct.nii"), 2, 0, whole=True)]
        ['ct.nii#0', 'ct.nii#4']
    """
    name = path.as_posix()
    if images.depth == 1 or (slices is None and whole):
        return [(name, images)]
    cut = images.batch.unflatten(2, (images.depth, -1))
    rows = [row for row in range(images.depth) if cut[:, :, row].amin() < cut[:, :, row].amax()]
    rows = rows or list(range(images.depth))
    count = len(rows) if slices == "all" else min(slices or _DRAWN, len(rows))
    key = int(id_keys(seed, [path.name])[0])
    drawn = np.random.default_rng(key).choice(len(rows), count, replace=False)
    picked = sorted(rows[index] for index in drawn)
    return [(f"{name}#{row}", images.some_slices([row])) for row in picked]


def spread(depth: int) -> list[int]:
    """Return the numbers of the slices that describe a volume, evenly spaced.

    Example:
        >>> spread(3), spread(64)[:3]
        ([0, 1, 2], [2, 6, 10])
    """
    count = min(depth, _SEEN)
    return [int((index + 0.5) * depth / count) for index in range(count)]
