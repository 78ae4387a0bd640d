"""Attention over the positions of a style, with gating of its keys by the content."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Gate: TypeAlias = Literal["ste", "relu", "dagl", "none"]
GATES = ("ste", "relu", "dagl", "none")

_BLOCK = 1 << 22
"""Largest number of products of queries and keys of one image in memory, over all heads."""


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
    step = max(1, _BLOCK // (heads * parts[1].shape[2]))
    found = [
        _attend(
            queries[:, :, rows],
            parts[1],
            parts[2],
            gates[0][:, :, rows],
            gates[1][:, :, rows],
            temperature,
            gate,
            renormalise,
        )
        for rows in (slice(at, at + step) for at in range(0, queries.shape[2], step))
    ]
    aligned = torch.cat(found, dim=2).transpose(2, 3).flatten(1, 2)
    shaped: Tensor = aligned.unflatten(2, query.shape[2:])
    return shaped


def _attend(*arguments: Any) -> Tensor:
    """Attend with a block of queries; in training it is recomputed in the backward pass."""
    if torch.is_grad_enabled():
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
        cosine = queries @ keys.transpose(2, 3)  # (B, heads, n, N)
        weights = _gated(cosine, scale, offset, temperature, gate)
        if renormalise:
            weights = weights / weights.sum(dim=3, keepdim=True)
        return weights @ values


def _gated(cosine: Tensor, scale: Tensor, offset: Tensor, temperature: float, gate: Gate) -> Tensor:
    """Return the weights of the keys."""
    best = cosine >= cosine.amax(dim=3, keepdim=True)
    if gate == "dagl":
        kept = F.relu(cosine - scale * cosine.mean(dim=3, keepdim=True) + offset)
        inside = (kept > 0) | best
        return torch.softmax(temperature * cosine * kept, dim=3) * inside
    attention = torch.softmax(temperature * cosine, dim=3)
    if gate == "none":
        return attention
    count = cosine.shape[3]
    above = count * attention - (scale + offset)
    if gate == "relu":
        gated = F.relu(above) / count
        return torch.where(best, gated.clamp_min(1e-6), gated)
    soft = torch.sigmoid(above)
    hard = ((above > 0) | best).to(attention.dtype)
    return attention * (hard + soft - soft.detach())


def _by_head(features: Tensor, heads: int) -> Tensor:
    """Return ``(B, heads, N, C / heads)`` in float32."""
    apart: Tensor = features.float().flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)
    return apart
