"""CT: window and reconstruction kernel."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns
from styleaug.appearance.sharpness import gaussian_blur


class Window(Effect):
    """Changes centre and width of the window; values outside of it become black or white.

    Source:
        Soft-tissue windows of 350 to 450 HU around 30 to 60 HU are in use for one organ (Bae et
        al., Radiology 2010): widths of 0.75 to 1.35 and centres up to 0.12 of a width apart.
    """

    name = "window"
    parameters: ClassVar = (
        Parameter("center", 0.0, -0.12, 0.12, "widths"),
        Parameter("width", 1.0, 0.75, 1.35, "factor", log=True),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        center, width = columns(values)
        return (images - 0.5 - center) / width + 0.5


class Kernel(Effect):
    """Imitates a smoother or sharper reconstruction kernel by gains of two frequency bands.

    Source:
        Modulation transfer functions of B20 to B70 (Siemens) and of soft to bone (GE) differ by
        0.3 to 3 in their upper half (Solomon et al., Med. Phys. 2015).
    """

    name = "kernel"
    parameters: ClassVar = (
        Parameter("fine", 1.0, 0.25, 3.0, "factor below 1.5 pixels", log=True),
        Parameter("middle", 1.0, 0.6, 1.8, "factor of 1.5 to 4 pixels", log=True),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        fine, middle = columns(values)
        narrow, wide = (
            gaussian_blur(images, torch.full_like(values[:, 0], sigma)) for sigma in (0.8, 2.0)
        )
        return images + (fine - 1.0) * (images - narrow) + (middle - 1.0) * (narrow - wide)
