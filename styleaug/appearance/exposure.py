"""Exposure: how much light is collected, and what dark is stored as."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns, from_light, to_light


class Exposure(Effect):
    """More or less light, and a black level; what is over white is cut off, as in a sensor.

    Source:
        Half a stop either way is what automatic exposure misses by; black levels of -0.05 to 0.08
        are veiling glare and the offset of converters (Holst & Lomheim, *CMOS/CCD Sensors*).
    """

    name = "exposure"
    parameters: ClassVar = (
        Parameter("exposure", 0.0, -0.6, 0.4, "EV"),
        Parameter("black", 0.0, -0.05, 0.08, "share of white"),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        stops, black = columns(values)
        stored = from_light(to_light(images) * 2.0**stops)
        return black + (1.0 - black) * stored
