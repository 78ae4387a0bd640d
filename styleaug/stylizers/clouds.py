"""Clouds and grain: colours that a content does not account for, and how they are taken out."""

from __future__ import annotations

import torch
from torch import Tensor

from styleaug.functional.positive import solve_positive
from styleaug.stylizers.windows import window_means

_CELLS = 40
"""Cells along a side: what changes over two of them and more is a cloud, the rest stays."""

_DEGREE = 3
"""Of the polynomial of a content's colours that is no cloud."""

_RIDGE = 1e-4
"""Added to the second moments of its terms: colours of a grey image depend on each other."""

_NOISE = 0.02
"""Deviation of a content's grey within a window that says nothing: the noise of a sensor."""


def cloudless(painted: Tensor, content: Tensor) -> Tensor:
    """Take clouds and grain out of painted images that their contents do not have.

    A network that looks around, as attention does, paints one colour of a content differently from
    place to place, and what differs slowly is seen as a cloud on even ground, or as a halo. Of what
    the best cubic map of the content's colours leaves, the part that a fortieth of a side and more
    changes over is taken out. On even ground, where the deviation of a content's grey within 15
    pixels is small beside 0.02, the rest goes, too: there a network makes grain and mottles of the
    noise. The map itself stays, and texture where the content has some.

    Args:
        painted: ``(B, 3, H, W)`` in the style.
        content: ``(B, 3, H, W)``, what was painted.

    Returns:
        float32 ``(B, 3, H, W)``.

    Example:
        >>> content, cloud = torch.rand(1, 3, 80, 80), torch.linspace(0.0, 0.2, 80).view(80, 1)
        >>> left = cloudless(content.square() + cloud, content) - content.square()
        >>> left.std() < 0.1 * cloud.std()
        tensor(True)
    """
    colors, wanted = content.float().flatten(2), painted.float().flatten(2)
    with torch.autocast(painted.device.type, enabled=False):
        terms = _monomials(2.0 * colors - 1.0)
        moments = terms @ terms.mT / terms.shape[2]
        ridge = _RIDGE * torch.eye(terms.shape[1], device=terms.device)
        map_ = solve_positive(moments + ridge, terms @ wanted.mT / terms.shape[2])
        rest = (wanted - map_.mT @ terms).view_as(painted)
        slow = _slow(rest)
        return painted.float() - torch.lerp(slow, rest, _evenness(content.float()))


def _evenness(content: Tensor) -> Tensor:
    """Return where contents are even, ``(B, 1, H, W)``: 1 without contrast, 1/2 with noise."""
    grey = content.mean(dim=1, keepdim=True)
    variance = window_means(grey.square()) - window_means(grey).square()
    return _NOISE**2 / (variance.clamp_min(0.0) + _NOISE**2)


def _monomials(colors: Tensor) -> Tensor:
    """Return all products of up to three channels of colours ``(B, 3, N)``, ``(B, 20, N)``."""
    degrees = [[torch.ones_like(colors[:, 0])]]
    last = [(0, degrees[0][0])]
    for _ in range(_DEGREE):
        # each product once: channels in rising order
        last = [(c, term * colors[:, c]) for first, term in last for c in range(first, 3)]
        degrees.append([term for _, term in last])
    return torch.stack([term for terms in degrees for term in terms], dim=1)


def _slow(maps: Tensor) -> Tensor:
    """Return what changes slowly in maps: their means around 40 x 40 places, and between them."""
    around, between = zip(*(_cells(side, maps) for side in maps.shape[2:]), strict=True)
    coarse = around[0] @ maps @ around[1].T
    slow: Tensor = between[0] @ coarse @ between[1].T
    return slow


def _cells(side: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(40, side)``, which takes means around cells, and ``(side, 40)``, the way back."""
    cells = torch.arange(_CELLS, device=like.device, dtype=torch.float32)
    places = (torch.arange(side, device=like.device) + 0.5) * (_CELLS / side) - 0.5
    near = torch.exp(-0.5 * (cells[:, None] - places).square())
    inner = places.clamp(0.0, _CELLS - 1.0)
    hat = (1.0 - (inner[:, None] - cells).abs()).clamp_min(0.0)
    return near / near.sum(dim=1, keepdim=True), hat
