"""Edges of images, and how similar the structures of two images are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_FLAT = 1e-3
"""Edges of a smaller root mean square are invisible: a quarter of an 8-bit level."""


def sobel_magnitude(image: Tensor) -> Tensor:
    """Return the Sobel magnitude of the grey of an image, in float32 even under autocast.

    Args:
        image: float ``(B, 3, H, W)``.

    Returns:
        ``(B, H - 2, W - 2)``; a step from 0 to 1 gives 4.

    Source:
        Sobel magnitudes as in Gonzalez & Woods; grey is the mean of the channels.

    Example:
        >>> sobel_magnitude(torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 3, 4, 4)).max().item()
        4.0
    """
    across = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([across, across.T]).unsqueeze(1)
    # in a lower precision the differences of neighbours would drown in rounding
    with torch.autocast(image.device.type, enabled=False):
        gradients = F.conv2d(image.mean(dim=1, keepdim=True), kernels)
    return (gradients.square().sum(dim=1) + 1e-12).sqrt()  # a finite slope where it is flat


def edge_correlation(image: Tensor, reference: Tensor) -> Tensor:
    """Return the correlation of the edges of two images: 1 where every edge is kept.

    Args:
        image: float ``(B, 3, H, W)``.
        reference: float ``(B, 3, H, W)``.

    Returns:
        ``(B,)`` Pearson correlations of the Sobel magnitudes of the greys; 1 where neither image
        has an edge, 0 where only one has.

    Example:
        >>> image = torch.rand(1, 3, 16, 16)
        >>> round(edge_correlation(0.5 * image + 0.2, image).item(), 4)
        1.0
    """
    a, b = (sobel_magnitude(x).flatten(1) for x in (image, reference))
    a, b = (x - x.mean(dim=1, keepdim=True) for x in (a, b))
    norms, flat = (a.norm(dim=1), b.norm(dim=1)), _FLAT * a.shape[1] ** 0.5
    both_flat = (norms[0] < flat) & (norms[1] < flat)
    correlation = (a * b).sum(dim=1) / (norms[0] * norms[1]).clamp_min(flat**2)
    return torch.where(both_flat, torch.ones_like(correlation), correlation)


def ssim(image: Tensor, reference: Tensor) -> Tensor:
    """Return the structural similarity of images in [0, 1], averaged over channels and places.

    Args:
        image: float ``(B, C, H, W)`` in [0, 1], sides >= 11.
        reference: float ``(B, C, H, W)``.

    Returns:
        ``(B,)`` in [-1, 1]; 1 where the images are equal.

    Source:
        Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 2004: Gaussian window of 11 pixels with
        sigma 1.5, K1 = 0.01, K2 = 0.03; only positions whose window lies inside the image count.

    Example:
        >>> image = torch.rand(1, 3, 32, 32)
        >>> round(ssim(image, image).item(), 4)
        1.0
    """
    steps = torch.arange(11, device=image.device, dtype=image.dtype) - 5
    weights = torch.exp(-0.5 * (steps / 1.5) ** 2)
    weights = weights / weights.sum()

    def blur(x: Tensor) -> Tensor:
        across = F.conv2d(x.flatten(0, 1).unsqueeze(1), weights.view(1, 1, 1, 11))
        return F.conv2d(across, weights.view(1, 1, 11, 1)).view(len(x), -1)

    mean_a, mean_b = blur(image), blur(reference)
    var_a, var_b = (
        blur(image.square()) - mean_a.square(),
        blur(reference.square()) - mean_b.square(),
    )
    covariance = blur(image * reference) - mean_a * mean_b
    light = (2 * mean_a * mean_b + 1e-4) / (mean_a.square() + mean_b.square() + 1e-4)
    return (light * (2 * covariance + 9e-4) / (var_a + var_b + 9e-4)).mean(dim=1)
