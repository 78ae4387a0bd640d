"""Two processing pipelines of X-rays; a style is a vector of their parameters.

Both take grey images ``(B, 1, H, W)`` in [0, 1] and return the same, and both are differentiable in
images and parameters. Every image of a batch may have its own parameters. Like X-ray machines, both
first standardise exposure and contrast, so that the result depends on the parameters and not on the
dose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

Range = tuple[float, float]
Own = TypeVar("Own", bound="Pipeline")


@dataclass(frozen=True)
class Pipeline:
    """Parameters of an X-ray pipeline; subclasses implement the processing.

    Attributes:
        RANGES: Lowest and highest value of every parameter.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    RANGES: ClassVar[Mapping[str, Range]] = {}

    def __post_init__(self) -> None:
        for name, (low, high) in self.RANGES.items():
            value = getattr(self, name)
            if not low - 1e-6 <= value <= high + 1e-6:
                raise ValueError(f"{name} must be in [{low}, {high}], got {value}.")

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Process images ``(B, 1, H, W)`` in [0, 1], all with these parameters."""
        return self.process(images, self.vector.to(images).expand(len(images), -1), generator)

    @classmethod
    def process(
        cls,
        images: Tensor,
        vectors: Tensor,
        generator: torch.Generator | None = None,
        *,
        standard: bool = True,
    ) -> Tensor:
        """Process every image with its own parameters.

        Args:
            images: ``(B, 1, H, W)`` in [0, 1].
            vectors: ``(B, P)`` parameters in the order of the fields.
            generator: Source of noise, on the CPU; None takes torch's global one.
            standard: Standardise exposure and contrast first. Without it a crop gets the same
                result as inside the whole image.

        Returns:
            ``(B, 1, H, W)`` in [0, 1].
        """
        scaled = cls._scaled(images)
        prepared = ranged(scaled) if standard else scaled
        return cls._processed(prepared, _columns(vectors), generator)

    @classmethod
    def _scaled(cls, images: Tensor) -> Tensor:
        """Return images on the brightness scale of the pipeline."""
        return images

    @classmethod
    def _processed(
        cls, images: Tensor, columns: list[Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Process images of standard exposure; every parameter is ``(B, 1, 1, 1)``."""
        raise NotImplementedError(f"{cls.__name__} must implement _processed.")

    @property
    def vector(self) -> Tensor:
        """The parameters as ``(P,)``."""
        return torch.tensor(astuple(self))

    @classmethod
    def from_vector(cls: type[Own], vector: Tensor) -> Own:
        """Return the pipeline of a vector ``(P,)``; values are clamped to their ranges."""
        return cls(*cls.clamp(vector).tolist())

    @classmethod
    def clamp(cls, vectors: Tensor) -> Tensor:
        """Return vectors ``(..., P)`` with every parameter in its range."""
        low, high = cls.limits()
        return vectors.clamp(low.to(vectors), high.to(vectors))

    @classmethod
    def limits(cls) -> tuple[Tensor, Tensor]:
        """Return the lowest and highest parameters, ``(P,)`` each."""
        ranges = [cls.RANGES[item.name] for item in fields(cls)]
        return torch.tensor([r[0] for r in ranges]), torch.tensor([r[1] for r in ranges])

    @classmethod
    def normalise(cls, vectors: Tensor) -> Tensor:
        """Return vectors in units of their ranges, so that all parameters have equal weight."""
        low, high = cls.limits()
        return (vectors - low.to(vectors)) / (high - low).to(vectors)

    @classmethod
    def sample(cls, count: int, generator: torch.Generator, *, held_out: bool = False) -> Tensor:
        """Draw parameters ``(count, P)`` uniformly from the ranges.

        Args:
            count: How many.
            generator: Source of randomness.
            held_out: Draw from the region that training never uses, where the first two parameters
                are both in the upper third of their ranges; otherwise from the rest.
        """
        low, high = cls.limits()
        drawn = torch.rand(count, len(low), generator=generator)
        if held_out:
            drawn[:, :2] = 2 / 3 + drawn[:, :2] / 3
        else:
            inside = (drawn[:, :2] > 2 / 3).all(dim=1)
            drawn[inside, 0] = drawn[inside, 0] - 1 / 3
        return low + drawn * (high - low)


