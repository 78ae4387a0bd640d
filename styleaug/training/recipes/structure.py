"""Losses of structure that recipes of published systems offer beside those of their papers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from styleaug.training.losses import edge_loss, flatness_loss

STRUCTURE: Mapping[str, float] = {"edges": 0.0, "flatness": 0.0}
"""Their weights: off unless a run gives them one."""

_LOSSES = {"edges": edge_loss, "flatness": flatness_loss}


def structure_losses(
    weights: Mapping[str, float], *pairs: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    """Return those that have a weight, summed over pairs: edges stay, and flat ground stays flat.

    Args:
        weights: Weight of every loss of a recipe.
        *pairs: An output, not clamped, and its content, ``(B, 3, H, W)`` each.
    """
    return {
        name: torch.stack([loss(output.float(), content) for output, content in pairs]).sum()
        for name, loss in _LOSSES.items()
        if weights[name] > 0.0
    }
