"""Losses of style embeddings: on distances, and on finding partners."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.training.losses.contrastive import info_nce_loss


def graded_loss(first: Tensor, second: Tensor, vectors: list[Tensor]) -> Tensor:
    """Return the squared error of cosine distances against targets from the parameters.

    The cosine distance of two images of one pipeline, whose parameters are ``d`` apart (all ranges
    of length 1), should be ``d² / 4``, so that embeddings are ``d / √2`` apart; that of images of
    different pipelines at least 0.5.

    Args:
        first: ``(B, E)`` embeddings of the first images, in the order of ``vectors``.
        second: Those of the second ones.
        vectors: Parameters ``(B_i, P_i)`` of each pipeline.

    Returns:
        Mean square over all pairs, including images with the same parameters.

    Example:
        >>> same = torch.zeros(2, 3)
        >>> graded_loss(torch.ones(2, 4), torch.ones(2, 4), [same]).item()
        0.0
    """
    with torch.autocast(first.device.type, enabled=False):
        distances = 1.0 - F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    wanted = torch.block_diag(*(torch.cdist(v, v).square() / 4.0 for v in vectors))
    alike = torch.block_diag(*(torch.ones(len(v), len(v)) for v in vectors)).to(wanted) > 0.0
    gaps = torch.where(alike, distances - wanted.to(distances), (0.5 - distances).clamp_min(0.0))
    return gaps.square().mean()


def contrastive_loss(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    """Return the cross entropy of finding each image's partner among all others of the batch.

    Args:
        first: ``(B, E)`` embeddings of the first images.
        second: Those of their partners, in the same order.
        temperature: Divisor of the cosines.

    Example:
        >>> contrastive_loss(torch.eye(3), torch.eye(3), temperature=0.05).item() < 1e-6
        True
    """
    partners = torch.arange(2 * len(first), device=first.device).roll(len(first))
    units = F.normalize(torch.cat([first, second]), dim=1)
    with torch.autocast(first.device.type, enabled=False):
        return info_nce_loss(units, partners, temperature=temperature)


def spread(projections: Tensor) -> Tensor:
    """Return the mean standard deviation of normalised projections times the root of their length.

    Example:
        >>> spread(torch.ones(4, 8)).item()
        0.0
    """
    units = F.normalize(projections.detach(), dim=1)
    width: Tensor = units.std(dim=0).mean() * units.shape[1] ** 0.5
    return width
