"""Saturation: distance of colours from grey."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns


class Saturation(Effect):
    """Multiplies the distance of every colour from its grey (mean of R, G and B) by a factor.

    Source:
        The factor of ``ColorJitter`` in torchvision, with a uniformly drawn logarithm.
    """

    name = "saturation"
    parameters: ClassVar = (Parameter("saturation", 1.0, 0.45, 1.9, "factor", log=True),)

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        (factor,) = columns(values)
        grey = images.mean(dim=1, keepdim=True)
        return grey + (images - grey) * factor
