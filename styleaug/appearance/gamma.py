"""Gamma: the exponents between light and stored values."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter


class Gamma(Effect):
    """Applies one exponent to all channels.

    Source:
        1.0 (raw) to 2.6 (cinema) against 2.2 gives exponents of 0.45 to 1.2; film and displays
        reach the rest (Poynton, *Digital Video and HD*).
    """

    name = "gamma"
    parameters: ClassVar = (Parameter("gamma", 1.0, 0.55, 1.8, "exponent", log=True),)

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        return images.clamp_min(1e-4) ** values.view(-1, 1, 1, 1)


class ChannelGamma(Effect):
    """Applies one exponent per channel, like the layers of a film or lookup tables.

    Source:
        Slopes of the layers of colour film differ by up to a sixth (Hunt, *The Reproduction of
        Colour*).
    """

    name = "channel-gamma"
    parameters: ClassVar = tuple(
        Parameter(channel, 1.0, 0.82, 1.22, "exponent", log=True)
        for channel in ("red", "green", "blue")
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        return images.clamp_min(1e-4) ** values.view(-1, 3, 1, 1)
