"""The losses of all recipes, as pure functions of images, feature maps, scores and embeddings."""

from styleaug.training.losses.adversarial import lsgan_loss
from styleaug.training.losses.contextual import contextual_loss
from styleaug.training.losses.contrastive import info_nce_loss
from styleaug.training.losses.embeddings import contrastive_loss, graded_loss
from styleaug.training.losses.maps import (
    anatomy_loss,
    content_loss,
    gram_loss,
    lpips_loss,
    relative_style_loss,
    remd_loss,
    style_loss,
)
from styleaug.training.losses.pixels import (
    color_moments_loss,
    edge_loss,
    flatness_loss,
    fringe_loss,
    identity_loss,
    range_loss,
    total_variation_loss,
)
from styleaug.training.losses.restoration import multi_restoration_losses, stylization_losses

__all__ = [
    "anatomy_loss",
    "color_moments_loss",
    "content_loss",
    "contextual_loss",
    "contrastive_loss",
    "edge_loss",
    "flatness_loss",
    "fringe_loss",
    "graded_loss",
    "gram_loss",
    "identity_loss",
    "info_nce_loss",
    "lpips_loss",
    "lsgan_loss",
    "multi_restoration_losses",
    "range_loss",
    "relative_style_loss",
    "remd_loss",
    "style_loss",
    "stylization_losses",
    "total_variation_loss",
]
