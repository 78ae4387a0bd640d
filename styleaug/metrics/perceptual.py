"""Distances of feature maps: LPIPS, content and style losses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_choice
from styleaug.features import FeatureExtractor
from styleaug.features.encoders import VGGNormalised, load_own_vgg
from styleaug.features.lpips import LAYERS, lpips_distance, lpips_heads
from styleaug.functional import gram_distance, moment_distance
from styleaug.metrics.pairs import PairMetric


class LPIPS(PairMetric):
    """Mean learned perceptual distance: 0 for equal images.

    Args:
        backbone: "alexnet" (the usual one to report) or "vgg16".
        weights: "default" (torchvision's, downloaded once), a file with torchvision's names, or
            None for random weights. The heads come with torchmetrics.
        preset: "standard", or "stylizing-vit": images are scaled to 512 x 512 and given in [0, 1]
            although [-1, 1] is expected, as in the evaluation of Stylizing ViT, whose figures are
            therefore not comparable with others.

    Source:
        Zhang et al., CVPR 2018, version 0.1.

    Example:
        >>> metric, image = LPIPS(weights=None), torch.rand(1, 3, 64, 64)
        >>> metric.update(image, image)
        >>> metric.compute().item()
        0.0
    """

    higher_is_better: bool | None = False
    is_differentiable: bool | None = True

    def __init__(
        self,
        backbone: Literal["alexnet", "vgg16"] = "alexnet",
        *,
        weights: str | Path | None = "default",
        preset: Literal["standard", "stylizing-vit"] = "standard",
    ) -> None:
        super().__init__()
        check_choice("preset", preset, ("standard", "stylizing-vit"))
        check_choice("backbone", backbone, LAYERS)
        self.preset = preset
        self.features = FeatureExtractor(backbone, LAYERS[backbone], weights=weights)
        self.heads = lpips_heads(backbone)

    @torch.no_grad()
    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return LPIPS of every pair."""
        if self.preset == "stylizing-vit":
            output, reference = (_misread(images) for images in (output, reference))
        return lpips_distance(self.features(output), self.features(reference), self.heads)


class TemporalLPIPS(LPIPS):
    """Mean LPIPS of neighbouring frames, which measures the flicker of a stylized video.

    Source:
        What StyleKernel (CVPR 2023) calls LPIPS in its tables.

    Example:
        >>> metric = TemporalLPIPS(weights=None)
        >>> metric.update(torch.full((3, 3, 64, 64), 0.5))  # a clip that does not move
        >>> metric.compute().item()
        0.0
    """

    def update(self, frames: Tensor) -> None:  # type: ignore[override]
        """Add a clip ``(T, 3, H, W)`` of at least two frames."""
        if len(frames) < 2:
            raise ValueError(f"frames must be at least 2, got {len(frames)}.")
        super().update(frames[1:], frames[:-1])


class _FeatureDistance(PairMetric):
    """A distance of maps of a backbone."""

    higher_is_better: bool | None = False
    is_differentiable: bool | None = True
    layers: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        backbone: str = "vgg19",
        layers: Sequence[str] | None = None,
        *,
        weights: str | Path | None = "default",
        scale: Sequence[float] | None = None,
        preset: Literal["standard", "microast"] = "standard",
    ) -> None:
        super().__init__()
        check_choice("preset", preset, ("standard", "microast"))
        chosen = tuple(layers or self.layers)
        self.features: nn.Module
        if preset == "microast":
            self.features = _AdaINFeatures(chosen, weights)
        else:
            self.features = FeatureExtractor(backbone, chosen, weights=weights, scale=scale)


