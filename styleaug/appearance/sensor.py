"""The sensor: crosstalk of its three colour filters."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, color_matrix, from_light, to_light

_PAIRS = tuple((a, b) for a in range(3) for b in range(3) if a != b)
_NAMES = ("red", "green", "blue")


class SensorMatrix(Effect):
    """Multiplies colours in linear light by a matrix whose rows sum to 1; grey is unchanged.

    Source:
        Colour correction matrices of cameras have entries off the diagonal of -0.3 to 0.3 (DNG
        specification, ``ColorMatrix``; Karaimer & Brown, ECCV 2016).
    """

    name = "sensor"
    parameters: ClassVar = tuple(
        Parameter(f"{_NAMES[b]} in {_NAMES[a]}", 0.0, -0.2, 0.25, "share") for a, b in _PAIRS
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        matrix = torch.zeros(len(images), 3, 3, device=images.device)
        rows, cols = zip(*_PAIRS, strict=True)
        matrix[:, rows, cols] = values
        matrix += torch.diag_embed(1.0 - matrix.sum(dim=2))
        return from_light(color_matrix(to_light(images), matrix))
