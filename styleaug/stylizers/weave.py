"""The weave of a network that paints in patches, and how it is taken out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.stylizers.windows import window_means

_NOISE = 1e-5
"""Variance of a content that says nothing about what is painted there."""


def unwoven(painted: Tensor, content: Tensor, period: int, across: int = 3) -> Tensor:
    """Take out what painted images repeat from patch to patch.

    A network that paints patches, or decodes every position of a small map alike, leaves seams and
    a pattern inside each patch, a weave that is in no content and in no style. It is seen on even
    ground and in strong colours, and it is known by its period: of what a content does not account
    for, the mean at the same place of neighbouring patches is weave. Texture that does not keep to
    patches stays, to eight ninths for nine patches.

    Args:
        painted: ``(B, 3, H, W)`` in the style, sides multiples of the period.
        content: ``(B, 3, H, W)``, what was painted.
        period: Side of a patch in pixels; of a decoder, the stride of its features.
        across: Neighbouring patches along a side, odd.

    Returns:
        float32 ``(B, 3, H, W)``.

    Example:
        >>> weave = torch.rand(1, 3, 16, 16).tile(1, 1, 5, 5)
        >>> unwoven(weave, torch.full((1, 3, 80, 80), 0.8), 16).std() < 0.2 * weave.std()
        tensor(True)
    """
    painted = painted.float()
    rest = F.pixel_unshuffle(painted - _following(painted, content), period)
    repeated = F.avg_pool2d(rest, across, 1, across // 2, count_include_pad=False)
    return painted - F.pixel_shuffle(repeated, period)


def _following(painted: Tensor, content: Tensor) -> Tensor:
    """Return the best linear function of the content's grey in every window of 15 pixels.

    The guided filter of He, Sun & Tang, ECCV 2010, for a grey guide.
    """
    guide = content.float().mean(dim=1, keepdim=True)
    level, mean = window_means(guide), window_means(painted)
    spread = window_means(guide.square()) - level.square()
    slope = (window_means(guide * painted) - level * mean) / (spread.clamp_min(0.0) + _NOISE)
    return torch.addcmul(window_means(mean - slope * level), window_means(slope), guide)
