"""Tone curves: more contrast in the middle and less at the ends, or the other way round."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns


class ToneCurve(Effect):
    """Applies a monotone curve through black, white and a pivot, steeper or flatter at the pivot.

    ``y = x^s / (x^s + k (1 - x)^s)`` with ``k`` such that the pivot is unchanged: a straight
    line with slope ``s`` in log-odds.

    Source:
        The S-shaped characteristic of film (Hurter & Driffield 1890) as a logistic curve; slopes of
        0.6 to 1.8 are those of camera presets.
    """

    name = "tone-curve"
    parameters: ClassVar = (
        Parameter("slope", 1.0, 0.6, 1.8, "factor at the pivot", log=True),
        Parameter("pivot", 0.5, 0.25, 0.75, "stored value"),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        slope, pivot = columns(values)
        pivot = pivot.clamp(0.05, 0.95)
        x = images.clamp(1e-4, 1.0 - 1e-4)
        odds = ((1.0 - x) / x) ** slope
        return 1.0 / (1.0 + odds * ((1.0 - pivot) / pivot) ** (1.0 - slope))
