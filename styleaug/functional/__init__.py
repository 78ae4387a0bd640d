"""Pure tensor functions of style transfer: statistics, transports, blends and structure.

All of them are batched, differentiable where their formulas are, run on any device and never change
their arguments.
"""

from styleaug.functional.colors import (
    affine_color,
    blend,
    match_color,
    mean_covariance,
    monge_kantorovich,
)
from styleaug.functional.moments import (
    MIN_STD,
    adain,
    adain_to,
    channel_mean_std,
    channel_moments,
    feature_moments,
    gram_distance,
    gram_matrix,
    moment_distance,
)
from styleaug.functional.structure import (
    edge_correlation,
    sobel_magnitude,
    ssim,
)

__all__ = [
    "MIN_STD",
    "adain",
    "adain_to",
    "affine_color",
    "blend",
    "channel_mean_std",
    "channel_moments",
    "edge_correlation",
    "feature_moments",
    "gram_distance",
    "gram_matrix",
    "match_color",
    "mean_covariance",
    "moment_distance",
    "monge_kantorovich",
    "sobel_magnitude",
    "ssim",
]
