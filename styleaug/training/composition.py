"""Random changes of the content of images: empty glass, thickness, order of blocks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.stylizers.grey import is_grey

__all__ = ["is_grey", "paste_empty", "shuffle_blocks", "vary_thickness"]

_BLOCKS = 4
_VARIED = 0.3
"""Share of the images whose density is varied."""


def vary_thickness(images: Tensor, deviation: float) -> Tensor:
    """Multiply the optical density of some images by a factor, as thicker or thinner tissue would.

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        deviation: Standard deviation of the logarithm of the factor.
    """
    drawn = deviation * torch.randn(len(images), 1, 1, 1, device=images.device)
    chosen = torch.rand_like(drawn) < _VARIED
    return images.clamp_min(1e-4) ** torch.where(chosen, drawn, torch.zeros_like(drawn)).exp()


def paste_empty(images: Tensor, share: float) -> Tensor:
    """Cover a part of some images with empty glass, or of dark images with black.

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        share: Probability for each image.
    """
    count, device = len(images), images.device
    dark = (images.flatten(1).mean(dim=1) < 0.35).view(-1, 1, 1, 1)
    glass = 0.95 + 0.015 * torch.randn(count, 3, 1, 1, device=device)
    black = 0.02 * torch.rand(count, 1, 1, 1, device=device).expand(-1, 3, -1, -1)
    empty = torch.where(dark, black, glass)
    empty = torch.where(is_grey(images).view(-1, 1, 1, 1), empty[:, :1].expand_as(empty), empty)
    kept = _halves(images)
    chosen = torch.rand(count, 1, 1, 1, device=device) < share
    return torch.where(chosen, (images * kept + empty * (1.0 - kept)).clamp(0.0, 1.0), images)


def shuffle_blocks(images: Tensor, share: float) -> Tensor:
    """Shuffle the 4 x 4 blocks of some images, if their sides are divisible by 4."""
    height, width = images.shape[2:]
    if height % _BLOCKS or width % _BLOCKS:
        return images
    blocks = images.unflatten(3, (_BLOCKS, -1)).unflatten(2, (_BLOCKS, -1)).transpose(3, 4)
    order = torch.randperm(_BLOCKS**2, device=images.device)
    mixed = blocks.flatten(2, 3)[:, :, order].unflatten(2, (_BLOCKS, _BLOCKS))
    whole = mixed.transpose(3, 4).reshape(images.shape)
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < share
    return torch.where(chosen, whole, images)


def _halves(images: Tensor) -> Tensor:
    """Return soft masks ``(B, 1, H, W)`` of one side of a wavy line."""
    count, (height, width), device = len(images), images.shape[2:], images.device
    angle = 2.0 * math.pi * torch.rand(count, 1, 1, 1, device=device)
    y = torch.linspace(-1.0, 1.0, height, device=device).view(1, 1, -1, 1)
    x = torch.linspace(-1.0, 1.0, width, device=device).view(1, 1, 1, -1)
    waves = F.interpolate(
        torch.randn(count, 1, 6, 6, device=device), (height, width), mode="bicubic"
    )
    place = 1.2 * torch.rand(count, 1, 1, 1, device=device) - 0.6
    return torch.sigmoid(25.0 * (angle.cos() * x + angle.sin() * y - place) + 3.0 * waves)
