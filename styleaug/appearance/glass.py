"""Empty glass: the colour of the light where nothing is."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter


class Glass(Effect):
    """Lamp and cover glass tint everything by a factor per channel, empty glass most visibly.

    Source:
        Levels of empty glass between 200 and 250 of 255, up to 20 apart between channels, are what
        scanners and cameras on microscopes give (MIDOG 2021, BreaKHis, BBBC038).
    """

    name = "glass"
    parameters: ClassVar = tuple(
        Parameter(channel, 1.0, 0.8, 1.08, "factor", log=True)
        for channel in ("red", "green", "blue")
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        return images * values.view(-1, 3, 1, 1)
