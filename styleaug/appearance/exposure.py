"""Exposure: amount of light, and black level."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns, from_light, to_light


class Exposure(Effect):
    """Changes the amount of light and the black level; values above white are clipped.

    Source:
        Errors of automatic exposure reach half a stop either way; black levels of -0.05 to 0.08
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
