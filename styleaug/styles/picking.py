"""Choice of the images of a dataset that become styles: random ones or representative ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from styleaug.images.batch import as_images, to_content
from styleaug.styles.medoids import find_medoids

Describe = Callable[[Tensor], Tensor]
"""Turns images ``(B, 3, H, W)`` in [0, 1] into vectors ``(B, K)``."""


class DatasetImages(Sequence[Any]):
    """The images of a dataset, or of some of its rows, read on access.

    Args:
        dataset: Its items are images, tuples that start with one, or dicts with the key "image".
        rows: Which items; None takes all.

    Example:
        >>> len(DatasetImages([(torch.rand(3, 32, 32), 1)] * 5, [0, 3]))
        2
    """

    def __init__(self, dataset: Any, rows: Sequence[int] | None = None) -> None:
        self.dataset = dataset
        self.rows = range(len(dataset)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return _image(self.dataset[self.rows[index]])


def pick_rows(
    dataset: Any,
    count: int | None,
    per_domain: int | None,
    domains: Sequence[Hashable] | None,
    describe: Describe | None,
    *,
    seed: int,
    progress: bool,
) -> dict[Hashable, list[int]]:
    """Return the picked rows, grouped by the label of their domain.

    Args:
        dataset: As in `DatasetImages`.
        count: How many to pick in total; None takes all, unless ``per_domain`` is given.
        per_domain: How many to pick from each domain.
        domains: One label per item; None takes the items' entry "domain".
        describe: Pick the medoids of the vectors of this function; None draws at random.
        seed: Seed of the draw.
        progress: Show a progress bar while the dataset is read.

    Raises:
        ValueError: If there are too few images, both numbers are given, or the labels do not fit.
    """
    size = len(dataset)
    if count is not None and per_domain is not None:
        raise ValueError(f"give count or per_domain, got {count} and {per_domain}.")
    if domains is not None and len(domains) != size:
        raise ValueError(f"domains must hold {size} labels (the dataset), got {len(domains)}.")
    if count is not None and not 1 <= count <= size:
        raise ValueError(f"count must be between 1 and {size} (the dataset), got {count}.")
    wanted = per_domain if count is None else count
    labels, vectors = None if count is not None else domains, None
    ask_items = per_domain is not None and domains is None
    if wanted is not None and (describe is not None or ask_items):
        found, vectors = _survey(dataset, describe, progress=progress)
        labels = found if ask_items else labels
    groups = _grouped(labels or [""] * size)
    return {name: _picked(name, rows, wanted, vectors, seed) for name, rows in groups.items()}


def _survey(
    dataset: Any, describe: Describe | None, *, progress: bool
) -> tuple[list[Hashable], Tensor | None]:
    """Read every item once; return its domain and, if asked for, its vector."""
    labels: list[Hashable] = []
    vectors = []
    for row in track(range(len(dataset)), "reading the dataset", disable=not progress):
        item = dataset[row]
        labels.append(item.get("domain", "") if isinstance(item, dict) else "")
        if describe is not None:
            content = to_content(as_images(_image(item)).batch)
            vectors.append(describe_content(content, describe))
    return labels, torch.cat(vectors) if vectors else None


def describe_content(content: Tensor, describe: Describe) -> Tensor:
    """Return the vectors ``(B, K)`` of images ``(B, 3, H, W)``, float32 on the CPU.

    Raises:
        ValueError: If ``describe`` does not return one vector per image.
    """
    with torch.no_grad():
        vectors = describe(content)
    if vectors.ndim != 2 or len(vectors) != len(content):
        raise ValueError(
            f"describe must return ({len(content)}, K) for {len(content)} images, got "
            f"{tuple(vectors.shape)}."
        )
    return vectors.detach().float().cpu()


def _picked(
    name: Hashable, rows: list[int], wanted: int | None, vectors: Tensor | None, seed: int
) -> list[int]:
    if wanted is None:
        return rows
    if not 1 <= wanted <= len(rows):
        raise ValueError(
            f"per_domain must be between 1 and {len(rows)} (domain {name!r}), got {wanted}."
        )
    if vectors is not None:
        return [rows[place] for place in find_medoids(vectors[rows], wanted, seed=seed)]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    return sorted(rows[place] for place in order[:wanted])


def _grouped(labels: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for row, label in enumerate(labels):
        key = label.item() if isinstance(label, Tensor) else label
        groups.setdefault(key, []).append(row)
    return groups


def _image(item: Any) -> Any:
    if isinstance(item, dict):
        return item["image"]
    return item[0] if isinstance(item, tuple | list) else item
