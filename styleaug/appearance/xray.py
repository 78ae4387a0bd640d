"""X-rays: the processing between the film and the screen."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, columns
from styleaug.appearance.pipelines import LocalLaplacian, Pipeline, UnsharpTone


class _Film(Effect):
    """A pipeline of StyleX, mixed with the original picture."""

    pipeline: ClassVar[type[Pipeline]]

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        (amount,) = columns(values[:, :1])
        grey = images.mean(dim=1, keepdim=True).clamp(0.0, 1.0)
        vectors = self.pipeline.clamp(values[:, 1:])
        # a generator of its own: where there is no noise, nobody's stream may move on
        processed = self.pipeline.process(grey, vectors, torch.Generator(), standard=False)
        return images + amount.clamp(0.0, 1.0) * (processed - grey)


def _parameters(pipeline: type[Pipeline]) -> tuple[Parameter, ...]:
    """Return the amount, and the pipeline's own parameters with its ranges."""
    neutral = pipeline().vector.tolist()
    own = (
        Parameter(name, value, low, high, "of the pipeline")
        for (name, (low, high)), value in zip(pipeline.RANGES.items(), neutral, strict=True)
        if name != "noise"
    )
    return (Parameter("amount", 0.0, 0.5, 1.0, "share"), *own)


class FilmPyramid(_Film):
    """Logarithm, local Laplacian filter, window and gamma of a film; colour is kept.

    Source:
        `styleaug.appearance.pipelines.LocalLaplacian`, without its standard exposure, so that every
        crop of a film is processed alike.
    """

    name = "film-pyramid"
    pipeline = LocalLaplacian
    parameters: ClassVar = _parameters(LocalLaplacian)


class FilmUnsharp(_Film):
    """Unsharp mask, local contrast and sigmoid of a film; colour is kept.

    Source:
        `styleaug.appearance.pipelines.UnsharpTone`, without its standard exposure and its noise.
    """

    name = "film-unsharp"
    pipeline = UnsharpTone
    parameters: ClassVar = _parameters(UnsharpTone)

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        silent = values.new_zeros(len(values), 1)
        return super().apply(images, torch.cat([values, silent], dim=1))
