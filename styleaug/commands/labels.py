"""Labels of image files: a table beside them, or the names of their folders."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.images.files import read_image

FOLDERS = "folders"
"""What ``--labels`` says where the folder of an image names its class."""


@dataclass(frozen=True)
class Labels:
    """Labels and subgroups of image files.

    Attributes:
        classes: Names of the classes in the order of the model's columns; None where labels are
            numbers or masks.
        targets: Class of every file, or the path of its mask.
        groups: Subgroup of every file; empty without subgroups.
    """

    classes: tuple[str, ...] | None
    targets: dict[Path, int | Path]
    groups: dict[Path, str]


def read_labels(
    labels: str, files: Sequence[tuple[Path, Path]], classes: Sequence[str] | None
) -> Labels:
    """Read the labels of files.

    Args:
        labels: A CSV file with the columns ``file`` (as the file is named below its input, or its
            name alone) and ``label`` or ``mask`` (relative to the table), and optionally
            ``group``; or "folders".
        files: Files and their names below the input.
        classes: Names of the model's columns; None: the labels, sorted, unless they are numbers.

    Raises:
        FileNotFoundError: If the table is missing.
        ValueError: If a file has no label, or its label is not a class.
    """
    if labels == FOLDERS:
        texts = {path: path.parent.name for path, _ in files}
        return _as_classes(texts, classes, {})
    table = Path(labels)
    rows = _rows(table)
    found = {path: _row(rows, path, name, labels) for path, name in files}
    groups = {path: row["group"] for path, row in found.items() if row.get("group")}
    if groups and len(groups) != len(found):
        raise ValueError(f"--labels {labels!r} must give a group to all files or to none.")
    if all(row.get("mask") for row in found.values()):
        masks: dict[Path, int | Path] = {p: table.parent / row["mask"] for p, row in found.items()}
        return Labels(tuple(classes) if classes else None, masks, groups)
    texts = {path: row.get("label") or "" for path, row in found.items()}
    if missing := [path for path, text in texts.items() if not text]:
        raise ValueError(f"--labels {labels!r} must have a label or mask for {str(missing[0])!r}.")
    return _as_classes(texts, classes, groups)


def read_mask(path: Path, size: tuple[int, int]) -> Tensor:
    """Return a mask of class numbers ``(H, W)``, resized to the size of its image.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is in colour.
    """
    pixels = read_image(path).pixels
    if pixels.ndim == 3:
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if pixels.ndim != 2:
        raise ValueError(f"a mask must be grey, of class numbers, {str(path)!r} is in colour.")
    values = torch.from_numpy(pixels.astype("int32")).float()[None, None]
    return F.interpolate(values, size, mode="nearest-exact")[0, 0].long()


def _rows(table: Path) -> dict[str, dict[str, str]]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or "file" not in rows[0] or not {"label", "mask"} & set(rows[0]):
        head = list(rows[0]) if rows else []
        raise ValueError(
            f"--labels must be a table with the columns file and label or mask, {str(table)!r} has "
            f"{head}."
        )
    return {row["file"]: row for row in rows}


def _row(rows: dict[str, dict[str, str]], path: Path, name: Path, labels: str) -> dict[str, str]:
    for key in (name.as_posix(), path.as_posix(), path.name):
        if key in rows:
            return rows[key]
    raise ValueError(f"--labels {labels!r} must have a row for {name.as_posix()!r}.")


def _as_classes(
    texts: dict[Path, str], classes: Sequence[str] | None, groups: dict[Path, str]
) -> Labels:
    """Return labels as numbers of columns."""
    if classes is None and all(text.isdigit() for text in texts.values()):
        return Labels(None, {path: int(text) for path, text in texts.items()}, groups)
    names = tuple(classes) if classes else tuple(sorted(set(texts.values())))
    unknown = sorted(set(texts.values()) - set(names))
    if unknown:
        raise ValueError(f"--classes must name all labels, {unknown} are not of {list(names)}.")
    return Labels(names, {path: names.index(text) for path, text in texts.items()}, groups)
