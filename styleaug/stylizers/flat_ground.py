"""Ground that is flat in a content stays flat in what is painted from it."""

from __future__ import annotations

import torch
from torch import Tensor

from styleaug.stylizers.lost_detail import around, local_contrast

_FLAT = 0.03
"""Contrast under which ground counts as flat, the more the less it has."""

_NOISE = 1e-5
"""Variance of a content that says nothing about what is painted there."""


def calm_ground(painted: Tensor, content: Tensor) -> Tensor:
    """Let painted images follow their contents where these are flat.

    A network that paints patches draws their seams there, a weave that is in no content and in no
    style. What follows instead is, in every window of 15 pixels, the best linear function of the
    content's grey: faint structures of the content stay, what it does not have goes.

    Args:
        painted: ``(B, 3, H, W)`` in the style.
        content: ``(B, 3, H, W)``, what was painted.

    Returns:
        float32 ``(B, 3, H, W)``: as painted where the content's contrast is 0.03 or more.

    Source:
        The guided filter of He, Sun & Tang, ECCV 2010, for a grey guide; blending by contrast is
        ours.

    Example:
        >>> weave = 0.5 + 0.02 * torch.rand(1, 3, 40, 40)
        >>> calm_ground(weave, torch.full((1, 3, 40, 40), 0.8)).std() < 0.2 * weave.std()
        tensor(True)
    """
    painted, guide = painted.float(), content.float().mean(dim=1, keepdim=True)
    level, mean = around(guide), around(painted)
    spread = around(guide.square()) - level.square()
    slope = (around(guide * painted) - level * mean) / (spread.clamp_min(0.0) + _NOISE)
    following = torch.addcmul(around(mean - slope * level), around(slope), guide)
    share = (local_contrast(content.float()) / _FLAT).clamp(max=1.0)
    return following.lerp(painted, share)
