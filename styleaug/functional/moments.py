"""Statistics of images and of feature maps: taken, matched and compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MIN_STD = 1.0 / 255.0
"""Smallest standard deviation used as a divisor: one 8-bit level, the smallest visible
difference."""


def channel_mean_std(
    features: Tensor, *, unbiased: bool = False, eps: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of each channel over the positions of a map.

    Args:
        features: float ``(B, C, H, W)``; taken in float32 if it has less.
        unbiased: Divide by ``HW - 1`` (the AdaIN family) instead of ``HW`` (Stylizing ViT).
        eps: Added to the variance before the root (1e-5 in the AdaIN family).

    Returns:
        Two ``(B, C, 1, 1)`` tensors.

    Raises:
        ValueError: If ``unbiased`` is asked of a map with a single position.

    Source:
        Huang & Belongie, "Arbitrary Style Transfer in Real-time with AdaIN", ICCV 2017, Eq. 5-6.

    Example:
        >>> mean, std = channel_mean_std(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2))
        >>> mean.item(), std.item()
        (0.5, 0.5)
    """
    if unbiased and features.shape[-2:].numel() < 2:
        raise ValueError(
            f"features must have at least two positions when unbiased, got {tuple(features.shape)}."
        )
    features = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    # two vectorised passes; torch.var_mean is one scalar pass and several times slower on a CPU
    mean = features.mean(dim=(2, 3), keepdim=True)
    count = features.shape[2] * features.shape[3] - int(unbiased)
    var = (features - mean).square().sum(dim=(2, 3), keepdim=True) / count
    return mean, (var + eps).sqrt()


def channel_moments(image: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean and biased standard deviation of each channel from two plain sums.

    For images in [0, 1] the result agrees with `channel_mean_std` to about 1e-5 and takes two
    passes over memory. For features, whose mean can be far larger than their spread, use
    `channel_mean_std`.

    Args:
        image: float32 ``(B, C, H, W)`` in about [0, 1].
        weights: float ``(B, 1, H, W)`` of at least 0: how much every pixel counts; None: all alike.

    Returns:
        Two ``(B, C, 1, 1)`` tensors.

    Example:
        >>> mean, std = channel_moments(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2))
        >>> mean.item(), std.item()
        (0.5, 0.5)
    """
    if weights is not None:
        shares = pixel_shares(weights)
        mean = (image * shares).sum(dim=(2, 3), keepdim=True)
        variance = ((image - mean).square() * shares).sum(dim=(2, 3), keepdim=True)
        return mean, variance.clamp_min(1e-12).sqrt()
    count = image.shape[2] * image.shape[3]
    mean = image.mean(dim=(2, 3), keepdim=True)
    norm = torch.linalg.vector_norm(image, dim=(2, 3), keepdim=True)
    # not 0, where a root has no finite slope: a flat image must not break a training
    return mean, (norm.square() / count - mean.square()).clamp_min(1e-12).sqrt()


def pixel_shares(weights: Tensor) -> Tensor:
    """Return weights ``(B, 1, H, W)`` that add up to 1 in every image; 0 where all are 0.

    Example:
        >>> pixel_shares(torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)).flatten().tolist()
        [0.25, 0.75]
    """
    return weights / weights.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)


def feature_moments(features: Tensor, *, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of each channel as AdaIN does: unbiased, plus ``eps``.

    Rounds exactly as the reference code of the AdaIN family, on which trained weights depend;
    `channel_mean_std` rounds differently.

    Args:
        features: float ``(B, C, H, W)``; taken in float32 if it has less.
        eps: Added to the variance before the root.

    Returns:
        Two ``(B, C, 1, 1)`` tensors.

    Example:
        >>> mean, std = feature_moments(torch.tensor([0.0, 2.0]).view(1, 1, 1, 2), eps=0.0)
        >>> mean.item(), round(std.item(), 4)
        (1.0, 1.4142)
    """
    wide = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    wide = wide.flatten(2)
    mean, std = wide.mean(dim=2), (wide.var(dim=2) + eps).sqrt()
    return mean[..., None, None], std[..., None, None]


