"""Fourier domain adaptation: the amplitudes of the lowest spatial frequencies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from styleaug.stylizers.base import ColorStylizer, Maps, Precision

_SILENT = 1e-6
"""Amplitude below which a frequency counts as absent: a quarter of 8-bit rounding at 256 pixels."""


class FourierDomainAdaptation(ColorStylizer):
    """Swap the low-frequency amplitudes for the style's and keep every phase.

    Frequencies count cycles per image, so a style of any size fits a content of any size.
    ``alpha`` interpolates the amplitudes, which is the same as blending the images.

    Warning:
        Not for CT: lesions have the size of the swapped waves. A lesion of 30 HU above its
        surroundings came out with 0.05 to 3 times its contrast.

    Args:
        beta: Half the side of the swapped square as a share of the shorter image side, in
            (0, 0.5]; 0.01 to 0.1 is usual. Larger values carry over the style's blobs.
        precision: Accepted by all stylizers; this one always uses float32.
        max_batch: Most images at once.

    Raises:
        ValueError: If ``beta`` is out of range.

    Source:
        Yang & Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020,
        Eq. 3, with the symmetric square of their code. The style's spectrum is kept to 128 cycles
        per image; above that the content keeps its own amplitudes.

    Example:
        >>> stylizer = FourierDomainAdaptation(beta=0.05)
        >>> code = stylizer.encode_style(torch.rand(1, 3, 64, 48))
        >>> stylizer.stylize(torch.rand(2, 3, 40, 40), code).shape
        torch.Size([2, 3, 40, 40])
    """

    name = "fda"
    pointwise = False
    unexportable = "how many frequencies it swaps depends on the size of the image"
    _chunk_bytes = 2**21
    style_size = 256

    def __init__(
        self, *, beta: float = 0.02, precision: Precision = "auto", max_batch: int | None = None
    ) -> None:
        super().__init__(precision=precision, max_batch=max_batch)
        if not 0.0 < beta <= 0.5:
            raise ValueError(f"beta must be in (0, 0.5], got {beta!r}.")
        self.beta = float(beta)

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        # "forward" norm divides by the number of pixels: amplitudes of any sizes compare.
        return {"amplitude": torch.fft.rfft2(style.contiguous(), norm="forward").abs()}

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(content.contiguous(), norm="forward")
        shorter = min(content.shape[2:])
        # Short of the Nyquist frequencies, which have no sign of their own.
        reach = min(int(self.beta * shorter), (shorter - 1) // 2, (self.style_size or 0) // 2 - 1)
        for rows in (slice(0, reach + 1), slice(-reach, None)) if reach else (slice(0, 1),):
            low = spectrum[:, :, rows, : reach + 1]
            _swap_amplitude(low, maps["amplitude"][:, :, rows, : reach + 1], alpha)
        painted: Tensor = torch.fft.irfft2(spectrum, s=content.shape[2:], norm="forward")
        return painted

    def _code_settings(self) -> dict[str, Any]:
        return {"size": self.style_size}


def _swap_amplitude(spectrum: Tensor, amplitude: Tensor, alpha: Tensor) -> None:
    """Replace the amplitudes of the complex ``spectrum`` by those of the style, in place."""
    own = spectrum.abs()
    # The phase of a frequency that the content lacks is rounding noise: leave it out.
    wanted = torch.where(own > _SILENT, amplitude, own)
    spectrum.copy_(torch.sgn(spectrum) * torch.lerp(own, wanted, alpha.view(-1, 1, 1, 1)))
