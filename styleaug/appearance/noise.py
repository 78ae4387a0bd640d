"""Noise: of photons, the converter, and film grain."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns


class Noise(Effect):
    """Adds Gaussian noise whose variance increases with the signal; grey images get grey noise.

    The seed is a parameter, so that replayed params give the same noise. It
    differs between kinds of devices (CPU, CUDA), which have different generators.

    Source:
        The Poisson-Gaussian model of Foi et al., IEEE TIP 2008.
    """

    name = "noise"
    reproducible = False
    parameters: ClassVar = (
        Parameter("read", 0.0, 0.0, 0.03, "deviation"),
        Parameter("shot", 0.0, 0.0, 0.04, "deviation at white"),
        Parameter("seed", 0.0, 0.0, 2.0**24, "number"),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        read, shot, _ = columns(values)
        deviation = (read.square() + shot.square() * images.clamp_min(0.0)).sqrt()
        return images + deviation * _normal(images, values[:, 2].long().tolist())


def _normal(images: Tensor, seeds: list[int]) -> Tensor:
    """Return normal numbers ``(B, 3, H, W)``, with one seed per image."""
    drawn = []
    for image, seed in zip(images, seeds, strict=True):
        generator = torch.Generator(images.device).manual_seed(seed)
        noise = torch.randn(image.shape, generator=generator, device=images.device)
        grey = bool((image[0] == image[1]).all() & (image[0] == image[2]).all())
        drawn.append(noise[:1].expand_as(noise) if grey else noise)
    return torch.stack(drawn)
