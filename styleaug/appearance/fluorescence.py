"""Fluorescence: gain and background."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns


class FluorescenceGain(Effect):
    """Changes the gain of the detector and the background light.

    Source:
        Exposures of one plate differ threefold, backgrounds by a tenth of the range (BBBC038,
        Caicedo et al., Nature Methods 2019).
    """

    name = "fluorescence"
    parameters: ClassVar = (
        Parameter("gain", 1.0, 0.35, 2.5, "factor", log=True),
        Parameter("background", 0.0, -0.03, 0.12, "share of white"),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        gain, background = columns(values)
        return images * gain + background
