"""StyleX: similarity of the processing of two X-rays, independent of their anatomy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_choice
from styleaug.images.checks import check_images, check_sides, check_unit_range
from styleaug.weights import EXTRA, Weights, load_published

try:
    from torchvision import models
except (ImportError, RuntimeError) as error:
    raise ImportError(
        f"styleaug.stylex needs torchvision, its import failed with {error}. Install both from "
        "one index: pip install torch torchvision."
    ) from error

PACKAGED = (
    Weights(
        "films",
        "stylex.safetensors",
        "CC BY 4.0",
        "chest X-rays, processed by both pipelines of this package",
        sha256="fe4a541bd1ef1b871057be37c3bb7db58485cb081482f4c54ad9aebc903bec2c",
        size=22371000,
        package=EXTRA,
    ),
)
"""The weights that ``styleaug-weights`` holds; their card lies beside them."""

SIZE = 512
"""Length of an embedding."""

VIEWS = (1, 2, 8)
"""Numbers of copies of an image that can be averaged."""


class StyleEncoder(nn.Module):
    """ResNet-18 for grey images, up to its pooled features.

    Example:
        >>> StyleEncoder().eval()(torch.rand(2, 1, 64, 64)).shape
        torch.Size([2, 512])
    """

    def __init__(self) -> None:
        super().__init__()
        body = models.resnet18(weights=None, zero_init_residual=True)
        body.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        body.fc = nn.Identity()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings ``(B, 512)`` of images ``(B, 1, H, W)`` in [0, 1]."""
        found: Tensor = self.body(2.0 * images - 1.0)
        return found


class SimSiamHeads(nn.Module):
    """Projector and predictor of SimSiam.

    Args:
        size: Length of the embeddings.
        width: Length of the projections.
        bottleneck: Width between the layers of the predictor.

    Source:
        Chen & He, "Exploring Simple Siamese Representation Learning", CVPR 2021, with three layers
        of projection as in their code.
    """

    def __init__(self, size: int = SIZE, width: int = 2048, bottleneck: int = 512) -> None:
        super().__init__()
        self.projector = nn.Sequential(
            *_layer(size, size),
            *_layer(size, size),
            nn.Linear(size, width, bias=False),
            nn.BatchNorm1d(width, affine=False),
        )
        self.predictor = nn.Sequential(*_layer(width, bottleneck), nn.Linear(bottleneck, width))

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Return projections and predictions."""
        projected = self.projector(embeddings)
        return projected, self.predictor(projected)


class StyleX(nn.Module):
    """Similarity of X-ray styles: the cosine of two embeddings, 1 for the same processing.

    The encoder is frozen, but gradients reach the images, so that it can be used as a loss.

    Args:
        weights: "films", which ``pip install 'styleaug[weights]'`` brings, or a file written by
            ``styleaug train stylex``.
        views: How many copies of an image are embedded and averaged: 1 is the image itself; 2 adds
            its mirror image; 8 adds both turned by 90, 180 and 270 degrees. Processing has no
            direction, so differences between copies are errors: 8 copies identify a style more
            reliably, at 8 times the cost.

    Raises:
        FileNotFoundError: If there is no such file, or ``styleaug-weights`` is not installed.
        ValueError: If there are no weights of this name, they do not fit, or ``views`` is not 1, 2
            or 8.

    Example:
        >>> from styleaug.stylex import LocalLaplacian
        >>> ramp = torch.linspace(0, 1, 96).expand(1, 1, 96, 96)
        >>> film = 0.8 * ramp * ramp.mT + 0.1
        >>> soft = LocalLaplacian(detail=0.6, gamma=0.6)
        >>> hard = LocalLaplacian(detail=2.5, gamma=1.8)
        >>> metric = StyleX()
        >>> other = film.flip(3)
        >>> bool(metric.distance(soft(film), soft(other)) < metric.distance(soft(film), hard(film)))
        True

    Source:
        Eckert et al., "StyleX: A Trainable Metric for X-ray Style Distances", arXiv 2405.14718. The
        paper calls the similarity a distance; here the distance is one minus it.
    """

    def __init__(self, weights: str | Path = "films", *, views: int = 8) -> None:
        super().__init__()
        check_choice("views", views, VIEWS)
        self.views = views
        self.encoder = StyleEncoder()
        self.weights_id = load_published(self.encoder, weights, PACKAGED)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> StyleX:
        """Stay in eval mode, whatever a parent module asks for."""
        return super().train(False)

    def embed(self, images: Tensor) -> Tensor:
        """Return embeddings ``(B, 512)`` of unit length.

        Args:
            images: float ``(B, 1, H, W)`` or ``(B, 3, H, W)`` in [0, 1], sides of at least 32
                pixels; colour is averaged.

        Raises:
            ValueError: If shape or values do not fit.
        """
        images = grey_images(images)
        found = [F.normalize(self.encoder(copy).float(), dim=1) for copy in self._copies(images)]
        return F.normalize(torch.stack(found).mean(dim=0), dim=1)

    def _copies(self, images: Tensor) -> Iterator[Tensor]:
        for mirrored in (images, images.flip(3))[: self.views]:
            yield mirrored
            if self.views == VIEWS[-1]:
                yield from (torch.rot90(mirrored, quarters, (2, 3)) for quarters in (1, 2, 3))

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the similarity of pairs, ``(B,)`` in [-1, 1]; sizes may differ."""
        if len(a) != len(b):
            raise ValueError(f"a and b must hold as many images, got {len(a)} and {len(b)}.")
        return (self.embed(a) * self.embed(b)).sum(dim=1)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return one minus the similarity of pairs, ``(B,)``."""
        return 1.0 - self.similarity(a, b)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return `distance`."""
        return self.distance(a, b)


def grey_images(images: Tensor) -> Tensor:
    """Return images as ``(B, 1, H, W)``.

    Raises:
        ValueError: If they are not images with one or three channels in [0, 1] and sides of at
            least 32 pixels.
    """
    check_images("images", images, (1, 3))
    check_sides("images", images, 32)
    check_unit_range("images", images.detach())
    return images.mean(dim=1, keepdim=True)


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
