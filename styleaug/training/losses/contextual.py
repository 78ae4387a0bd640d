"""The contextual loss, in chunks so that it fits memory."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_EPS = 1e-5

Direction = Literal["forward", "backward", "symmetric"]


def contextual_loss(
    output: Tensor,
    target: Tensor,
    *,
    bandwidth: float = 0.5,
    direction: Direction = "forward",
    max_points: int | None = None,
    chunk: int = 1024,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return ``-log CX`` of two feature maps, averaged over the batch.

    With g the points of ``output`` and x those of ``target``, both less the mean of x::

        d_ij = 1 - cos(g_i, x_j),   d~_ij = d_ij / (min_k d_ik + 1e-5)
        w_ij = exp((1 - d~_ij) / h),  CX_ij = w_ij / sum_k w_ik
        CX = mean_j max_i CX_ij,  loss = -log(CX + 1e-5)

    Args:
        output: ``(B, C, H, W)`` features of the generated image.
        target: ``(B, C, h, w)`` features of the image it should resemble.
        bandwidth: h.
        direction: "forward" as above; "backward" with the maps exchanged; "symmetric" their mean.
        max_points: Draw at most so many points of each map at random; None takes all.
        chunk: Rows of the distance matrix that are held at once.
        generator: Source of randomness of ``max_points``.

    Raises:
        ValueError: If ``direction`` is unknown, or a size does not fit.

    Source:
        Mechrez, Talmi & Zelnik-Manor, "The Contextual Loss", ECCV 2018, Eq. 1-5; the minimum and
        the sum run over the target for a fixed point of the output, as in their code. The mean is
        taken per image.

    Example:
        >>> maps = torch.rand(1, 8, 6, 6)
        >>> noise = torch.rand(1, 8, 6, 6)
        >>> bool(contextual_loss(maps, maps) < contextual_loss(noise, maps))
        True
    """
    if direction not in ("forward", "backward", "symmetric"):
        raise ValueError(f"direction must be forward, backward or symmetric, got {direction!r}.")
    if output.shape[:2] != target.shape[:2]:
        raise ValueError(
            f"output and target must agree in batch and channels, got {tuple(output.shape)} and "
            f"{tuple(target.shape)}."
        )
    points = [_points(features, max_points, generator) for features in (output, target)]
    if direction == "symmetric":
        pairs = [(points[0], points[1]), (points[1], points[0])]
    else:
        pairs = [(points[0], points[1]) if direction == "forward" else (points[1], points[0])]
    losses = [-(_similarity(a, b, bandwidth, chunk) + _EPS).log().mean() for a, b in pairs]
    return torch.stack(losses).mean()


def _points(features: Tensor, limit: int | None, generator: torch.Generator | None) -> Tensor:
    """Return ``(B, N, C)`` points in at least float32."""
    wide = features if features.dtype == torch.float64 else features.float()
    points = wide.flatten(2).transpose(1, 2)
    if limit is None or points.shape[1] <= limit:
        return points
    chosen = torch.randperm(points.shape[1], generator=generator)[:limit]
    return points[:, chosen.to(points.device)]


def _similarity(output: Tensor, target: Tensor, bandwidth: float, chunk: int) -> Tensor:
    """Return CX per image: the mean over the target of the best match among the output."""
    mean = target.mean(dim=1, keepdim=True)
    rows, columns = F.normalize(output - mean, dim=2), F.normalize(target - mean, dim=2)
    best = rows.new_zeros(rows.shape[0], columns.shape[1])
    for part in rows.split(chunk, dim=1):
        # recomputed in the backward pass: only one block of the matrix is ever held
        found = checkpoint(_best_of_block, part, columns, bandwidth, use_reentrant=False)
        best = torch.maximum(best, found)
    return best.mean(dim=1)


def _best_of_block(rows: Tensor, columns: Tensor, bandwidth: float) -> Tensor:
    distance = (1.0 - rows @ columns.transpose(1, 2)).clamp_min(0.0)
    relative = distance / (distance.amin(dim=2, keepdim=True) + _EPS)
    return torch.softmax((1.0 - relative) / bandwidth, dim=2).amax(dim=1)
