"""Copies small lists of numbers to the device of the images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def upload(
    values: Sequence[float], device: str | torch.device, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Return numbers as a tensor on a device; on a GPU the copy is asynchronous.

    Example:
        >>> upload([2, 0, 1], "cpu")
        tensor([2, 0, 1])
    """
    host, place = torch.tensor(values, dtype=dtype), torch.device(device)
    if place.type != "cuda":
        return host.to(place)
    return host.pin_memory().to(place, non_blocking=True)
