"""White balance: the colour that a camera treats as white."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns, from_light, to_light


class WhiteBalance(Effect):
    """Changes the gain of red against blue, and of green against both, in linear light.

    Source:
        Gains of +-0.45 EV between red and blue are those between lamps of 4000 K and 8000 K on
        Planck's curve; Afifi & Brown, ICCV 2019, render the same errors of cameras.
    """

    name = "white-balance"
    parameters: ClassVar = (
        Parameter("temperature", 0.0, -0.45, 0.45, "EV of red over blue"),
        Parameter("tint", 0.0, -0.2, 0.2, "EV of green"),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        temperature, tint = columns(values)
        stops = torch.cat([temperature / 2, tint, -temperature / 2], dim=1)
        return from_light(to_light(images) * 2.0**stops)
