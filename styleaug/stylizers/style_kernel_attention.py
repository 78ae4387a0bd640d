"""Attention over the positions of a style, with gating of its keys by the content."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

Gate: TypeAlias = Literal["ste", "relu", "dagl", "none"]
GATES = ("ste", "relu", "dagl", "none")

_BLOCK = {"cpu": 1 << 20}
"""Largest number of products of queries and keys of one image in memory, over all heads.

On a CPU a block of 4 MB stays in its cache, and an image takes an eighth less time than with 16 MB.
"""
_BLOCK_ELSEWHERE = 1 << 22

_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
"""Whether a program is traced for any size; torch 2.6 cannot tell that from compiling."""

_KEPT = 1 << 25
"""Largest number of products of a block that is kept for the backward pass."""


def align(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    threshold: tuple[Tensor, Tensor],
    *,
    heads: int,
    temperature: float = 100.0,
    gate: Gate = "ste",
    renormalise: bool = False,
) -> Tensor:
    """Attend to the values of style positions whose keys are similar to the query.

    With N keys, the attention ``A = softmax(temperature * cos(q, k))`` of a query is compared with
    a threshold ``t = (scale + offset) / N``: the mean of a row is always 1 / N, and the offset is
    in the same unit.

    * "ste": keys with ``A > t`` count. Gradients pass as through ``sigmoid(N (A - t))``.
    * "relu": keys count with ``max(A - t, 0)``.
    * "dagl": before the softmax, cosines count with
      ``cos * max(cos - scale * mean(cos) + offset, 0)``; those that become 0 are left out.
    * "none": all keys count, whatever the threshold.

    The most similar key always counts.

    Args:
        query: ``(B, C, H, W)``.
        keys: ``(B, C, h, w)`` of unit length within every head.
        values: ``(B, C, h, w)``.
        threshold: Scale and offset, ``(B, heads, H, W)`` each.
        heads: Number of heads that the channels are split into.
        temperature: Factor of the cosines.
        gate: Reading of the gating.
        renormalise: Whether the remaining weights are divided by their sum.

    Returns:
        ``(B, C, H, W)``.

    Source:
        Xu, Long & Nie, CVPR 2023, Eq. 1-5. Eq. 3 averages over keys here, as its text means; Eq. 4
        without its leading A, which would keep all keys of a row or none; the hard sign of Eq. 5
        has no gradient, hence the readings. "dagl" is dynamic neighbour selection (Mou et al.,
        ICCV 2021).
    """
    parts = [_by_head(x, heads) for x in (query, keys, values)]
    queries = F.normalize(parts[0], dim=3)
    gates = [x.flatten(2).unsqueeze(3) for x in threshold]  # (B, heads, N, 1)
    settings = temperature, gate, renormalise
    if _is_exporting():  # blocks would be as many for every size as for the one that is traced
        aligned = _attend(queries, parts[1], parts[2], *gates, *settings)
    else:
        aligned = _in_blocks(queries, parts[1], parts[2], *gates, *settings)
    aligned = aligned.transpose(2, 3).flatten(1, 2)
    shaped: Tensor = aligned.unflatten(2, query.shape[2:])
    return shaped


def _in_blocks(
    queries: Tensor, keys: Tensor, values: Tensor, scale: Tensor, offset: Tensor, *settings: Any
) -> Tensor:
    """Attend block by block, so that the memory does not grow with the number of queries."""
    block = _BLOCK.get(queries.device.type, _BLOCK_ELSEWHERE)
    step = max(1, block // (queries.shape[1] * keys.shape[2]))
    # one tensor for all: results that lie between the blocks would part the heap
    aligned = queries.new_empty(*queries.shape[:3], values.shape[3])
    for rows in (slice(at, at + step) for at in range(0, queries.shape[2], step)):
        of_block = (each[:, :, rows] for each in (scale, offset))
        aligned[:, :, rows] = _attend(queries[:, :, rows], keys, values, *of_block, *settings)
    return aligned


def _attend(*arguments: Any) -> Tensor:
    """Attend with a block of queries; in training a large one is recomputed in the backward."""
    queries, keys = arguments[:2]
    if torch.is_grad_enabled() and queries[..., 0].numel() * keys.shape[2] > _KEPT:
        found: Tensor = checkpoint(_attend_block, *arguments, use_reentrant=False)
        return found
    return _attend_block(*arguments)


def _attend_block(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: Tensor,
    offset: Tensor,
    temperature: float,
    gate: Gate,
    renormalise: bool,
) -> Tensor:
    with torch.autocast(queries.device.type, enabled=False):
        keys = keys.transpose(2, 3)
        if gate == "dagl":
            weights = _neighbours(queries @ keys, scale, offset, temperature)
        else:
            attention = torch.softmax(temperature * queries @ keys, dim=3)  # (B, heads, n, N)
            weights = _gated(attention, scale + offset, gate)
        if renormalise:
            weights = weights / weights.sum(dim=3, keepdim=True)
        return weights @ values


def _neighbours(cosine: Tensor, scale: Tensor, offset: Tensor, temperature: float) -> Tensor:
    """Return the weights of the keys whose cosines are over a threshold: "dagl"."""
    best = cosine >= cosine.amax(dim=3, keepdim=True)
    kept = F.relu(cosine - scale * cosine.mean(dim=3, keepdim=True) + offset)
    return torch.softmax(temperature * cosine * kept, dim=3) * ((kept > 0) | best)


def _gated(attention: Tensor, threshold: Tensor, gate: Gate) -> Tensor:
    """Return the weights of the keys, those under a threshold in units of 1 / N left out."""
    if gate == "none":
        return attention
    if gate == "ste":
        weights: Tensor = _StraightThrough.apply(attention, threshold)
        return weights
    count = attention.shape[3]
    gated = F.relu(count * attention - threshold) / count
    return torch.where(_best(attention), gated.clamp_min(1e-6), gated)


class _StraightThrough(torch.autograd.Function):
    """Attention over a threshold, or the largest of a row; gradients as through a sigmoid.

    That is ``A * (hard + soft - detach(soft))`` with ``soft = sigmoid(N A - t)``, written out,
    since the matrix is what training spends its time on.
    """

    @staticmethod
    def forward(ctx: Any, attention: Tensor, threshold: Tensor) -> Tensor:
        kept = (attention > threshold / attention.shape[3]) | _best(attention)
        ctx.save_for_backward(attention, threshold, kept)
        return attention * kept

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        attention, threshold, kept = ctx.saved_tensors
        count = attention.shape[3]
        soft = (count * attention).sub_(threshold).sigmoid_()
        slope = torch.ops.aten.sigmoid_backward(attention * gradient, soft)
        through = (gradient * kept).add_(slope, alpha=count)
        return through, -slope.sum(dim=3, keepdim=True)


def _best(attention: Tensor) -> Tensor:
    return attention >= attention.amax(dim=3, keepdim=True)


def _by_head(features: Tensor, heads: int) -> Tensor:
    """Return ``(B, heads, N, C / heads)`` in float32."""
    apart: Tensor = features.float().flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)
    return apart
