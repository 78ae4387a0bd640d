"""One change of how a picture is made: its parameters, and the function that applies them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Parameter:
    """A number of an effect and the range that strength 1 draws it from.

    Attributes:
        name: What it is called.
        neutral: The value that changes nothing.
        low: Lowest value at strength 1.
        high: Highest value at strength 1.
        unit: What it is measured in.
        log: Draw evenly in its logarithm, as for gains.

    Example:
        >>> gain = Parameter("gain", neutral=1.0, low=0.5, high=2.0, unit="factor", log=True)
        >>> gain.at(torch.tensor([0.0, 0.5, 1.0]), torch.tensor(1.0))
        tensor([0.5000, 1.0000, 2.0000])
    """

    name: str
    neutral: float
    low: float
    high: float
    unit: str
    log: bool = False

    def at(self, place: Tensor, strength: Tensor) -> Tensor:
        """Return the values at places in [0, 1] of the range, drawn towards neutral.

        Args:
            place: ``(B,)`` in [0, 1]; 0 is the lowest value, 1 the highest.
            strength: ``(B,)``: 0 is neutral, 1 the range, over 1 beyond it.
        """
        low, high, neutral = (
            (math.log(x) for x in (self.low, self.high, self.neutral))
            if self.log
            else (self.low, self.high, self.neutral)
        )
        value = neutral + strength * (low + place * (high - low) - neutral)
        return value.exp() if self.log else value


class Effect(ABC):
    """One change of how a picture is made.

    A subclass has a name, its parameters with ranges, units and sources, and `apply`. Neutral
    values change nothing, and rows of a batch do not know each other.

    Attributes:
        name: What it is called in params and kinds.
        parameters: Its numbers, in the order of the columns of ``values``.
        reproducible: Whether a colour map and a filter of the whole picture can repeat it. Noise,
            compression and uneven light cannot be.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    reproducible: ClassVar[bool] = True

    @abstractmethod
    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """Change images, each with values of its own.

        Args:
            images: float32 ``(B, 3, H, W)`` RGB in [0, 1].
            values: float32 ``(B, P)``, a column per parameter.

        Returns:
            ``(B, 3, H, W)``; may leave [0, 1].
        """

    @property
    def neutral(self) -> list[float]:
        """Values that change nothing."""
        return [parameter.neutral for parameter in self.parameters]


def columns(values: Tensor) -> list[Tensor]:
    """Return the columns of ``(B, P)`` values as ``(B, 1, 1, 1)`` tensors."""
    return [column.view(-1, 1, 1, 1) for column in values.unbind(dim=1)]


def color_matrix(images: Tensor, matrix: Tensor) -> Tensor:
    """Return every colour of ``(B, 3, H, W)`` multiplied by its image's ``(B, 3, 3)`` matrix."""
    return torch.bmm(matrix, images.flatten(2)).view_as(images)


GAMMA = 2.2
"""Exponent between stored values and light, near enough to sRGB's curve."""


def to_light(images: Tensor) -> Tensor:
    """Return stored values as light."""
    return images.clamp_min(0.0) ** GAMMA


def from_light(light: Tensor) -> Tensor:
    """Return light as stored values."""
    return light.clamp_min(1e-6) ** (1.0 / GAMMA)


def to_density(images: Tensor) -> Tensor:
    """Return optical densities (Lambert-Beer, natural logarithm), at most that of one level."""
    return -images.clamp_min(1.0 / 255.0).log()
