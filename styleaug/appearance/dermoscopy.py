"""Dermoscopy: skin tone, and reflections that a polariser would remove."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns

_MELANIN = torch.tensor([0.4143, 0.3570, 0.8372]).view(1, 3, 1, 1)
_HAEMOGLOBIN = torch.tensor([0.2988, 0.6838, 0.6657]).view(1, 3, 1, 1)


class SkinTone(Effect):
    """More or less melanin and haemoglobin everywhere, in optical density.

    Source:
        Tsumura et al., SIGGRAPH 2003: the two densities of skin as directions of colour. The
        range of melanin spans three of Fitzpatrick's types to the darker side, one to the lighter.
    """

    name = "skin-tone"
    parameters: ClassVar = (
        Parameter("melanin", 0.0, -0.2, 0.6, "optical density"),
        Parameter("haemoglobin", 0.0, -0.15, 0.25, "optical density"),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        melanin, haemoglobin = columns(values)
        density = melanin * _MELANIN.to(images) + haemoglobin * _HAEMOGLOBIN.to(images)
        return images * (-density).exp()


class Veil(Effect):
    """Adds light reflected by the surface, which crossed polarisers would remove.

    Source:
        Benvenuto-Andrade et al., Arch. Dermatol. 2007: contact and polarised dermoscopy differ in
        contrast and in the white of the surface.
    """

    name = "veil"
    parameters: ClassVar = (Parameter("veil", 0.0, -0.05, 0.18, "share of white"),)

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        (veil,) = columns(values)
        return images + veil * (1.0 - images)
