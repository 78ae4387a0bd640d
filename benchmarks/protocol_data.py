"""The data of the three studies of Stylizing ViT, and of a fourth, from where the user put them.

Each function takes the folder and the side of the images and returns the data sets "train", "val"
and "test", whose items are ``(image, label)``, uint8 ``(3, S, S)`` and int.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

Splits = dict[str, Dataset]
PARTITIONS = ("benign", "malignant", "non-neoplastic")


class Files(Dataset):
    """Images by file and label."""

    def __init__(self, items: Iterable[tuple[Path, int]], size: int) -> None:
        self.items, self.size = list(items), size

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.items[index]
        with Image.open(path) as picture:
            return _square(picture, self.size), label


class Listed(Dataset):
    """Images of a data set that gives PIL images and labels, and perhaps more."""

    def __init__(self, dataset: Sequence, size: int) -> None:
        self.dataset, self.size = dataset, size

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture, label, *_ = self.dataset[index]
        return _square(picture, self.size), int(label)


def camelyon17(root: Path, size: int) -> Splits:
    """Camelyon17-WILDS with its own splits: three hospitals, a fourth, a fifth.

    ``root`` is the folder of ``camelyon17_v1.0``; it is read by the package `wilds`.
    """
    from wilds import get_dataset

    whole = get_dataset("camelyon17", root_dir=str(root), download=False)
    return {name: Listed(whole.get_subset(name), size) for name in ("train", "val", "test")}


def epithelium_stroma(root: Path, size: int) -> Splits:
    """Epithelium and stroma: trained on NKI, validated on VGH, tested on IHC.

    ``root`` holds ``NKI``, ``VGH`` and ``IHC``, each with ``epithelium`` and ``stroma``.
    """
    cohorts = {"train": "NKI", "val": "VGH", "test": "IHC"}
    return {
        split: Files(
            (
                (path, label)
                for label, kind in enumerate(("epithelium", "stroma"))
                for path in sorted((root / cohort / kind).iterdir())
            ),
            size,
        )
        for split, cohort in cohorts.items()
    }


def fitzpatrick17k(root: Path, size: int) -> Splits:
    """Skin: trained on Fitzpatrick types 1 and 2, validated on 3 and 4, tested on 5 and 6.

    ``root`` holds ``fitzpatrick17k.csv`` and ``images/<md5hash>.jpg``. Rows of unknown type, and
    rows without an image, are left out; the label is the partition in three.
    """
    with (root / "fitzpatrick17k.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, list[tuple[Path, int]]] = {"train": [], "val": [], "test": []}
    for row in rows:
        kind = int(row.get("fitzpatrick_scale") or row.get("fitzpatrick") or -1)
        path = root / "images" / f"{row['md5hash']}.jpg"
        if 1 <= kind <= 6 and path.exists():
            split = ("train", "val", "test")[(kind - 1) // 2]
            found[split].append((path, PARTITIONS.index(row["three_partition_label"])))
    return {split: Files(items, size) for split, items in found.items()}


def white_cells(root: Path, size: int) -> Splits:
    """White blood cells in four classes, a laboratory for each split, in place of data at hand.

    ``root`` holds ``index_cls.csv`` with the columns ``image`` (a path in ``root``), ``domain`` and
    ``label``. Trained on `WHITE_CELLS`' first laboratory, validated on the second, tested on the
    third. Basophils are left out, which not all of them have.
    """
    with (root / "index_cls.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in CELLS]
    return {
        split: Files(
            [(root / r["image"], CELLS.index(r["label"])) for r in rows if r["domain"] == domain],
            size,
        )
        for split, domain in WHITE_CELLS.items()
    }


WHITE_CELLS = {"train": "bccd", "val": "cellavision", "test": "jtsc"}
CELLS = ("eosinophil", "lymphocyte", "monocyte", "neutrophil")

STUDIES: dict[str, tuple[Callable[[Path, int], Splits], int]] = {
    "camelyon17": (camelyon17, 2),
    "epithelium-stroma": (epithelium_stroma, 2),
    "fitzpatrick17k": (fitzpatrick17k, 3),
    "white-cells": (white_cells, len(CELLS)),
}
"""The loader of every study, and the number of its classes."""


def _square(picture: Image.Image, size: int) -> Tensor:
    resized = v2.functional.resize(
        v2.functional.pil_to_tensor(picture.convert("RGB")), [size, size], antialias=True
    )
    return resized.to(torch.uint8)
