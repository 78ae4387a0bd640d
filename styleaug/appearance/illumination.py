"""Illumination: light that decreases towards the border."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns


class Illumination(Effect):
    """Darkens pixels with the squared distance from the brightest point.

    Source:
        The cos^4 law of lenses to second order (Kingslake, *Optical System Design*); half of the
        light is lost in the corners of dermoscopes and of microscopes that are out of alignment.
    """

    name = "illumination"
    reproducible = False
    parameters: ClassVar = (
        Parameter("fall-off", 0.0, 0.0, 0.35, "share at half a diagonal"),
        Parameter("across", 0.0, -0.3, 0.3, "half a width from the middle"),
        Parameter("down", 0.0, -0.3, 0.3, "half a height from the middle"),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        fall, across, down = columns(values)
        height, width = images.shape[2:]
        y = torch.linspace(-1.0, 1.0, height, device=images.device).view(1, 1, -1, 1)
        x = torch.linspace(-1.0, 1.0, width, device=images.device).view(1, 1, 1, -1)
        distance = ((x - across).square() + (y - down).square()) / 2.0
        return images * (1.0 - fall.clamp(0.0, 1.0) * distance).clamp_min(0.0)
