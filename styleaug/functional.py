"""Pure tensor functions of style transfer: statistics, transports and blends.

All of them are batched, differentiable where their formulas are, run on any device and never change
their arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_STD = 1.0 / 255.0
"""Smallest standard deviation that is divided by: one 8-bit level, below which nothing is seen."""


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


def channel_moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and biased standard deviation of each channel from two plain sums.

    The same numbers as `channel_mean_std` to about 1e-5 for images in [0, 1], in the time of two
    memory passes; use that one for features, whose mean can dwarf their spread.

    Args:
        image: float32 ``(B, C, H, W)`` in about [0, 1].

    Returns:
        Two ``(B, C, 1, 1)`` tensors.

    Example:
        >>> mean, std = channel_moments(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2))
        >>> mean.item(), std.item()
        (0.5, 0.5)
    """
    count = image.shape[2] * image.shape[3]
    mean = image.mean(dim=(2, 3), keepdim=True)
    norm = torch.linalg.vector_norm(image, dim=(2, 3), keepdim=True)
    # not 0, where a root has no finite slope: a flat image must not break a training
    return mean, (norm.square() / count - mean.square()).clamp_min(1e-12).sqrt()


def feature_moments(features: Tensor, *, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Return means and deviations of each channel as AdaIN takes them: unbiased, plus ``eps``.

    The formula of the AdaIN family to the last bit, which trained weights depend on:
    `channel_mean_std` rounds otherwise.

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
    """Give the channels of features another mean and standard deviation, as `adain` does.

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


def moment_distance(output: Sequence[Tensor], style: Sequence[Tensor]) -> Tensor:
    """Return the squared differences of channel means and deviations, summed over maps.

    Args:
        output: Maps of a `FeatureExtractor`, one ``(B, C, H, W)`` per layer.
        style: Maps of the styles, any size.

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
        pairs = zip(channel_mean_std(a, eps=1e-5), channel_mean_std(b, eps=1e-5), strict=True)
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


def mean_covariance(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean colour and the biased colour covariance of each image.

    From plain sums, like `channel_moments`.

    Args:
        image: float ``(B, C, H, W)``.

    Returns:
        ``(B, C, 1)`` and ``(B, C, C)``.

    Example:
        >>> mean, covariance = mean_covariance(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2))
        >>> covariance.item()
        0.25
    """
    flat = image.flatten(2)
    mean = flat.mean(dim=2, keepdim=True)
    return mean, flat @ flat.transpose(1, 2) / flat.shape[2] - mean @ mean.transpose(1, 2)


def monge_kantorovich(content_cov: Tensor, style_cov: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Return the linear map of least displacement that turns one covariance into another.

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
    root, inverse_root = _matrix_roots(source)
    middle, _ = _matrix_roots(root @ target @ root)
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


def sobel_magnitude(image: Tensor) -> Tensor:
    """Return how steep the grey of an image is, in float32 even where autocast is on.

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
        sigma 1.5, K1 = 0.01, K2 = 0.03, places whose window leaves the image left out.

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


_FLAT = 1e-3
"""Root mean square of edges that nobody sees, a quarter of an 8-bit level."""


def _matrix_roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the square root and its inverse of symmetric positive definite ``(B, 3, 3)``.

    On a CPU by eigenvectors. Their solver would make the host wait on a GPU, and no graph that is
    exported has it, so there by a formula: the eigenvalues by the cosine of a third of an angle
    (Smith, 1961), the root from its invariants (Hoger & Carlson, 1984), and two steps of Newton
    against what rounding leaves. Both agree to 1e-6 of the largest entry.
    """
    if matrix.device.type == "cpu" and not torch.compiler.is_compiling():
        return _roots_by_eigenvectors(matrix)
    return _roots_by_formula(matrix)


def _roots_by_eigenvectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp_min(1e-12).sqrt()  # sums round: a flat image can come out below zero
    back = vectors.transpose(-1, -2)
    return (vectors * roots.unsqueeze(-2)) @ back, (vectors / roots.unsqueeze(-2)) @ back


def _roots_by_formula(matrix: Tensor) -> tuple[Tensor, Tensor]:
    one = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    first, second, third = (part[:, None, None] for part in _root_invariants(matrix, one))
    root = (first**2 - second) * matrix + first * third * one - matrix @ matrix
    root = root / (first * second - third)
    for _ in range(2):
        root = 0.5 * (root + _inverse(root) @ matrix)
    return root, _inverse(root)


def _root_invariants(matrix: Tensor, one: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum, sum of products and product of the roots of the eigenvalues, ``(B,)`` each."""
    mean = matrix.diagonal(dim1=1, dim2=2).mean(dim=1)
    rest = matrix - mean[:, None, None] * one
    spread = (rest.square().sum(dim=(1, 2)) / 6.0).sqrt().clamp_min(1e-12)
    angle = _arc_cosine(_determinant(rest / spread[:, None, None]) / 2.0) / 3.0
    largest = mean + 2.0 * spread * angle.cos()
    least = mean + 2.0 * spread * (angle + 2.0 * math.pi / 3.0).cos()
    values = torch.stack([largest, 3.0 * mean - largest - least, least])
    a, b, c = values.clamp_min(1e-12).sqrt()
    return a + b + c, a * b + b * c + c * a, a * b * c


def _arc_cosine(cosine: Tensor) -> Tensor:
    """Return the arc cosine in float64, which runtimes of ONNX have in float32 only.

    By half of the angle, whose sine is exact near 0 and pi, and one step of Newton.
    """
    half_sine = ((1.0 - cosine.abs()) / 2.0).clamp_min(0.0).sqrt()
    half = half_sine.float().asin().double()
    half = half + (half_sine - half.sin()) / half.cos()
    return torch.where(cosine >= 0.0, 2.0 * half, math.pi - 2.0 * half)


def _determinant(matrix: Tensor) -> Tensor:
    first, second, third = matrix.unbind(dim=1)
    product: Tensor = first * torch.linalg.cross(second, third)
    return product.sum(dim=1)


def _inverse(matrix: Tensor) -> Tensor:
    first, second, third = matrix.unbind(dim=1)
    columns = (
        torch.linalg.cross(second, third),
        torch.linalg.cross(third, first),
        torch.linalg.cross(first, second),
    )
    return torch.stack(columns, dim=2) / _determinant(matrix)[:, None, None]
