"""Pairs of content and style crops from folders of images."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from styleaug._draws import fold_in, id_keys
from styleaug.images.batch import to_content
from styleaug.images.checks import check_sides
from styleaug.images.files import find_images
from styleaug.images.opening import open_image

_MAX_TRIES = 20


class PairDataset(Dataset[dict[str, Tensor]]):
    """Pairs of crops, indexed by a number; the same number gives the same pair in every run.

    Therefore a run that is resumed at step n gets the same pairs as without the interruption, with
    any number of workers, and ranks never share a pair.

    All folders are drawn from equally often, whatever their number of images; one that is named
    twice is drawn from twice as often.

    Args:
        content: Folders or files of content images.
        style: Folders or files of style images.
        size: Side of the crops in pixels.
        same_kind: Share of the pairs with both images from the same content folder.
        alike: Whether both crops of a pair come from one image, or from two of one group, at one
            scale; style images are not used then.
        group: Regular expression that finds the group in a path; see `TrainConfig`.
        seed: Seed of the pairs.
        rank: Number of this process.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If a folder holds no image, or ``group`` is not a regular expression.
    """

    def __init__(
        self,
        content: Sequence[str],
        style: Sequence[str],
        *,
        size: int,
        same_kind: float = 0.0,
        alike: bool = False,
        group: str = "",
        seed: int = 0,
        rank: int = 0,
    ) -> None:
        self.content = [find_images([folder]) for folder in content]
        self.style = [find_images([folder]) for folder in style]
        self.size, self.same_kind, self.alike = size, same_kind, alike
        self.seed, self.rank = seed, rank
        self._groups = _grouped(self.content, group)
        self._read = ImageCache()

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return the pair of crops ``(3, size, size)`` with a number."""
        keys = fold_in(id_keys(self.seed, [number]), self.rank + 1)
        rng = np.random.default_rng(int(keys[0]))
        if self.alike:
            return self._alike(rng)
        contents, styles = self.content, self.style
        if self.same_kind and rng.random() < self.same_kind:
            contents = styles = [contents[int(rng.integers(len(contents)))]]
        content, skipped = self._drawn(contents, rng)
        style, more = self._drawn(styles, rng)
        first, second = (random_crop(image, self.size, rng)[0] for _, image in (content, style))
        return _pair(first, second, skipped + more)

    def _alike(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return two crops of one appearance with different contents."""
        (path, image), skipped = self._drawn(self.content, rng)
        group = self._groups.get(path, [path])
        other = image
        if len(group) > 1 and rng.random() < _OTHER_IMAGE:
            (_, other), more = self._drawn([group], rng)
            skipped += more
        scale = random_scale(rng)
        content = scaled_crop(image, self.size, scale, rng)
        style = scaled_crop(other, self.size, scale, rng)
        if rng.random() < _UNLIKE:
            others = [scaled_crop(other, self.size, scale, rng) for _ in range(2)]
            style = max([style, *others], key=lambda crop: unlikeness(crop, content))
        return _pair(content[0], style[0], skipped)

    def _drawn(
        self, folders: Sequence[Sequence[Path]], rng: np.random.Generator
    ) -> tuple[tuple[Path, Tensor], int]:
        """Return a random image with its path, and how many broken files were skipped."""
        for tries in range(_MAX_TRIES):
            paths = folders[int(rng.integers(len(folders)))]
            path = paths[int(rng.integers(len(paths)))]
            try:
                images = self._read(path)
                slices = len(images)  # of a volume: one of them is drawn
                row = int(rng.integers(slices)) if slices > 1 else 0
                return (path, images[row : row + 1]), tries
            except (OSError, ValueError, TypeError) as error:
                warnings.warn(f"skipped {path}: {error}", stacklevel=2)
        raise ValueError(f"{_MAX_TRIES} images in a row could not be read, the last was {path}.")


_OTHER_IMAGE = 0.7
"""Probability that the style comes from another image of the group, if there is one."""
_UNLIKE = 0.7
"""Probability that the style is the least similar one of three crops."""


class ImageCache:
    """Reads images, and caches the first ones in memory.

    Args:
        most: Largest size of the cache in bytes.
    """

    def __init__(self, most: int = 2**30) -> None:
        self._kept: dict[Path, Tensor] = {}
        self._left = most

    def __call__(self, path: Path) -> Tensor:
        """Return an image ``(1, C, H, W)`` or slices ``(D, C, H, W)``: uint8, or in [0, 1]."""
        batch = self._kept.get(path)
        if batch is None:
            batch = open_image(path).images.sliced().batch
            check_sides("image", batch, 32)
            if batch.nbytes <= self._left:
                self._kept[path], self._left = batch, self._left - batch.nbytes
        return batch


def _pair(content: Tensor, style: Tensor, skipped: int) -> dict[str, Tensor]:
    return {"content": content, "style": style, "skipped": torch.tensor(skipped)}


def _grouped(folders: Sequence[Sequence[Path]], group: str) -> dict[Path, list[Path]]:
    """Return for every path the paths of its group."""
    if not group:
        return {}
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ValueError(f"group must be a regular expression, got {group!r}: {error}.") from error
    groups: dict[str, list[Path]] = {}
    for path in dict.fromkeys(path for folder in folders for path in folder):
        found = pattern.search(str(path))
        if found:
            groups.setdefault(found[0], []).append(path)
    return {path: paths for paths in groups.values() for path in paths}


def unlikeness(image: Tensor, other: Tensor) -> float:
    """Return the difference of crops ``(1, 3, H, W)`` in mean colour and share of bright pixels."""
    colors = (image.mean(dim=(2, 3)) - other.mean(dim=(2, 3))).abs().sum()
    bright = (image.mean(dim=1) > 0.8).float().mean() - (other.mean(dim=1) > 0.8).float().mean()
    return float(colors + 2.0 * bright.abs())


def pair_loader(
    dataset: PairDataset, first: int, last: int, batch_size: int, workers: int
) -> DataLoader[dict[str, Tensor]]:
    """Return the batches of the pairs ``first`` ... ``last - 1``, in order."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=range(first, last),
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def random_crop(image: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Return a crop ``(1, 3, size, size)`` at a random place and scale, flipped and turned.

    Args:
        image: ``(1, C, H, W)``, bytes or floats in [0, 1].
        size: Side of the crop.
        rng: Source of randomness.
    """
    shortest = min(image.shape[2:])
    side = int(min(shortest, max(size * rng.uniform(0.5, 2.0), min(shortest, 32))))
    return _square(image, side, size, rng)


def random_scale(rng: np.random.Generator) -> float:
    """Return how many image pixels become one pixel of a crop: with probability 0.5 just one."""
    return 1.0 if rng.random() < 0.5 else float(2.0 ** rng.uniform(-0.5, 1.5))


def scaled_crop(image: Tensor, size: int, scale: float, rng: np.random.Generator) -> Tensor:
    """Return a crop ``(1, 3, size, size)`` at a random place, flipped and turned.

    Args:
        image: ``(1, C, H, W)``, bytes or floats in [0, 1].
        size: Side of the crop.
        scale: Image pixels per pixel of the crop; reduced if the image is too small.
        rng: Source of randomness.
    """
    shortest = min(image.shape[2:])
    side = min(round(size * scale), max(min(shortest, 32), round(_MOST * shortest)))
    return _square(image, side, size, rng)


def _square(image: Tensor, side: int, size: int, rng: np.random.Generator) -> Tensor:
    """Return a random square of an image as floats, scaled, rotated and flipped."""
    top = int(rng.integers(image.shape[2] - side + 1))
    left = int(rng.integers(image.shape[3] - side + 1))
    crop = to_content(image[..., top : top + side, left : left + side])
    if side != size:
        crop = F.interpolate(crop, (size, size), mode="bilinear", antialias=True).clamp(0.0, 1.0)
    turned = torch.rot90(crop, int(rng.integers(4)), (2, 3))
    return (turned.flip(3) if rng.random() < 0.5 else turned).contiguous()


_MOST = 0.75
"""Largest share of an image's side that is cropped, so that two crops differ."""
