"""Reinhard: the mean and standard deviation of L*, a* and b*."""

from __future__ import annotations

import torch
from torch import Tensor

from styleaug.functional import channel_moments
from styleaug.images.colorspace import lab_to_rgb, rgb_to_lab
from styleaug.stylizers.base import Maps
from styleaug.stylizers.content_code import own_maps
from styleaug.stylizers.statistics import ColorStatistics

_MIN_LAB_STD = 0.4
"""One 8-bit grey level in units of L*."""


class Reinhard(ColorStatistics):
    """Match the mean and standard deviation of the channels of CIE L*a*b*.

    ``alpha`` interpolates gain and offset in L*a*b*, where equal steps look equal.

    Source:
        Reinhard, Ashikhmin, Gooch & Shirley, "Color Transfer between Images", IEEE CG&A 2001.
        The paper works in the log-LMS space l-alpha-beta; like the stain tools in use today
        (StainTools, torchstain) this one works in L*a*b*. The content's standard deviation is
        taken as at least 0.4, so that flat channels stay flat.

    Example:
        >>> import torch
        >>> stylizer = Reinhard()
        >>> code = stylizer.encode_style(torch.rand(1, 3, 64, 48))
        >>> stylizer.stylize(torch.rand(2, 3, 40, 40), code).shape
        torch.Size([2, 3, 40, 40])
    """

    name = "reinhard"
    _chunk_bytes = 2**21

    def _encode_style(self, style: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
        return _lab_moments(rgb_to_lab(style), weights)

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        lab = rgb_to_lab(content)  # once, for the statistics and for the map
        return _mapped_lab(lab, own_maps(maps) or _lab_moments(lab), maps, alpha)

    def _mapped(self, content: Tensor, own: Maps, maps: Maps, alpha: Tensor) -> Tensor:
        return _mapped_lab(rgb_to_lab(content), own, maps, alpha)


def _mapped_lab(lab: Tensor, own: Maps, maps: Maps, alpha: Tensor) -> Tensor:
    strength = alpha.view(-1, 1, 1, 1)
    gain = 1.0 - strength + strength * maps["std"] / own["std"].clamp_min(_MIN_LAB_STD)
    offset = (1.0 - strength) * own["mean"] + strength * maps["mean"] - gain * own["mean"]
    return lab_to_rgb(torch.addcmul(offset, lab, gain))


def _lab_moments(lab: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
    mean, std = channel_moments(lab, weights)
    return {"mean": mean, "std": std}
