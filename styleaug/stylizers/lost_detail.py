"""Detail that a decoder loses, and puts back into what it paints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.weights import EXTRA, Weights

_SIDE = 15
"""Window in which contrasts are compared, in pixels."""

_FAINT = 0.01
"""Contrast below which a place counts as flat, where a ratio would say nothing."""

_RATIO = (0.3, 2.0)
"""How much less and more contrast the detail may get."""


def put_back(painted: Tensor, content: Tensor, decoded: Tensor) -> Tensor:
    """Add the detail that decoding takes from an image to what was painted from it.

    A decoder that begins at a quarter of the size cannot paint sharply, whatever the style. What
    it loses is seen where it paints an image in its own style; the grey of that is added, in each
    place by as much more or less contrast as the painted image has there. Colours stay those that
    were painted.

    Args:
        painted: ``(B, 3, H, W)`` in the style.
        content: ``(B, 3, H, W)``, what was painted.
        decoded: ``(B, 3, H, W)``, the content painted in its own style.

    Returns:
        float32 ``(B, 3, H, W)``, which may leave [0, 1].

    Example:
        >>> image = torch.rand(1, 3, 40, 40)
        >>> torch.allclose(put_back(image, image, image), image)
        True
    """
    painted, decoded = painted.float(), decoded.float()
    lost = (content.float() - decoded).mean(dim=1, keepdim=True)
    detail = lost - around(lost)
    there, here = (local_contrast(image) + _FAINT for image in (painted, decoded))
    return torch.addcmul(painted, detail, (there / here).clamp(*_RATIO))


def local_contrast(image: Tensor) -> Tensor:
    """Return the standard deviation of the grey around every pixel, ``(B, 1, H, W)``.

    Args:
        image: ``(B, 3, H, W)``, sides of at least 8 pixels.

    Example:
        >>> local_contrast(torch.full((1, 3, 20, 20), 0.5)).max().item() < 0.01
        True
    """
    grey = image.mean(dim=1, keepdim=True)
    return (around(grey.square()) - around(grey).square()).clamp_min(1e-8).sqrt()


def around(maps: Tensor) -> Tensor:
    """Return the mean of the window of 15 pixels around every pixel, ``(B, C, H, W)``.

    Args:
        maps: ``(B, C, H, W)``, sides of at least 8 pixels.

    Example:
        >>> around(torch.ones(1, 3, 20, 20)).unique()
        tensor([1.])
    """
    sums = F.pad(maps, (_SIDE // 2,) * 4, mode="reflect")
    for axis in (2, 3):
        sums = _window_sums(sums, axis) / _SIDE
    return sums


def _window_sums(maps: Tensor, axis: int) -> Tensor:
    """Return sums of 15 neighbours: 8 + 4 + 2 + 1, each a sum of two of the next.

    Twenty times as fast as pooling on a CPU, which adds all 225 pixels of a window.
    """
    start = _SIDE - 1
    length = maps.shape[axis] - start
    total, sums = maps.narrow(axis, start, length), maps
    for width in (1, 2, 4):
        count = sums.shape[axis] - width
        sums = sums.narrow(axis, 0, count) + sums.narrow(axis, width, count)
        start -= 2 * width
        total = total + sums.narrow(axis, start, length)
    return total


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
