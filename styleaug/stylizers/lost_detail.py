"""The option ``detail``: what a decoder loses is put back, what it adds of its own taken out."""

from __future__ import annotations

import torch
from torch import Tensor

from styleaug.functional.positive import solve_positive
from styleaug.stylizers.clouds import cloudless
from styleaug.stylizers.weave import unwoven
from styleaug.weights import EXTRA, Weights

_FLAT = 1e-4
"""Variance of a colour below which an image says nothing of where it leads: contrast 0.01."""


def mended(
    painted: Tensor, content: Tensor, decoded: Tensor, period: int, across: int = 3
) -> Tensor:
    """Put back what decoding loses, take out its weave, clouds and grain: the option ``detail``.

    Args:
        painted: ``(B, 3, H, W)`` in the style.
        content: ``(B, 3, H, W)``, what was painted.
        decoded: ``(B, 3, H, W)``, the content painted in its own style.
        period: As in `unwoven`.
        across: As in `unwoven`.

    Returns:
        float32 ``(B, 3, H, W)``, which may leave [0, 1].

    Example:
        >>> mended(*torch.rand(3, 2, 3, 32, 48), period=16).shape
        torch.Size([2, 3, 32, 48])
    """
    sharp = unwoven(put_back(painted, content, decoded), content, period, across)
    return cloudless(sharp, content)


def put_back(painted: Tensor, content: Tensor, decoded: Tensor) -> Tensor:
    """Add what decoding takes from an image to what was painted from it.

    A decoder that begins at a quarter of the size cannot paint sharply, and colours that it saw
    seldom fade, whatever the style. What it loses is seen where it paints an image in its own
    style; that is added in the colours of the painted image, by the linear map of colours that
    leads from the one to the other. What is painted beyond that map, place by place, stays.

    Args:
        painted: ``(B, 3, H, W)`` in the style.
        content: ``(B, 3, H, W)``, what was painted.
        decoded: ``(B, 3, H, W)``, the content painted in its own style.

    Returns:
        float32 ``(B, 3, H, W)``, which may leave [0, 1].

    Example:
        >>> content, decoded = torch.rand(2, 1, 3, 40, 40)
        >>> bool((put_back(0.5 * decoded, content, decoded) - 0.5 * content).abs().max() < 1e-3)
        True
    """
    painted, decoded = painted.float(), decoded.float()
    lost = (content.float() - decoded).flatten(2)
    with torch.autocast(painted.device.type, enabled=False):
        return painted + (_colors_between(decoded, painted) @ lost).view_as(painted)


def _colors_between(decoded: Tensor, painted: Tensor) -> Tensor:
    """Return the linear maps ``(B, 3, 3)`` that take colours of one image nearest to the other."""
    one, other = (image.flatten(2) for image in (decoded, painted))
    one, other = (colors - colors.mean(dim=2, keepdim=True) for colors in (one, other))
    count = one.shape[2]
    flat = _FLAT * torch.eye(3, device=one.device)
    return solve_positive(one @ one.mT / count + flat, one @ other.mT / count).mT


def keeps_detail(detail: bool | None, record: Weights | None) -> bool:
    """Return whether lost detail is put back: as asked, or with the weights of ours.

    Args:
        detail: As asked, or None.
        record: That of the weights; None for a file of the user's.

    Example:
        >>> keeps_detail(None, None), keeps_detail(True, None)
        (False, True)
    """
    if detail is not None:
        return detail
    return record is not None and record.package == EXTRA
