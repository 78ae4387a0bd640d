"""Grey images: found, and kept exactly grey in a grey style."""

from __future__ import annotations

import torch
from torch import Tensor

_GREY = 1e-4
"""Largest difference between the channels of a grey image: rounding in floating point."""


def is_grey(image: Tensor) -> Tensor:
    """Return which images ``(B, 3, H, W)`` have three equal channels, as booleans ``(B,)``."""
    return (image.amax(dim=1) - image.amin(dim=1)).flatten(1).amax(dim=1) < _GREY


def without_hue(image: Tensor, grey: Tensor) -> Tensor:
    """Average the channels of the images ``(B, 3, H, W)`` that ``grey`` ``(B,)`` marks."""
    return torch.where(grey.view(-1, 1, 1, 1), image.mean(dim=1, keepdim=True), image)
