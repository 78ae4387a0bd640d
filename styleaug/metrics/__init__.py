"""Metrics of stylized images, as `torchmetrics.Metric` subclasses.

They need ``pip install 'styleaug[metrics]'``. All take float images ``(B, 3, H, W)`` in [0, 1],
accumulate over batches, and gather over processes.
"""

try:
    import torchmetrics  # noqa: F401
except ImportError as error:
    raise ImportError(
        "styleaug.metrics needs torchmetrics: pip install 'styleaug[metrics]'."
    ) from error

from styleaug.metrics.cycle import IdempotencyDrift, RestorationSSIM
from styleaug.metrics.distribution import (
    ArtFID,
    ConditionalInceptionScore,
    FrechetDistance,
    frechet_distance,
    gaussian_moments,
)
from styleaug.metrics.pairs import PairMetric
from styleaug.metrics.perceptual import LPIPS, ContentLoss, StyleDistance, StyleLoss, TemporalLPIPS
from styleaug.metrics.structure import PSNR, SSIM, EdgeCorrelation, psnr

__all__ = [
    "LPIPS",
    "PSNR",
    "SSIM",
    "ArtFID",
    "ConditionalInceptionScore",
    "ContentLoss",
    "EdgeCorrelation",
    "FrechetDistance",
    "IdempotencyDrift",
    "PairMetric",
    "RestorationSSIM",
    "StyleDistance",
    "StyleLoss",
    "TemporalLPIPS",
    "frechet_distance",
    "gaussian_moments",
    "psnr",
]
