"""Metrics of structure: SSIM, PSNR and the correlation of edges."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from styleaug._checks import check_choice
from styleaug.functional import edge_correlation, ssim
from styleaug.metrics.pairs import PairMetric

PRESETS = ("standard", "stylizing-vit")


class SSIM(PairMetric):
    """Mean structural similarity: 1 for equal images. Sides must have at least 11 pixels.

    Source:
        Wang et al., IEEE TIP 2004; see `styleaug.functional.ssim`.

    Example:
        >>> metric, image = SSIM(), torch.full((1, 3, 16, 16), 0.5)
        >>> metric.update(image, image)
        >>> round(metric.compute().item(), 4)
        1.0
    """

    higher_is_better: bool | None = True

    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return SSIM of every pair."""
        if min(output.shape[2:]) < 11:
            raise ValueError(f"SSIM needs sides of at least 11 pixels, got {tuple(output.shape)}.")
        return ssim(output, reference)


class EdgeCorrelation(PairMetric):
    """Mean correlation of the Sobel magnitudes: 1 where every edge is kept.

    It is 1 if neither image has an edge, and 0 if only one has.

    Example:
        >>> metric = EdgeCorrelation()
        >>> image = torch.eye(16).expand(1, 3, 16, 16)
        >>> metric.update(0.5 * image + 0.2, image)
        >>> round(metric.compute().item(), 4)
        1.0
    """

    higher_is_better: bool | None = True

    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return the correlation of every pair."""
        return edge_correlation(output, reference)


class PSNR(PairMetric):
    """Mean peak signal-to-noise ratio in decibel.

    Args:
        preset: "standard", or "stylizing-vit": the peak is the largest value of the pair, as in
            the evaluation of Stylizing ViT.

    Example:
        >>> metric = PSNR()
        >>> metric.update(torch.full((1, 3, 8, 8), 0.6), torch.full((1, 3, 8, 8), 0.5))
        >>> round(metric.compute().item(), 2)
        20.0
    """

    higher_is_better: bool | None = True

    def __init__(self, preset: Literal["standard", "stylizing-vit"] = "standard") -> None:
        super().__init__()
        check_choice("preset", preset, PRESETS)
        self.preset = preset

    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return PSNR of every pair."""
        return psnr(output, reference, dynamic_peak=self.preset == "stylizing-vit")


def psnr(output: Tensor, reference: Tensor, *, dynamic_peak: bool = False) -> Tensor:
    """Return the peak signal-to-noise ratio of every pair in decibel, ``(B,)``.

    Args:
        output: ``(B, C, H, W)`` in [0, 1].
        reference: ``(B, C, H, W)``.
        dynamic_peak: Use the largest value of both images as the peak instead of 1.

    Returns:
        ``(B,)``; 100 dB for equal images, because the error is clamped to at least 1e-10.

    Example:
        >>> psnr(torch.full((1, 3, 2, 2), 0.6), torch.full((1, 3, 2, 2), 0.5)).round().tolist()
        [20.0]
    """
    error = (output - reference).square().flatten(1).mean(dim=1).clamp_min(1e-10)
    peak = torch.maximum(output.flatten(1).amax(dim=1), reference.flatten(1).amax(dim=1))
    peak = peak if dynamic_peak else torch.ones_like(peak)
    return 10.0 * (peak.clamp_min(1e-5).square() / error).log10()