def adain(content: Tensor, style: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Give the content's channels the mean and standard deviation of the style's.

    Args:
        content: float ``(B, C, H, W)``.
        style: float ``(B, C, h, w)``, any size.
        eps: Added to both variances.

    Returns:
        ``(B, C, H, W)``.

    Source:
        Huang & Belongie, ICCV 2017, Eq. 8 (unbiased variance, as in the reference code).

    Example:
        >>> features = torch.rand(1, 4, 8, 8)
        >>> torch.allclose(adain(features, features), features, atol=1e-6)
        True
    """
    return adain_to(content, *feature_moments(style, eps=eps), eps=eps)


def adain_to(features: Tensor, mean: Tensor, std: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Give the channels of features a given mean and standard deviation, as `adain` does.

    Args:
        features: float ``(B, C, H, W)``.
        mean: ``(B, C, 1, 1)``.
        std: ``(B, C, 1, 1)``.
        eps: Added to the variance of the features.

    Returns:
        ``(B, C, H, W)`` in the data type of the features.

    Example:
        >>> zeros, ones = torch.zeros(1, 4, 1, 1), torch.ones(1, 4, 1, 1)
        >>> adain_to(torch.rand(1, 4, 8, 8), zeros, ones).mean().abs().item() < 1e-6
        True
    """
    own_mean, own_std = feature_moments(features, eps=eps)
    gain = std / own_std
    return features * gain.to(features.dtype) + (mean - own_mean * gain).to(features.dtype)


def gram_matrix(features: Tensor) -> Tensor:
    """Return the Gram matrix of each map, divided by ``C * H * W``.

    Args:
        features: float ``(B, C, H, W)``.

    Returns:
        ``(B, C, C)``.

    Source:
        Johnson, Alahi & Fei-Fei, "Perceptual Losses", ECCV 2016, Eq. 3.

    Example:
        >>> gram_matrix(torch.ones(1, 2, 4, 4))[0]
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]])
    """
    flat = features.float().flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()


def moment_distance(
    output: Sequence[Tensor], style: Sequence[Tensor], *, unbiased: bool = False
) -> Tensor:
    """Return the squared differences of channel means and deviations, summed over maps.

    Args:
        output: Maps of a `FeatureExtractor`, one ``(B, C, H, W)`` per layer.
        style: Maps of the styles, any size.
        unbiased: As in `channel_mean_std`.

    Returns:
        ``(B,)``; the mean over channels of each map.

    Source:
        Huang & Belongie, ICCV 2017, Eq. 13, as a mean over channels.

    Example:
        >>> moment_distance([torch.ones(2, 2, 4, 4)], [torch.zeros(2, 2, 4, 4)])
        tensor([1., 1.])
    """
    total = []
    for a, b in zip(output, style, strict=True):
        moments = [channel_mean_std(maps, unbiased=unbiased, eps=1e-5) for maps in (a, b)]
        pairs = zip(*moments, strict=True)
        total += [(x - y).square().flatten(1).mean(dim=1) for x, y in pairs]
    return torch.stack(total).sum(dim=0)


def gram_distance(output: Sequence[Tensor], style: Sequence[Tensor]) -> Tensor:
    """Return the squared Frobenius distance of the Gram matrices, summed over maps.

    Args:
        output: Maps of a `FeatureExtractor`, one ``(B, C, H, W)`` per layer.
        style: Maps of the styles, any size.

    Returns:
        ``(B,)``.

    Source:
        Johnson, Alahi & Fei-Fei, ECCV 2016, Eq. 4.

    Example:
        >>> gram_distance([torch.ones(1, 2, 4, 4)], [torch.zeros(1, 2, 4, 4)])
        tensor([1.])
    """
    pairs = zip(output, style, strict=True)
    terms = [(gram_matrix(a) - gram_matrix(b)).square().sum(dim=(1, 2)) for a, b in pairs]
    return torch.stack(terms).sum(dim=0)