@dataclass(frozen=True)
class LocalLaplacian(Pipeline):
    """Logarithm, standard exposure, local Laplacian filter, window and gamma.

    Attributes:
        detail: Slope for small differences; above 1 details are amplified.
        edges: Slope for large differences; below 1 the range is compressed.
        fine: Gain of the finest band.
        coarse: Gain of the coarsest band.
        center: Centre of the window.
        width: Width of the window.
        gamma: Exponent of the tone curve.

    Source:
        Paris, Hasinoff & Kautz, SIGGRAPH 2011, in the fast form of Aubry et al., ACM TOG 2014: a
        smooth curve around eight intensities, between which the pyramids are interpolated. Eckert
        et al. (arXiv 2405.14718) disclose no parameters; this stands for their reproducible
        pipeline.

    Example:
        >>> images = torch.rand(2, 1, 64, 64)
        >>> LocalLaplacian(detail=2.0)(images).shape
        torch.Size([2, 1, 64, 64])
    """

    detail: float = 1.0
    edges: float = 1.0
    fine: float = 1.0
    coarse: float = 1.0
    center: float = 0.5
    width: float = 1.0
    gamma: float = 1.0

    RANGES: ClassVar[Mapping[str, Range]] = {
        "detail": (0.5, 3.0),
        "edges": (0.3, 1.2),
        "fine": (0.5, 3.0),
        "coarse": (0.6, 1.6),
        "center": (0.4, 0.7),
        "width": (0.6, 1.4),
        "gamma": (0.5, 2.0),
    }

    @classmethod
    def _scaled(cls, images: Tensor) -> Tensor:
        return (1.0 + 3.0 * images).log() / math.log(4.0)

    @classmethod
    def _processed(
        cls, images: Tensor, columns: list[Tensor], generator: torch.Generator | None
    ) -> Tensor:
        detail, edges, fine, coarse, center, width, gamma = columns
        bands, low = _local_laplacian(images, detail, edges)
        gains = [fine * (coarse / fine) ** (level / (_LEVELS - 1)) for level in range(_LEVELS)]
        for band, gain in zip(reversed(bands), reversed(gains), strict=True):
            low = _up(low, band) + gain * band
        return _window(low, center, width).clamp_min(1e-4) ** gamma


@dataclass(frozen=True)
class UnsharpTone(Pipeline):
    """Standard exposure, unsharp masking, local contrast, a sigmoid curve and noise.

    Attributes:
        amount: Strength of the unsharp mask.
        local: Share of the locally normalised image, in the manner of CLAHE.
        radius: Standard deviation of the mask in pixels.
        slope: Slope of the sigmoid.
        middle: Grey value that stays in the middle.
        noise: Standard deviation of the noise.

    Example:
        >>> UnsharpTone(amount=2.0)(torch.rand(1, 1, 48, 64)).shape
        torch.Size([1, 1, 48, 64])
    """

    amount: float = 0.0
    local: float = 0.0
    radius: float = 2.0
    slope: float = 4.0
    middle: float = 0.5
    noise: float = 0.0

    RANGES: ClassVar[Mapping[str, Range]] = {
        "amount": (0.0, 3.0),
        "local": (0.0, 0.8),
        "radius": (1.0, 5.0),
        "slope": (2.0, 9.0),
        "middle": (0.35, 0.65),
        "noise": (0.0, 0.06),
    }

    @classmethod
    def _processed(
        cls, images: Tensor, columns: list[Tensor], generator: torch.Generator | None
    ) -> Tensor:
        amount, local, radius, slope, middle, noise = columns
        sharp = images + amount * (images - blurred(images, radius))
        wide = torch.full_like(radius, 12.0)
        mean = blurred(sharp, wide)
        spread = (blurred(sharp.square(), wide) - mean.square()).clamp_min(1e-4).sqrt()
        even = 0.5 + 0.2 * (sharp - mean) / (spread + 0.02)
        mixed = sharp + local * (even - sharp)
        ends = [torch.sigmoid(slope * (end - middle)) for end in (0.0, 1.0)]
        toned = (torch.sigmoid(slope * (mixed - middle)) - ends[0]) / (ends[1] - ends[0])
        grain = torch.randn(images.shape, generator=generator).to(images)
        return (toned + noise * grain).clamp(0.0, 1.0)


