"""Empty glass: the colour of the light."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter


class Glass(Effect):
    """Multiplies every channel by a factor, as lamp and glass do; most visible on empty glass.

    Source:
        Levels of empty glass between 200 and 250 of 255, up to 20 apart between channels, are
        typical of scanners and microscope cameras (MIDOG 2021, BreaKHis, BBBC038).
    """

    name = "glass"
    parameters: ClassVar = tuple(
        Parameter(channel, 1.0, 0.8, 1.08, "factor", log=True)
        for channel in ("red", "green", "blue")
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        return images * values.view(-1, 3, 1, 1)
