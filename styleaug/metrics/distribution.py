"""Distances of sets of images: Fréchet distance, ArtFID, conditional inception score."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from styleaug._checks import check_choice
from styleaug.metrics.pairs import check_metric_images
from styleaug.metrics.perceptual import LPIPS


class FrechetDistance(Metric):
    """Fréchet distance of the features of two sets of images, Inception's FID by default.

    Only sums are kept, so that memory does not grow and results of processes combine exactly.

    Args:
        features: A network from images ``(B, 3, H, W)`` in [0, 1] to features ``(B, D)``; None
            takes the Inception-v3 of the preset with 2048 features; its weights are downloaded
            once.
        size: Number of features D.
        preset: "standard": torchmetrics' Inception, which needs torch-fidelity. "stylizing-vit":
            that of timm, on images scaled and padded with black to 299 x 299, without
            normalisation. "art-fid": distances of 15 subsets of growing size, extrapolated to
            infinitely many images; it keeps all features and needs as many outputs as styles.

    Raises:
        ImportError: If ``features`` is None and torch-fidelity or timm is missing.
        ValueError: From `compute`, if one of the sets has fewer than two images (40 for "art-fid").
            With fewer images than features the covariance is of low rank, and the distance is
            biased upwards.

    Source:
        Heusel et al., NeurIPS 2017, Eq. 6; Chong & Forsyth, CVPR 2020, for the extrapolation:
        subsets have at least 5000 images, or half of all if there are fewer than 10000.

    Example:
        >>> metric = FrechetDistance(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), size=3)
        >>> images = torch.rand(8, 3, 8, 8)
        >>> metric.update(images, of="output")
        >>> metric.update(images, of="style")
        >>> round(metric.compute().item(), 4)
        0.0
    """

    higher_is_better: bool | None = False
    is_differentiable: bool | None = False
    full_state_update: bool | None = False

    def __init__(
        self,
        features: nn.Module | None = None,
        *,
        size: int = 2048,
        preset: Literal["standard", "stylizing-vit", "art-fid"] = "standard",
    ) -> None:
        super().__init__()
        check_choice("preset", preset, ("standard", "stylizing-vit", "art-fid"))
        self.preset = preset
        default = padded_inception if preset == "stylizing-vit" else _inception
        self.features = (features or default()).eval()
        for name in ("output", "style"):
            if preset == "art-fid":
                self.add_state(f"{name}_all", [], dist_reduce_fx="cat")
                continue
            wide = torch.zeros(size, dtype=torch.float64)
            self.add_state(f"{name}_sum", wide, dist_reduce_fx="sum")
            self.add_state(f"{name}_outer", torch.outer(wide, wide), dist_reduce_fx="sum")
            self.add_state(f"{name}_count", torch.tensor(0), dist_reduce_fx="sum")

    @torch.no_grad()
    def update(self, images: Tensor, of: Literal["output", "style"]) -> None:
        """Add images ``(B, 3, H, W)`` in [0, 1] to one of the sets."""
        check_metric_images("images", images)
        found = self.features(images).double()
        state: Any = self
        if self.preset == "art-fid":
            getattr(state, f"{of}_all").append(found)
            return
        setattr(self, f"{of}_sum", getattr(state, f"{of}_sum") + found.sum(dim=0))
        setattr(self, f"{of}_outer", getattr(state, f"{of}_outer") + found.T @ found)
        setattr(self, f"{of}_count", getattr(state, f"{of}_count") + len(found))

    def compute(self) -> Tensor:
        """Return the distance of the outputs to the styles."""
        state: Any = self
        if self.preset == "art-fid":
            output, style = (
                dim_zero_cat(found) if len(found) else torch.zeros(0, 1)
                for found in (state.output_all, state.style_all)
            )
            return distance_of_infinitely_many(output, style).float()
        moments = []
        for name in ("output", "style"):
            count = int(getattr(state, f"{name}_count"))
            if count < 2:
                raise ValueError(f"{name} must hold at least two images, got {count}.")
            mean = getattr(state, f"{name}_sum") / count
            outer = getattr(state, f"{name}_outer") - count * torch.outer(mean, mean)
            moments += [mean, outer / (count - 1)]
        return frechet_distance(*moments).float()


class ArtFID(Metric):
    """``(1 + LPIPS(content, output)) (1 + FID(style, output))``: low if content and style both fit.

    Args:
        features: See `FrechetDistance`. ArtFID's own Inception was trained on art; that of ImageNet
            is the default here, so figures compare with the paper's only with its weights.
        size: Number of features.
        weights: Weights of the AlexNet of LPIPS.
        preset: "standard", or "art-fid" for the extrapolated distance of their code; see
            `FrechetDistance`.

    Source:
        Wright & Ommer, GCPR 2022, Eq. 5.

    Example:
        >>> pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> metric, images = ArtFID(pool, size=3, weights=None), torch.rand(4, 3, 64, 64)
        >>> metric.update(images, images, images)
        >>> round(metric.compute().item(), 3)
        1.0
    """

    higher_is_better: bool | None = False
    is_differentiable: bool | None = False
    full_state_update: bool | None = False

    def __init__(
        self,
        features: nn.Module | None = None,
        *,
        size: int = 2048,
        weights: str | Path | None = "default",
        preset: Literal["standard", "art-fid"] = "standard",
    ) -> None:
        super().__init__()
        check_choice("preset", preset, ("standard", "art-fid"))
        self.frechet = FrechetDistance(features, size=size, preset=preset)
        self.lpips = LPIPS(weights=weights)

    def update(self, output: Tensor, content: Tensor, style: Tensor) -> None:
        """Add stylized images, their contents and their styles."""
        self.lpips.update(output, content)
        self.frechet.update(output, of="output")
        self.frechet.update(style, of="style")

    def compute(self) -> Tensor:
        """Return the product."""
        return (1.0 + self.lpips.compute()) * (1.0 + self.frechet.compute())

    def reset(self) -> None:
        """Reset the metric to no images."""
        super().reset()
        self.lpips.reset()
        self.frechet.reset()


class ConditionalInceptionScore(Metric):
    """Spread of the predicted classes among the stylized images of each content.

    ``exp(mean over contents of mean over its images of KL(p(y|image) || mean p(y|content)))``. 1 if
    all styles of a content are classified alike; at most the number of classes.

    Whether high or low is better is not settled: in image translation more spread per content means
    more diversity; the paper on contextual style transfer calls lower values worse in one place and
    better in another. Report it together with LPIPS, and describe the classifier.

    Args:
        classifier: A network from images ``(B, 3, H, W)`` in [0, 1] to logits ``(B, K)``.

    Raises:
        ValueError: From `update`, with fewer than two stylized images of a content; from `compute`,
            with no content.

    Source:
        Huang, Liu, Belongie & Kautz, "MUNIT", ECCV 2018, Eq. 8; used by Xu, Li & Shin, HCIS 2020.

    Example:
        >>> metric = ConditionalInceptionScore(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        >>> metric.update(torch.full((4, 3, 8, 8), 0.5))  # four stylized images of one content
        >>> metric.compute().item()
        1.0
    """

    higher_is_better: bool | None = None
    is_differentiable: bool | None = False
    full_state_update: bool | None = False
    total: Tensor
    count: Tensor

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier.eval()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @torch.no_grad()
    def update(self, stylized: Tensor) -> None:
        """Add the stylized images ``(S, 3, H, W)`` of one content."""
        check_metric_images("stylized", stylized)
        if len(stylized) < 2:
            raise ValueError(f"stylized must hold at least two images, got {len(stylized)}.")
        likely = torch.log_softmax(self.classifier(stylized).double(), dim=1)
        mean = torch.logsumexp(likely, dim=0) - torch.tensor(float(len(likely))).log()
        self.total += (likely.exp() * (likely - mean)).sum(dim=1).mean().clamp_min(0.0)
        self.count += 1

    def compute(self) -> Tensor:
        """Return the score."""
        if int(self.count) == 0:
            raise ValueError("ConditionalInceptionScore must see at least one content, got none.")
        return (self.total / self.count).exp().float()


def gaussian_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean ``(D,)`` and unbiased covariance ``(D, D)`` of features ``(N, D)`` in float64.

    Raises:
        ValueError: If there are fewer than two.

    Example:
        >>> mean, covariance = gaussian_moments(torch.tensor([[0.0], [2.0]]))
        >>> mean.item(), covariance.item()
        (1.0, 2.0)
    """
    if len(features) < 2:
        raise ValueError(f"features must be at least two, got {len(features)}.")
    wide = features.double()
    return wide.mean(dim=0), torch.cov(wide.T).reshape(wide.shape[1], wide.shape[1])


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> Tensor:
    """Return ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^1/2)``.

    The trace of the root is the sum of the square roots of the eigenvalues of the product, which
    are real and not negative.

    Example:
        >>> eye = torch.eye(2, dtype=torch.float64)
        >>> zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
        >>> round(frechet_distance(zero, eye, one, 4 * eye).item(), 6)
        4.0
    """
    values = torch.linalg.eigvals(cov_a @ cov_b).real.clamp_min(0.0)
    traces = cov_a.trace() + cov_b.trace() - 2.0 * values.sqrt().sum()
    distance: Tensor = ((mean_a - mean_b).square().sum() + traces).clamp_min(0.0)
    return distance


def distance_of_infinitely_many(output: Tensor, style: Tensor, points: int = 15) -> Tensor:
    """Return the Fréchet distance of two sets of features, extrapolated to infinitely many images.

    The distance of n images has a bias of about a constant over n. A line is fitted to distances of
    subsets over 1 / n and read at 0. Subsets are drawn with a fixed seed of their own.

    Args:
        output: ``(N, D)`` features, N at least 40.
        style: ``(N, D)`` likewise.
        points: Number of subsets.

    Raises:
        ValueError: If the sets differ in length or are too small.
    """
    count = len(output)
    if count < _FEWEST or count != len(style):
        raise ValueError(
            f"output and style must hold as many images, at least {_FEWEST}, got {count} and "
            f"{len(style)}."
        )
    generator = torch.Generator().manual_seed(0)
    sizes = torch.linspace(min(5000, count // 2), count, points).int()
    found = []
    for size in sizes.tolist():
        rows = torch.randperm(count, generator=generator)[:size].to(output.device)
        found.append(
            frechet_distance(*gaussian_moments(output[rows]), *gaussian_moments(style[rows]))
        )
    inverse = torch.stack([1.0 / sizes.double(), torch.ones(points)], dim=1)
    line = torch.linalg.lstsq(inverse, torch.stack(found).cpu().unsqueeze(1)).solution
    limit: Tensor = line[1, 0]
    return limit


_FEWEST = 40


def padded_inception(*, pretrained: bool = True) -> nn.Module:
    """Return timm's Inception-v3 as the evaluation of Stylizing ViT uses it.

    Images are scaled to fit into 299 x 299, padded with black, and not normalised.

    Args:
        pretrained: Download timm's weights; False leaves them random.

    Raises:
        ImportError: If timm is missing.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError("preset='stylizing-vit' needs timm: pip install timm.") from error
    return _Padded(timm.create_model("inception_v3", pretrained=pretrained, num_classes=0))


class _Padded(nn.Module):
    """Scales images into a square of 299 pixels and pads them."""

    side = 299

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        scale = self.side / max(height, width)
        inner = [max(1, round(length * scale)) for length in (height, width)]
        small = F.interpolate(images, inner, mode="bilinear", antialias=True)
        top, left = ((self.side - length) // 2 for length in inner)
        around = (left, self.side - inner[1] - left, top, self.side - inner[0] - top)
        found: Tensor = self.network(F.pad(small, around))
        return found


def _inception() -> nn.Module:
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3
    except ImportError as error:
        raise ImportError("FID needs torchmetrics: pip install 'styleaug[metrics]'.") from error
    try:
        network: nn.Module = NoTrainInceptionV3("inception-v3-compat", ["2048"])
    except ModuleNotFoundError as error:
        raise ImportError(
            "FID with Inception needs torch-fidelity: pip install torch-fidelity; or pass features."
        ) from error
    return _FromUnitRange(network)


class _FromUnitRange(nn.Module):
    """Inception of torch-fidelity takes bytes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network((images * 255.0).round().byte())
        return found
