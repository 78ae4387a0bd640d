"""Statistics of a style as one vector, and medoids: few styles that represent many."""

from __future__ import annotations

import torch
from torch import Tensor

from styleaug.functional import channel_moments
from styleaug.images.colorspace import rgb_to_lab

SAMPLE = 2048
"""Largest number of vectors in one search for medoids: their distances take 16 MB."""


def color_statistics(image: Tensor) -> Tensor:
    """Return the mean and standard deviation of L*, a* and b* of each image.

    The Euclidean distance of two such vectors is the 2-Wasserstein distance of Gaussians with
    these means and (diagonal) deviations, in a perceptually uniform colour space.

    Args:
        image: float ``(B, 3, H, W)`` in [0, 1], RGB.

    Returns:
        ``(B, 6)``: three means, three standard deviations.

    Source:
        Dowson & Landau, "The Fréchet distance between multivariate normal distributions", Journal
        of Multivariate Analysis 12, 1982, for commuting covariances.

    Example:
        >>> color_statistics(torch.ones(1, 3, 8, 8)).round().abs()
        tensor([[100.,   0.,   0.,   0.,   0.,   0.]])
    """
    mean, std = channel_moments(rgb_to_lab(image.float()))
    return torch.cat([mean, std], dim=1).flatten(1)


def find_medoids(vectors: Tensor, count: int, *, seed: int = 0) -> list[int]:
    """Return rows (medoids) with a small sum of distances from all rows to their nearest one.

    Args:
        vectors: float ``(N, K)``.
        count: How many rows to pick, 1 ... N.
        seed: Seed of the sample that is searched if N exceeds `SAMPLE`.

    Returns:
        Rows in ascending order.

    Raises:
        ValueError: If ``count`` does not fit.

    Source:
        PAM: Kaufman & Rousseeuw, "Finding Groups in Data", 1990, ch. 2 (BUILD, then SWAP until no
        swap helps), with all swaps evaluated at once (Schubert & Rousseeuw, "Faster k-Medoids
        Clustering", SISAP 2019). Above `SAMPLE` rows the medoids are those of a random sample
        (ibid. 1990, ch. 3, with one sample).

    Example:
        >>> find_medoids(torch.tensor([[0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]), 2)
        [1, 4]
    """
    if not 1 <= count <= len(vectors):
        raise ValueError(f"count must be between 1 and {len(vectors)}, got {count}.")
    rows = torch.arange(len(vectors))
    if len(rows) > max(SAMPLE, count):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        rows = order[: max(SAMPLE, count)].sort().values
    points = vectors[rows].double()
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    chosen = _swapped(distances, _built(distances, count))
    return sorted(rows[chosen].tolist())


def _built(distances: Tensor, count: int) -> list[int]:
    """Return medoids that are chosen greedily: each lowers the sum most."""
    chosen: list[int] = []
    nearest = torch.full_like(distances[0], float("inf"))
    for _ in range(count):
        cost = torch.minimum(distances, nearest).sum(dim=1)
        cost[chosen] = float("inf")
        chosen.append(int(cost.argmin()))
        nearest = torch.minimum(nearest, distances[chosen[-1]])
    return chosen


def _swapped(distances: Tensor, chosen: list[int]) -> list[int]:
    """Replace medoids by other rows as long as this lowers the sum, which must end."""
    while True:
        change = _swap_changes(distances, chosen)
        change[chosen] = float("inf")
        best = int(change.argmin())
        row, place = divmod(best, len(chosen))
        if change[row, place] >= -1e-9 * distances.max().clamp_min(1e-12):
            return chosen
        chosen = [*chosen[:place], row, *chosen[place + 1 :]]


def _swap_changes(distances: Tensor, chosen: list[int]) -> Tensor:
    """Return ``(N, count)``: how the sum changes if a row takes the place of a medoid."""
    to_medoids = distances[chosen]  # (count, N)
    nearest, owner = to_medoids.min(dim=0)
    others = to_medoids.scatter(0, owner[None], float("inf"))
    second = others.min(dim=0).values  # infinite where there is one medoid
    shared = torch.minimum(distances - nearest, torch.zeros_like(nearest))  # (N, N), <= 0
    orphaned = torch.minimum(distances, second) - nearest - shared
    owned = torch.nn.functional.one_hot(owner, len(chosen)).to(distances)
    return shared.sum(dim=1, keepdim=True) + orphaned @ owned
