"""Sharpness: point spread of the optics, and sharpening by software."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns

_TAPS = 6
"""Pixels on each side of the centre of a Gaussian: three standard deviations of the widest one."""


class PointSpread(Effect):
    """Blurs by a Gaussian: numerical aperture, focus, pixel size.

    Source:
        Zhang, Zerubia & Olivo-Marin, Applied Optics 2007: point spreads of microscopes are
        Gaussian to a few percent. 0.2 pixels have practically no effect.
    """

    name = "point-spread"
    parameters: ClassVar = (Parameter("sigma", 0.0, 0.0, 1.7, "pixels"),)

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        return gaussian_blur(images, values[:, 0].clamp(0.0, 2.5))


class Sharpening(Effect):
    """Sharpens by an unsharp mask: the difference from a blurred copy is added.

    Source:
        Gonzalez & Woods, *Digital Image Processing*, section 3.6; amounts of up to 1.5 with radii
        of one to two pixels are usual in scanner software.
    """

    name = "sharpening"
    parameters: ClassVar = (
        Parameter("amount", 0.0, 0.0, 1.5, "factor of the difference"),
        Parameter("radius", 1.0, 0.6, 1.8, "pixels"),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        amount, _ = columns(values)
        return images + amount * (images - gaussian_blur(images, values[:, 1].clamp(0.1, 2.5)))


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur every image with its own Gaussian, in two passes; border pixels are repeated.

    Args:
        images: ``(B, C, H, W)``.
        sigma: ``(B,)`` standard deviations in pixels, at most 2.5; 0 changes nothing.

    Example:
        >>> image = torch.rand(1, 3, 16, 16)
        >>> torch.equal(gaussian_blur(image, torch.zeros(1)), image)
        True
    """
    taps = torch.arange(-_TAPS, _TAPS + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-0.5 * (taps / sigma.clamp_min(0.05).view(-1, 1)) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    count, channels, height, width = images.shape
    kernels = weights.repeat_interleave(channels, 0)
    flat = F.pad(images, (_TAPS, _TAPS, _TAPS, _TAPS), mode="replicate").flatten(0, 1)[None]
    flat = F.conv2d(flat, kernels.view(-1, 1, 1, 2 * _TAPS + 1), groups=count * channels)
    flat = F.conv2d(flat, kernels.view(-1, 1, 2 * _TAPS + 1, 1), groups=count * channels)
    return flat.view(count, channels, height, width)