class ContentLoss(_FeatureDistance):
    """Mean over layers and pairs of the mean squared difference of the maps.

    Args:
        backbone: See `FeatureExtractor`.
        layers: Its maps; relu4_1 and relu5_1 by default.
        weights: "default", a file, or None for random weights.
        scale: Numbers that the maps are divided by.
        preset: "standard", or "microast": AdaIN's VGG-19, whose file ``vgg_normalised.pth`` is then
            ``weights``, with channels in the order blue, green, red.

    Source:
        The scripts of MicroAST (AAAI 2023); by default with torchvision's weights and RGB order.

    Example:
        >>> metric = ContentLoss(layers=["relu1_1"], weights=None)
        >>> image = torch.rand(1, 3, 32, 32)
        >>> metric.update(image, image)
        >>> metric.compute().item()
        0.0
    """

    layers: ClassVar[tuple[str, ...]] = ("relu4_1", "relu5_1")

    @torch.no_grad()
    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return the loss of every pair."""
        pairs = zip(self.features(output), self.features(reference), strict=True)
        return torch.stack([(a - b).square().flatten(1).mean(dim=1) for a, b in pairs]).mean(dim=0)


class StyleLoss(_FeatureDistance):
    """Mean over layers and pairs of the distance of feature statistics. Sizes may differ.

    Args:
        backbone: See `FeatureExtractor`.
        layers: Its maps; relu1_1 to relu5_1 by default.
        kind: "moments": squared differences of channel means and deviations; "gram": squared
            Frobenius distance of Gram matrices divided by C·H·W.
        weights: "default", a file, or None for random weights.
        scale: Numbers that the maps are divided by.
        preset: As in `ContentLoss`; "microast" takes unbiased deviations, too.

    Source:
        "moments": the scripts of MicroAST; "gram": Johnson et al., ECCV 2016.

    Example:
        >>> metric = StyleLoss(layers=["relu1_1"], weights=None)
        >>> image = torch.rand(1, 3, 32, 32)
        >>> metric.update(image.flip(3), image)
        >>> metric.compute().item() < 1e-3
        True
    """

    layers: ClassVar[tuple[str, ...]] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    same_size: ClassVar[bool] = False

    def __init__(
        self,
        backbone: str = "vgg19",
        layers: Sequence[str] | None = None,
        *,
        kind: Literal["moments", "gram"] = "moments",
        weights: str | Path | None = "default",
        scale: Sequence[float] | None = None,
        preset: Literal["standard", "microast"] = "standard",
    ) -> None:
        super().__init__(backbone, layers, weights=weights, scale=scale, preset=preset)
        check_choice("kind", kind, ("moments", "gram"))
        self.kind, self.unbiased = kind, preset == "microast"

    @torch.no_grad()
    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return the loss of every pair."""
        maps = self.features(output), self.features(reference)
        if self.kind == "gram":
            return gram_distance(*maps) / len(maps[0])
        return moment_distance(*maps, unbiased=self.unbiased) / len(maps[0])


class StyleDistance(PairMetric):
    """Mean distance of the embeddings of stylized images and their styles. Sizes may differ.

    Args:
        metric: `styleaug.stylex.StyleX` for X-rays, the stylizer "appearance" for any kind of
            image, or anything else with their ``distance``.

    Source:
        Eckert et al., "StyleX", arXiv 2405.14718: one minus their similarity.

    Example:
        >>> class Brightness:
        ...     def distance(self, a, b):
        ...         return (a.mean((1, 2, 3)) - b.mean((1, 2, 3))).abs()
        >>> metric = StyleDistance(Brightness())
        >>> metric.update(torch.full((1, 3, 32, 32), 0.75), torch.full((1, 3, 40, 40), 0.5))
        >>> metric.compute().item()
        0.25
    """

    higher_is_better: bool | None = False
    is_differentiable: bool | None = True
    same_size: ClassVar[bool] = False

    def __init__(self, metric: Distance) -> None:
        super().__init__()
        self.metric = metric

    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return the distance of every pair."""
        return self.metric.distance(output, reference)


class Distance(Protocol):
    """What `StyleDistance` needs."""

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distance of every pair, ``(B,)``."""


class _AdaINFeatures(nn.Module):
    """Maps of AdaIN's VGG-19, with channels in the order blue, green, red."""

    def __init__(self, layers: Sequence[str], weights: str | Path | None) -> None:
        super().__init__()
        self.encoder = VGGNormalised(layers)
        if weights == "default":
            raise ValueError(
                "weights must be the file vgg_normalised.pth with preset='microast', got 'default'."
            )
        if weights is not None:
            load_own_vgg(self.encoder, weights)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.encoder(images.flip(1))
        return maps


def _misread(images: Tensor) -> Tensor:
    """Return images in [0, 1] as they are misread by a network that expects [-1, 1]."""
    large = F.interpolate(images, (512, 512), mode="bilinear", antialias=True)
    return 0.5 + 0.5 * large
