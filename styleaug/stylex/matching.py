"""Find the parameters of a pipeline that make an image look like a reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from styleaug.appearance.pipelines import Pipeline
from styleaug.stylex.encoder import grey_images

Own = TypeVar("Own", bound=Pipeline)


def match_pipeline(
    image: Tensor,
    reference: Tensor,
    pipeline: type[Own],
    *,
    distance: Callable[[Tensor, Tensor], Tensor],
    steps: int = 150,
    starts: int = 8,
    learning_rate: float = 0.05,
    seed: int = 0,
) -> Own:
    """Return the parameters whose output is closest to the reference.

    Gradient descent (Adam) from several random starts at once, with each parameter kept in its
    range; the best result of all steps is returned.

    Args:
        image: A plain image ``(1, 1 or 3, H, W)`` in [0, 1].
        reference: A processed image of any anatomy and size, likewise.
        pipeline: The class of the pipeline.
        distance: Function of images and references, ``(B, 1, H, W)`` each, to ``(B,)``, such as
            `StyleX`.
        steps: Number of updates.
        starts: Number of random starts.
        learning_rate: Learning rate of Adam, in units of the ranges.
        seed: Seed of the starts and of noise.

    Raises:
        ValueError: If an image does not fit.

    Example:
        >>> from styleaug.stylex import UnsharpTone
        >>> image = torch.rand(1, 1, 32, 32)
        >>> gap = lambda a, b: (a.mean((1, 2, 3)) - b.mean((1, 2, 3))).square()
        >>> found = match_pipeline(image, image, UnsharpTone, distance=gap, steps=3)
        >>> isinstance(found, UnsharpTone)
        True
    """
    plain, wanted = (grey_images(x)[:1].expand(starts, -1, -1, -1) for x in (image, reference))
    generator = torch.Generator().manual_seed(seed)
    position = pipeline.normalise(pipeline.sample(starts, generator)).to(plain)
    position.requires_grad_()
    low, high = (limit.to(plain) for limit in pipeline.limits())
    optimizer = torch.optim.Adam([position], lr=learning_rate)
    best, found = float("inf"), low
    for _ in range(steps):
        vectors = low + position.clamp(0.0, 1.0) * (high - low)
        noise = torch.Generator().manual_seed(seed)  # the same grain at every step
        gaps = distance(pipeline.process(plain, vectors, noise), wanted)
        if float(gaps.detach().min()) < best:
            best, found = float(gaps.detach().min()), vectors[gaps.argmin()].detach()
        optimizer.zero_grad()
        gaps.sum().backward()
        optimizer.step()
        with torch.no_grad():
            position.clamp_(0.0, 1.0)
    return pipeline.from_vector(found.cpu())
