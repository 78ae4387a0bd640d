"""Losses of style transfer on feature maps, as pure functions.

Lists of maps are those of a `FeatureExtractor`, one tensor ``(B, C, H, W)`` per layer. Every loss
is a mean, so that its weight does not depend on the image size, unless its source says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.features.lpips import lpips_distance
from styleaug.functional import channel_mean_std, gram_distance, moment_distance

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


def anatomy_loss(output: Maps, content: Maps, *, unbiased: bool = False) -> Tensor:
    """Return the sum over layers of the mean squared difference of instance-normalised maps.

    ``unbiased`` divides variances by ``HW - 1``, as the code of AdaIN, SANet and RAST does, instead
    of ``HW``, as that of Stylizing ViT does.

    Source:
        Stylizing ViT (arXiv 2601.17586), anatomy loss; the content loss of SANet (Park & Lee,
        CVPR 2019) on its layers.

    Example:
        >>> maps = [torch.rand(1, 2, 4, 4)]
        >>> anatomy_loss([3 * m + 1 for m in maps], maps).item() < 1e-3
        True
    """
    pairs = zip(output, content, strict=True)
    return _summed(F.mse_loss(_normalised(a, unbiased), _normalised(b, unbiased)) for a, b in pairs)


def style_loss(output: Maps, style: Maps, *, unbiased: bool = False) -> Tensor:
    """Return the sum over layers of the squared differences of channel means and deviations.

    ``unbiased`` as in `anatomy_loss`.

    Source:
        Huang & Belongie, ICCV 2017, Eq. 13, as a mean over channels; the style loss of
        Stylizing ViT and RAST.

    Example:
        >>> style_loss([torch.ones(1, 2, 4, 4)], [torch.zeros(1, 2, 4, 4)]).item()
        1.0
    """
    return moment_distance(output, style, unbiased=unbiased).mean()


def relative_style_loss(output: Maps, content: Maps, style: Maps) -> Tensor:
    """Return the style distance as a share of that of the contents, averaged over the batch.

    Distances of pairs span three orders of magnitude; as shares, large ones have equal weight.

    Example:
        >>> maps = [torch.rand(2, 3, 8, 8)]
        >>> relative_style_loss(maps, [2 * m for m in maps], maps).item()
        0.0
    """
    before = moment_distance(content, style).detach()
    return (moment_distance(output, style) / (before + _SMALL_DISTANCE)).mean()


_SMALL_DISTANCE = 1.5
"""Style distance (maps of unit size) below which the weight of a pair is reduced."""


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


def lpips_loss(output: Maps, target: Maps, heads: Maps) -> Tensor:
    """Return `styleaug.features.lpips.lpips_distance`, averaged over the batch.

    Example:
        >>> maps = [torch.rand(1, 4, 8, 8)]
        >>> lpips_loss(maps, maps, [torch.ones(4)]).item()
        0.0
    """
    return lpips_distance(output, target, heads).mean()


def _normalised(features: Tensor, unbiased: bool) -> Tensor:
    mean, std = channel_mean_std(features, unbiased=unbiased, eps=1e-5)
    return (features - mean) / std


def _summed(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
