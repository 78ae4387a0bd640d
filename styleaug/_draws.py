"""Random draws that belong to an image, not to its place in a batch.

Every image gets one 63-bit key; all that is random about the image is a hash of that key. So the
same keys give the same draws in any batch split, and a key can come from a generator, from a host
library's integer or from the name of a sample.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from threading import Lock

import numpy as np
import torch
import torch.distributed
import torch.utils.data

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_UNUSED = np.uint64(11)
"""Bits of 64 that a float64 has no room for."""
_MASK = 0x7FFFFFFFFFFFFFFF
_COUNTING = Lock()
"""Held while draws are counted, so that two threads never draw the same numbers. It belongs to the
module because a counter with a lock of its own could not be pickled."""


class DrawCounter:
    """Counts the images that a seeded stream has drawn for.

    Example:
        >>> counter = DrawCounter()
        >>> counter.take(4), counter.take(2)
        (range(0, 4), range(4, 6))
    """

    def __init__(self) -> None:
        self._drawn = 0

    def take(self, count: int) -> range:
        """Return the numbers of the next ``count`` images; no two calls get the same."""
        with _COUNTING:
            first, self._drawn = self._drawn, self._drawn + count
        return range(first, first + count)


def draw_keys(
    count: int,
    generator: torch.Generator | None,
    ids: Sequence[int | str] | None,
    *,
    seed: int | None,
    counter: DrawCounter,
) -> np.ndarray:
    """Return one key per image: from ids, a generator, the seed, or PyTorch, in that order.

    Raises:
        ValueError: If there is not one id per image.
    """
    if ids is not None:
        if len(ids) != count:
            raise ValueError(f"ids must hold one id per image ({count}), got {len(ids)}.")
        return id_keys(seed or 0, ids)
    if generator is not None:
        return generator_keys(count, generator)
    if seed is None:
        return fold_in(generator_keys(count, None), process_stream())
    return fold_in(id_keys(seed, counter.take(count)), process_stream())


def generator_keys(count: int, generator: torch.Generator | None) -> np.ndarray:
    """Draw one key per image from ``generator`` (None: PyTorch's global CPU generator)."""
    return torch.randint(_MASK, (count,), generator=generator).numpy().astype(np.uint64)


def id_keys(seed: int, ids: Sequence[int | str]) -> np.ndarray:
    """Return the key of each sample id under ``seed``."""
    numbers = np.array([_as_number(item) for item in ids], dtype=np.uint64)
    return _mix(numbers ^ _mix(np.array([seed & _MASK], dtype=np.uint64))) & np.uint64(_MASK)


def fold_in(keys: np.ndarray, stream: int) -> np.ndarray:
    """Return keys that differ for every ``stream``; stream 0 keeps them as they are."""
    if stream == 0:
        return keys
    return _mix(keys ^ _mix(np.array([stream & _MASK], dtype=np.uint64))) & np.uint64(_MASK)


def process_stream() -> int:
    """Return a number that differs between ranks, loader workers and epochs; 0 in a lone process.

    Loader workers start as copies of one process, and training scripts seed all ranks alike:
    without this number they would repeat each other's draws.
    """
    worker = torch.utils.data.get_worker_info()
    rank = _rank()
    if worker is None and rank == 0:
        return 0
    name = f"{rank}:{worker.id}:{worker.seed}" if worker is not None else f"{rank}"
    return _as_number(name)


def uniforms(keys: np.ndarray, columns: int) -> np.ndarray:
    """Return ``(len(keys), columns)`` float64 numbers in [0, 1), one row per key (SplitMix64)."""
    bits = _mix(keys[:, None] + _steps(columns))
    numbers: np.ndarray = (bits >> _UNUSED).astype(np.float64) * 2.0**-53
    return numbers


@cache
def _steps(columns: int) -> np.ndarray:
    return np.arange(1, columns + 1, dtype=np.uint64) * _GOLDEN


def _mix(bits: np.ndarray) -> np.ndarray:
    """Apply the finalizer of SplitMix64 (Steele, Lea & Flood 2014) to an array of uint64."""
    bits = (bits ^ (bits >> _SHIFTS[0])) * _FACTORS[0]
    bits = (bits ^ (bits >> _SHIFTS[1])) * _FACTORS[1]
    mixed: np.ndarray = bits ^ (bits >> _SHIFTS[2])
    return mixed


def _as_number(item: int | str) -> int:
    if isinstance(item, int) and 0 <= item <= _MASK:
        return item
    return int.from_bytes(blake2b(str(item).encode(), digest_size=8).digest(), "little") & _MASK


def _rank() -> int:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank()
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)
