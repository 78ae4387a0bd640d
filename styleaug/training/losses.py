"""Losses of style transfer as pure functions of images and of lists of feature maps.

Lists of maps are those of a `FeatureExtractor`, one tensor ``(B, C, H, W)`` per layer. Every loss
is a mean, so that its weight does not depend on the image size, unless its source says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.functional import (
    channel_mean_std,
    edge_correlation,
    gram_distance,
    style_distance,
)

Maps = Sequence[Tensor]


def content_loss(output: Maps, content: Maps) -> Tensor:
    """Return the sum over layers of the mean squared difference of the maps.

    Source:
        Gatys, Ecker & Bethge, CVPR 2016, Eq. 1, as a mean. On features of an image and its
        reconstruction this is the consistency loss of Stylizing ViT.

    Example:
        >>> content_loss([torch.ones(1, 2, 4, 4)], [torch.zeros(1, 2, 4, 4)]).item()
        1.0
    """
    return _summed(F.mse_loss(a, b) for a, b in zip(output, content, strict=True))


def anatomy_loss(output: Maps, content: Maps) -> Tensor:
    """Return the sum over layers of the mean squared difference of instance-normalised maps.

    Source:
        Stylizing ViT (arXiv 2601.17586), anatomy loss; the content loss of SANet (Park & Lee,
        CVPR 2019) on its layers.

    Example:
        >>> maps = [torch.rand(1, 2, 4, 4)]
        >>> anatomy_loss([3 * m + 1 for m in maps], maps).item() < 1e-3
        True
    """
    pairs = zip(output, content, strict=True)
    return _summed(F.mse_loss(_normalised(a), _normalised(b)) for a, b in pairs)


def style_loss(output: Maps, style: Maps) -> Tensor:
    """Return the sum over layers of the squared differences of channel means and deviations.

    Source:
        Huang & Belongie, ICCV 2017, Eq. 13, as a mean over channels; the style loss of
        Stylizing ViT and RAST.

    Example:
        >>> style_loss([torch.ones(1, 2, 4, 4)], [torch.zeros(1, 2, 4, 4)]).item()
        1.0
    """
    return style_distance(output, style).mean()


def relative_style_loss(output: Maps, content: Maps, style: Maps) -> Tensor:
    """Return what is left of the style distance that the contents had, averaged over the batch.

    The distances of pairs span three orders of magnitude; as a share all pairs count alike.

    Example:
        >>> maps = [torch.rand(2, 3, 8, 8)]
        >>> relative_style_loss(maps, [2 * m for m in maps], maps).item()
        0.0
    """
    before = style_distance(content, style).detach()
    return (style_distance(output, style) / (before + _SMALL_DISTANCE)).mean()


_SMALL_DISTANCE = 0.5
"""Style distance of maps of unit size that is hardly seen."""


def gram_loss(output: Maps, style: Maps) -> Tensor:
    """Return the sum over layers of the squared Frobenius distance of the Gram matrices.

    Source:
        Johnson, Alahi & Fei-Fei, ECCV 2016, Eq. 4: a sum, not a mean, of Gram matrices that are
        divided by ``C * H * W``; averaged over the batch.

    Example:
        >>> gram_loss([torch.ones(1, 2, 4, 4)], [torch.zeros(1, 2, 4, 4)]).item()
        1.0
    """
    return gram_distance(output, style).mean()


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
    """Return one minus the correlation of the edges, at this and coarser scales.

    The finest scale asks for every edge in its place; the coarser ones refuse halos and blotches,
    which have no edge of the content under them.

    Args:
        output: ``(B, 3, H, W)``.
        content: ``(B, 3, H, W)``.
        scales: How many; each halves the images.

    Example:
        >>> image = torch.rand(1, 3, 32, 32)
        >>> edge_loss(0.5 * image, image).item() < 1e-3
        True
    """
    terms = []
    for _ in range(scales):
        terms.append((1.0 - edge_correlation(output, content)).mean())
        output, content = (F.avg_pool2d(image, 2) for image in (output, content))
    return torch.stack(terms).mean()


def flatness_loss(output: Tensor, content: Tensor, *, scales: int = 5) -> Tensor:
    """Return how much steeper the output is than the content's own slopes explain.

    At every place and scale the output's slope may be three times the content's, scaled by the
    ratio of their mean slopes; what is above is a blotch, a frame or a halo.

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
    """Return the steepest channel's difference to the right and below, ``(B, H - 1, W - 1)``."""
    right = image[..., :-1, 1:] - image[..., :-1, :-1]
    below = image[..., 1:, :-1] - image[..., :-1, :-1]
    return (right.abs() + below.abs()).amax(dim=1)


def range_loss(image: Tensor) -> Tensor:
    """Return the mean squared distance of the pixels from [0, 1].

    Example:
        >>> range_loss(torch.full((1, 3, 2, 2), 2.0)).item()
        1.0
    """
    return (image - image.clamp(0.0, 1.0)).square().mean()


def lsgan_loss(scores: Maps, *, real: bool) -> Tensor:
    """Return the squared distance of a discriminator's scores from 1 (real) or 0 (fake).

    Args:
        scores: One tensor of scores per scale.
        real: What the discriminator should say; the generator asks for True of its fakes.

    Source:
        Mao et al., "Least Squares GANs", ICCV 2017, summed over the scales as in pix2pixHD.

    Example:
        >>> lsgan_loss([torch.zeros(1, 1, 2, 2)], real=True).item()
        1.0
    """
    return _summed((score - float(real)).square().mean() for score in scores)


def remd_loss(output: Tensor, style: Tensor) -> Tensor:
    """Return the relaxed earth mover's distance of two feature maps under the cosine distance.

    ``max(mean_i min_j C_ij, mean_j min_i C_ij)``, averaged over the batch.

    Args:
        output: ``(B, C, H, W)``.
        style: ``(B, C, h, w)``.

    Source:
        Kolkin, Salavon & Shakhnarovich, "STROTSS", CVPR 2019, Eq. 4-6; StyleKernel, Eq. 9.

    Example:
        >>> maps = torch.rand(1, 8, 4, 4)
        >>> remd_loss(maps, maps).item() < 1e-5
        True
    """
    a, b = (F.normalize(m.float().flatten(2), dim=1) for m in (output, style))
    cost = 1.0 - a.transpose(1, 2) @ b
    there, back = cost.amin(dim=2).mean(dim=1), cost.amin(dim=1).mean(dim=1)
    return torch.maximum(there, back).mean()


def _normalised(features: Tensor) -> Tensor:
    mean, std = channel_mean_std(features, eps=1e-5)
    return (features - mean) / std


def _summed(terms: object) -> Tensor:
    return torch.stack(list(terms)).sum()  # type: ignore[call-overload]
