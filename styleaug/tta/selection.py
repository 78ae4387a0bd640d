"""Choice of the styles of a bank for a test image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from styleaug._draws import id_keys, uniforms
from styleaug.styles.bank import StyleBank

Select: TypeAlias = (
    Literal["random", "nearest", "farthest"] | Callable[[Tensor, StyleBank, int], Tensor]
)
SELECTS = ("random", "nearest", "farthest")


def random_styles(ids: Sequence[int | str], total: int, count: int, seed: int) -> Tensor:
    """Return ``(B, count)`` distinct style ids; they depend on the sample's id and the seed only.

    Example:
        >>> random_styles(["a", "b", "a"], 5, 2, seed=0)[[0]].equal(
        ...     random_styles(["b", "a"], 5, 2, seed=0)[[1]]
        ... )
        True
    """
    return torch.from_numpy(uniforms(id_keys(seed, ids), total).argsort(axis=1)[:, :count])


def closest_styles(vectors: Tensor, bank: StyleBank, count: int, *, farthest: bool) -> Tensor:
    """Return ``(B, count)`` ids of the styles at the smallest or largest Euclidean distance.

    Args:
        vectors: ``(B, K)`` statistics of the images, computed like those of the bank.
        bank: Styles with statistics.
        count: Number of styles per image.
        farthest: Choose the largest distances instead of the smallest.
    """
    statistics = torch.as_tensor(bank.statistics)
    distances = torch.cdist(vectors.cpu().double(), statistics.double())
    order = distances.argsort(dim=1, descending=farthest, stable=True)
    return order[:, :count]
