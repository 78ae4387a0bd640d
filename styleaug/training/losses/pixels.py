"""Losses of style transfer on images ``(B, 3, H, W)``, as pure functions.

Every loss is a mean, so that its weight does not depend on the image size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.functional import edge_correlation, sobel_magnitude
from styleaug.training.losses.maps import style_loss


def identity_loss(output: Tensor, image: Tensor) -> Tensor:
    """Return the mean squared difference of an image and its reconstruction.

    Source:
        Stylizing ViT, identity loss; Park & Lee (SANet), CVPR 2019, Eq. 9.

    Example:
        >>> identity_loss(torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)).item()
        1.0
    """
    return F.mse_loss(output, image)


def color_moments_loss(output: Tensor, style: Tensor) -> Tensor:
    """Return the squared differences of the mean and the deviation of R, G and B.

    Example:
        >>> color_moments_loss(torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)).item()
        1.0
    """
    return style_loss([output], [style])


def total_variation_loss(image: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring pixels, both directions summed.

    Source:
        Rudin, Osher & Fatemi, Physica D 1992, anisotropic form.

    Example:
        >>> total_variation_loss(torch.ones(1, 3, 4, 4)).item()
        0.0
    """
    down = (image[..., 1:, :] - image[..., :-1, :]).abs().mean()
    right = (image[..., :, 1:] - image[..., :, :-1]).abs().mean()
    return down + right


def edge_loss(output: Tensor, content: Tensor, *, scales: int = 4) -> Tensor:
    """Return how far the correlation of the edges is below 1, at this and coarser scales.

    The finest scale keeps every edge in its place and has as much weight as all coarser ones, which
    penalise halos and blotches, where the content has no edges. The missing part x of a correlation
    counts as ``x + 30 x²``, so that few images lose much.

    Args:
        output: ``(B, 3, H, W)``.
        content: ``(B, 3, H, W)``.
        scales: Number of scales, two or more; each halves the images.

    Example:
        >>> image = torch.rand(1, 3, 32, 32)
        >>> edge_loss(0.5 * image, image).item() < 1e-3
        True
    """
    terms = []
    for _ in range(scales):
        missing = 1.0 - edge_correlation(output, content)
        terms.append((missing + _STEEP * missing.square()).mean())
        output, content = (F.avg_pool2d(image, 2) for image in (output, content))
    return 0.5 * (terms[0] + torch.stack(terms[1:]).mean())


_STEEP = 30.0


def fringe_loss(output: Tensor, content: Tensor, *, scales: int = 2) -> Tensor:
    """Return how far each channel's edges are from full correlation with those of the content.

    If the edges of a channel are displaced, a coloured fringe appears, which the grey image in
    `edge_loss` does not show. The edges of the content are those of all its channels together.

    Args:
        output: ``(B, 3, H, W)``.
        content: ``(B, 3, H, W)``.
        scales: How many; each halves the images.

    Example:
        >>> grey = torch.rand(1, 1, 32, 32).expand(1, 3, 32, 32)
        >>> fringe_loss(0.5 * grey, grey).item() < 1e-3
        True
    """
    terms = []
    for _ in range(scales):
        found, own = _channel_edges(output), _channel_edges(content).norm(dim=1, keepdim=True)
        found, own = (edges - edges.mean(dim=2, keepdim=True) for edges in (found, own))
        faint = _FAINT_EDGES * found.shape[2] ** 0.5
        sizes = [edges.norm(dim=2).clamp_min(faint) for edges in (found, own)]
        terms.append((1.0 - (found * own).sum(dim=2) / (sizes[0] * sizes[1])).mean())
        output, content = (F.avg_pool2d(image, 2) for image in (output, content))
    return torch.stack(terms).mean()


def _channel_edges(image: Tensor) -> Tensor:
    """Return the gradient magnitude of every channel at every position, ``(B, C, N)``."""
    edges = sobel_magnitude(image.flatten(0, 1).unsqueeze(1))
    steepness: Tensor = edges.unflatten(0, image.shape[:2]).flatten(2)
    return steepness


_FAINT_EDGES = 2e-3
"""Root mean square of edges below which a channel counts as flat: half an 8-bit level."""


def flatness_loss(output: Tensor, content: Tensor, *, scales: int = 5) -> Tensor:
    """Return how much steeper the output is than the slopes of the content allow.

    At every position and scale the slope of the output may be three times that of the content,
    scaled by the ratio of their mean slopes; more is a blotch, a frame or a halo.

    Args:
        output: ``(B, 3, H, W)``.
        content: ``(B, 3, H, W)``.
        scales: How many; each halves the images.

    Example:
        >>> image = torch.rand(1, 3, 32, 32)
        >>> flatness_loss(0.5 * image, image).item()
        0.0
    """
    terms = []
    for _ in range(scales):
        found, own = _slopes(output), _slopes(content)
        means = [slope.mean(dim=(1, 2), keepdim=True) for slope in (found, own)]
        gain = (means[0] / means[1].clamp_min(1e-4)).detach()
        terms.append(F.relu(found - 3.0 * gain * own).mean())
        output, content = (F.avg_pool2d(image, 2) for image in (output, content))
    return torch.stack(terms).mean()


def _slopes(image: Tensor) -> Tensor:
    """Return the differences of the steepest channel to its neighbours, ``(B, H - 1, W - 1)``."""
    right = image[..., :-1, 1:] - image[..., :-1, :-1]
    below = image[..., 1:, :-1] - image[..., :-1, :-1]
    return (right.abs() + below.abs()).amax(dim=1)


def range_loss(image: Tensor, content: Tensor) -> Tensor:
    """Return how far pixels leave [0, 1]; pixels on edges of the content have more weight.

    Args:
        image: ``(B, 3, H, W)``, not clamped.
        content: ``(B, 3, H, W)`` in [0, 1].

    Example:
        >>> range_loss(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)).item()
        0.0
    """
    beyond = (image - image.clamp(0.0, 1.0)).abs().mean(dim=1)[:, 1:-1, 1:-1]
    edges = sobel_magnitude(content)
    edges = edges / edges.mean(dim=(1, 2), keepdim=True).clamp_min(1e-3)
    return (beyond * (_FLAT_SHARE + edges)).mean()


_FLAT_SHARE = 0.2
"""Weight of a pixel without an edge in `range_loss`, relative to one with an average edge."""
