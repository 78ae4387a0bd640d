"""Labelled images of several domains (laboratories, stains, scanners), all of one size."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from styleaug.evaluation.scores import read_sized


@dataclass(frozen=True)
class Samples:
    """Images with their labels.

    Attributes:
        images: ``(N, 3, S, S)`` in [0, 1].
        targets: int64 ``(N,)`` classes, or ``(N, S, S)`` masks.
        domains: Domain of every image.
        classes: Names of the classes; of a mask, the background first.
    """

    images: Tensor
    targets: Tensor
    domains: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Sequence[int] | Tensor) -> Samples:
        """Return some of the samples."""
        rows = torch.as_tensor(rows)
        names = tuple(self.domains[row] for row in rows.tolist())
        return Samples(self.images[rows], self.targets[rows], names, self.classes)

    def of(self, domains: Collection[str]) -> Samples:
        """Return the samples of some domains."""
        return self.take([row for row, name in enumerate(self.domains) if name in domains])

    def split(self, share: float, seed: int) -> tuple[Samples, Samples]:
        """Return a random share of every domain, and the rest before it."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self), generator=generator).tolist()
        held: list[int] = []
        for domain in dict.fromkeys(self.domains):
            rows = [row for row in order if self.domains[row] == domain]
            held += rows[: max(1, round(share * len(rows)))]
        kept = sorted(set(order) - set(held))
        return self.take(kept), self.take(sorted(held))


def read_classes(
    index: Path, size: int, *, domain: str = "domain", leave_out: Collection[str] = ()
) -> Samples:
    """Read images with a class each.

    Args:
        index: CSV file with the columns ``image`` (relative to it), ``label``, and the domain.
        size: Side that images are scaled to.
        domain: Column of the domain.
        leave_out: Labels that are left out.
    """
    rows = [row for row in _rows(index) if row["label"] not in leave_out]
    classes = tuple(sorted({row["label"] for row in rows}))
    images = torch.stack([_image(index.parent / row["image"], size) for row in rows])
    targets = torch.tensor([classes.index(row["label"]) for row in rows])
    return Samples(images, targets, tuple(row[domain] for row in rows), classes)


def read_masks(
    index: Path, size: int, *, domain: str = "domain", classes: Sequence[str]
) -> Samples:
    """Read images with a mask each.

    Args:
        index: CSV file with the columns ``image`` and ``mask`` (relative to it), and the domain.
        size: Side that images and masks are scaled to.
        domain: Column of the domain.
        classes: Names of the values of the masks; with two, every value but 0 is the second, so
            that masks of instances serve as they are.
    """
    rows = _rows(index)
    images = torch.stack([_image(index.parent / row["image"], size) for row in rows])
    masks = torch.stack([_mask(index.parent / row["mask"], size, len(classes)) for row in rows])
    return Samples(images, masks, tuple(row[domain] for row in rows), tuple(classes))


def read_content(path: Path) -> Tensor:
    """Return an image as float32 RGB ``(1, 3, H, W)`` in [0, 1]."""
    with Image.open(path) as picture:
        array = np.asarray(picture.convert("RGB"))
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 255.0


def read_square(path: Path, size: int) -> Tensor:
    """Return the middle square of an image, scaled, ``(1, 3, size, size)`` in [0, 1]."""
    image = read_sized(path, 2 * size)
    side = min(image.shape[2:])
    top, left = ((length - side) // 2 for length in image.shape[2:])
    square = image[..., top : top + side, left : left + side]
    return F.interpolate(square, (size, size), mode="bilinear", antialias=True).clamp(0, 1)


def _rows(index: Path) -> list[dict[str, str]]:
    with index.open(newline="") as file:
        return list(csv.DictReader(file))


def _image(path: Path, size: int) -> Tensor:
    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255.0


def _mask(path: Path, size: int, classes: int) -> Tensor:
    with Image.open(path) as picture:
        values = np.asarray(picture)
    values = (values > 0) if classes == 2 else values
    small = Image.fromarray(values.astype(np.uint8)).resize((size, size), Image.Resampling.NEAREST)
    return torch.from_numpy(np.asarray(small).astype(np.int64))
