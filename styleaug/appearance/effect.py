"""The base of effects: parameters with ranges, and a function that applies them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Parameter:
    """A parameter of an effect, with its range at strength 1.

    Attributes:
        name: Its name.
        neutral: The value that changes nothing.
        low: Lowest value at strength 1.
        high: Highest value at strength 1.
        unit: Its unit.
        log: Whether its logarithm is drawn uniformly, as for gains.

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
        """Return the values at relative positions in the range, scaled by the strength.

        Args:
            place: ``(B,)`` in [0, 1]; 0 is the lowest value, 1 the highest.
            strength: ``(B,)``: 0 is neutral, 1 is the range, larger values exceed it.
        """
        low, high, neutral = (
            (math.log(x) for x in (self.low, self.high, self.neutral))
            if self.log
            else (self.low, self.high, self.neutral)
        )
        value = neutral + strength * (low + place * (high - low) - neutral)
        return value.exp() if self.log else value


class Effect(ABC):
    """One change of how a picture was made.

    A subclass has a name, parameters with ranges, units and sources, and `apply`. Neutral values
    change nothing, and the images of a batch are independent of each other.

    Attributes:
        name: Its name in params and kinds.
        parameters: Its parameters, in the order of the columns of ``values``.
        reproducible: Whether a global colour map and filter could reproduce it. For noise,
            compression and uneven light this is False.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    reproducible: ClassVar[bool] = True

    @abstractmethod
    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """Change every image by its own values.

        Args:
            images: float32 ``(B, 3, H, W)`` RGB in [0, 1].
            values: float32 ``(B, P)``, one column per parameter.

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
    """Multiply the colours of each image ``(B, 3, H, W)`` by its matrix ``(B, 3, 3)``."""
    return torch.bmm(matrix, images.flatten(2)).view_as(images)


GAMMA = 2.2
"""Exponent between stored values and light, close to the curve of sRGB."""


def to_light(images: Tensor) -> Tensor:
    """Return stored values as light."""
    return images.clamp_min(0.0) ** GAMMA


def from_light(light: Tensor) -> Tensor:
    """Return light as stored values."""
    return light.clamp_min(1e-6) ** (1.0 / GAMMA)


def to_density(images: Tensor) -> Tensor:
    """Return optical densities (Lambert-Beer, natural logarithm) of values of at least 1/255."""
    return -images.clamp_min(1.0 / 255.0).log()
