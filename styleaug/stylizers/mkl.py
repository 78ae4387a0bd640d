"""Linear Monge-Kantorovich: the full colour covariance, moved by the shortest way."""

from __future__ import annotations

import torch
from torch import Tensor

from styleaug.functional import affine_color, mean_covariance, monge_kantorovich
from styleaug.stylizers.base import Maps
from styleaug.stylizers.statistics import ColorStatistics


class MongeKantorovich(ColorStatistics):
    """Match the mean and the covariance of the RGB colours by the linear optimal transport.

    Unlike channel statistics it also matches how the channels go together, so that a pink stain
    can turn purple without a cast on the background. ``alpha`` interpolates the linear map.

    Source:
        Pitié & Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based
        colour transfer", CVMP 2007. One squared 8-bit level is added to the covariances, so that
        flat and grey images give finite maps.

    Example:
        >>> stylizer = MongeKantorovich()
        >>> code = stylizer.encode_style(torch.rand(1, 3, 64, 48))
        >>> stylizer.stylize(torch.rand(2, 3, 40, 40), code).shape
        torch.Size([2, 3, 40, 40])
    """

    name = "mkl"

    def _encode_style(self, style: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
        mean, covariance = mean_covariance(style, weights)
        return {"mean": mean, "covariance": covariance}

    def _mapped(self, content: Tensor, own: Maps, maps: Maps, alpha: Tensor) -> Tensor:
        mean, covariance = own["mean"], own["covariance"]
        transport = monge_kantorovich(covariance, maps["covariance"], eps=_LEVEL_SQUARED)
        strength = alpha.view(-1, 1, 1)
        matrix = torch.lerp(torch.eye(3).to(transport), transport, strength)
        offset = torch.lerp(mean, maps["mean"], strength) - matrix @ mean
        return affine_color(content, matrix, offset)


_LEVEL_SQUARED = 255.0**-2
