"""Colour transfer between images, and blending."""

from __future__ import annotations

import torch
from torch import Tensor

from styleaug.functional.moments import pixel_shares
from styleaug.functional.roots import matrix_roots


def blend(content: Tensor, stylized: Tensor, alpha: Tensor) -> Tensor:
    """Mix content and stylized images: 0 keeps the content, 1 is full style.

    Args:
        content: float ``(B, C, H, W)``.
        stylized: float ``(B, C, H, W)``.
        alpha: float ``(B,)`` in [0, 1].

    Returns:
        ``(B, C, H, W)``.

    Example:
        >>> zeros, ones = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
        >>> blend(zeros, ones, torch.tensor([0.25])).mean().item()
        0.25
    """
    return torch.lerp(content, stylized, alpha.view(-1, 1, 1, 1).to(content.dtype))


def mean_covariance(image: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean colour and the biased colour covariance of each image.

    Computed from plain sums, like `channel_moments`.

    Args:
        image: float ``(B, C, H, W)``.
        weights: float ``(B, 1, H, W)`` of at least 0: how much every pixel counts; None: all alike.

    Returns:
        ``(B, C, 1)`` and ``(B, C, C)``.

    Example:
        >>> mean, covariance = mean_covariance(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2))
        >>> covariance.item()
        0.25
    """
    flat = image.flatten(2)
    if weights is not None:
        shares = pixel_shares(weights).flatten(2)
        mean = (flat * shares).sum(dim=2, keepdim=True)
        away = flat - mean
        return mean, (away * shares) @ away.transpose(1, 2)
    mean = flat.mean(dim=2, keepdim=True)
    return mean, flat @ flat.transpose(1, 2) / flat.shape[2] - mean @ mean.transpose(1, 2)


def monge_kantorovich(content_cov: Tensor, style_cov: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Return the linear map that turns one covariance into another and moves colours least.

    Args:
        content_cov: ``(B, C, C)``, symmetric and positive semi-definite.
        style_cov: ``(B, C, C)`` likewise.
        eps: Added to the diagonal of both, so that flat and grey images stay finite.

    Returns:
        ``(B, C, C)`` symmetric maps ``T`` with ``T content_cov T = style_cov``.

    Source:
        Pitié & Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based
        colour transfer", CVMP 2007, Eq. 4: ``T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2``.

    Example:
        >>> eye = torch.eye(3)[None]
        >>> torch.allclose(monge_kantorovich(eye, 4 * eye), 2 * eye, atol=1e-4)
        True
    """
    ridge = eps * torch.eye(content_cov.shape[-1], device=content_cov.device, dtype=torch.float64)
    source = content_cov.double() + ridge
    target = style_cov.double() + ridge
    root, inverse_root = matrix_roots(source)
    middle, _ = matrix_roots(root @ target @ root)
    return (inverse_root @ middle @ inverse_root).to(content_cov.dtype)


def match_color(image: Tensor, reference: Tensor) -> Tensor:
    """Give ``image`` the mean colour and the colour covariance of ``reference``.

    Args:
        image: float ``(B, 3, H, W)`` in [0, 1].
        reference: float ``(B, 3, h, w)`` in [0, 1].

    Returns:
        ``(B, 3, H, W)`` in [0, 1].

    Source:
        Pitié & Kokaram, CVMP 2007. The AdaIN reference code matches by the Cholesky factors
        (CORAL); the symmetric map used here moves the colours least.

    Example:
        >>> image = torch.rand(1, 3, 32, 32)
        >>> torch.allclose(match_color(image, image), image, atol=1e-4)
        True
    """
    mean, covariance = mean_covariance(image)
    target_mean, target_covariance = mean_covariance(reference)
    transport = monge_kantorovich(covariance, target_covariance)
    return affine_color(image, transport, target_mean - transport @ mean).clamp_(0.0, 1.0)


def affine_color(image: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Map every colour through ``matrix @ colour + offset``; the result may leave [0, 1].

    Args:
        image: float ``(B, 3, H, W)``.
        matrix: ``(B, 3, 3)``.
        offset: ``(B, 3, 1)``.

    Returns:
        ``(B, 3, H, W)``.

    Example:
        >>> image = torch.rand(1, 3, 4, 4)
        >>> torch.equal(affine_color(image, torch.eye(3)[None], torch.zeros(1, 3, 1)), image)
        True
    """
    return torch.baddbmm(offset, matrix, image.flatten(2)).view(image.shape)
