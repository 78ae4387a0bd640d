"""Grey in a grey style stays grey exactly."""

from __future__ import annotations

import torch
from torch import Tensor

_GREY = 1e-4
"""Largest difference of channels that is called grey."""


def is_grey(image: Tensor) -> Tensor:
    """Return which images ``(B, 3, H, W)`` have three equal channels, ``(B,)``."""
    return (image.amax(dim=1) - image.amin(dim=1)).flatten(1).amax(dim=1) < _GREY


def without_hue(image: Tensor, grey: Tensor) -> Tensor:
    """Return images ``(B, 3, H, W)``, those marked in ``grey`` ``(B,)`` with equal channels."""
    return torch.where(grey.view(-1, 1, 1, 1), image.mean(dim=1, keepdim=True), image)
