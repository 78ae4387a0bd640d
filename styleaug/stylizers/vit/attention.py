"""Multi-head attention for inference, with the fastest kernel for each size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_MOST_SCORES = 1 << 18
"""Largest score matrix of one head that is computed as a whole: 512 queries and keys."""


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return ``softmax(q k^T) v`` with the heads joined; ``q`` is already scaled.

    `scaled_dot_product_attention`, except for few tokens on a CPU: there its blocked kernel is
    slower than two products around a softmax that fit into the cache. Softmax sums are float32
    in both.

    Args:
        query: ``(B, heads, N, channels)``.
        key: ``(B, heads, M, channels)``.
        value: ``(B, heads, M, channels)``.

    Returns:
        ``(B, N, heads * channels)``.

    Example:
        >>> attend(torch.ones(1, 2, 5, 4), torch.ones(1, 2, 7, 4), torch.ones(1, 2, 7, 4)).shape
        torch.Size([1, 5, 8])
    """
    few = query.shape[2] * key.shape[2] <= _MOST_SCORES
    if query.device.type == "cpu" and few and not torch.compiler.is_compiling():
        return _attend_whole(query, key, value)
    return F.scaled_dot_product_attention(query, key, value, scale=1.0).transpose(1, 2).flatten(2)


def _attend_whole(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend image by image, so that the scores stay in cache and strided heads need no copy."""
    batch, heads, count, channels = query.shape
    joined = query.new_empty(batch, count, heads, channels)
    scores = query.new_empty(heads, count, key.shape[2])
    for row in range(batch):
        torch.bmm(query[row], key[row].transpose(1, 2), out=scores)
        torch.softmax(scores, dim=-1, out=scores)
        joined[row] = torch.bmm(scores, value[row]).transpose(0, 1)
    return joined.flatten(2)