PIPELINES: dict[str, type[Pipeline]] = {
    "local-laplacian": LocalLaplacian,
    "unsharp-tone": UnsharpTone,
}

_LEVELS = 4
_INTENSITIES = 8
_SIGMA = 0.15
"""Largest difference that counts as detail; the distance of two intensities."""
_TAPS = 12


def _columns(vectors: Tensor) -> list[Tensor]:
    return [column.view(-1, 1, 1, 1) for column in vectors.unbind(dim=1)]


def ranged(images: Tensor) -> Tensor:
    """Return images with a mean of 0.5 and a deviation of 0.2, as far as [0, 1] holds them.

    Args:
        images: ``(B, 1, H, W)``.

    Example:
        >>> ranged(torch.rand(1, 1, 64, 64) * 0.1).mean().round(decimals=2).item()
        0.5
    """
    mean = images.mean(dim=(2, 3), keepdim=True)
    std = (images - mean).square().mean(dim=(2, 3), keepdim=True).clamp_min(1e-4).sqrt()
    return (0.5 + 0.2 * (images - mean) / std).clamp(0.0, 1.0)


def _local_laplacian(image: Tensor, detail: Tensor, edges: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the bands of the filtered image and its low-frequency remainder."""
    levels = [image]
    for _ in range(_LEVELS):
        levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True))
    bands = [torch.zeros_like(level) for level in levels[:-1]]
    for step in range(_INTENSITIES):
        reference = step / (_INTENSITIES - 1)
        remapped = _remap(image, reference, detail, edges)
        for index in range(_LEVELS):
            smaller = F.avg_pool2d(remapped, 2, ceil_mode=True)
            near = (1.0 - (levels[index] - reference).abs() * (_INTENSITIES - 1)).clamp_min(0.0)
            bands[index] = bands[index] + near * (remapped - _up(smaller, remapped))
            remapped = smaller
    return bands, levels[-1]


def _remap(image: Tensor, reference: float, detail: Tensor, edges: Tensor) -> Tensor:
    """Return values around a reference: near ones with one slope, far ones with another."""
    gap = image - reference
    near = torch.exp(-0.5 * (gap / _SIGMA).square())
    return reference + gap * (edges + (detail - edges) * near)


def _window(image: Tensor, center: Tensor, width: Tensor) -> Tensor:
    return ((image - center) / width + 0.5).clamp(0.0, 1.0)


def _up(image: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(image, like.shape[2:], mode="bilinear", align_corners=False)


def blurred(image: Tensor, sigma: Tensor) -> Tensor:
    """Blur every image with its own Gaussian, in two passes.

    Args:
        image: ``(B, 1, H, W)``.
        sigma: One deviation per image, in pixels.

    Example:
        >>> blurred(torch.ones(2, 1, 32, 32), torch.tensor([1.0, 3.0])).mean().item()
        1.0
    """
    taps = torch.arange(-_TAPS, _TAPS + 1, device=image.device, dtype=image.dtype)
    weights = torch.exp(-0.5 * (taps / sigma.view(-1, 1)) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    batch, _, height, width = image.shape
    flat = F.pad(image, (_TAPS, _TAPS, _TAPS, _TAPS), mode="replicate").transpose(0, 1)
    flat = F.conv2d(flat, weights.view(batch, 1, 1, -1), groups=batch)
    flat = F.conv2d(flat, weights.view(batch, 1, -1, 1), groups=batch)
    return flat.transpose(0, 1).view(batch, 1, height, width)
