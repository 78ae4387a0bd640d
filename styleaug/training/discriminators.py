"""Patch discriminators at several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class MultiScaleDiscriminator(nn.Module):
    """One stack of convolutions per scale; each scale halves the image size.

    Every convolution but the first and the last is followed by instance normalisation, every one
    but the last by a leaky ReLU of slope 0.2.

    Args:
        scales: Number of stacks.
        strides: Strides of the 4 x 4 convolutions; the first has 64 channels, each further one
            twice as many.
        padding: Padding of all convolutions.
        head: Side of the last kernel, which computes the scores.

    Raises:
        ValueError: If there is no scale or no convolution.

    Example:
        >>> import torch
        >>> scores = patch_discriminator()(torch.rand(1, 3, 64, 64))
        >>> [tuple(score.shape) for score in scores]
        [(1, 1, 11, 11), (1, 1, 7, 7)]
    """

    def __init__(self, scales: int, strides: Sequence[int], *, padding: int, head: int) -> None:
        super().__init__()
        if scales < 1 or not strides:
            raise ValueError(
                f"scales must be at least 1 and strides not empty, got {scales}, {strides}."
            )
        self.stacks = nn.ModuleList(_stack(strides, padding, head) for _ in range(scales))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the scores ``(B, 1, h, w)`` of every scale for images ``(B, 3, H, W)``."""
        scores = []
        for stack in self.stacks:
            scores.append(stack(image))
            image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
        return scores


def rast_discriminator(scales: int = 3) -> MultiScaleDiscriminator:
    """Return the discriminator of RAST: three scales, 8,283,459 parameters.

    The coarsest scale needs at least 2 x 2 positions: images of at least 128 pixels for three
    scales, 64 for two, 32 for one.

    Source:
        Ma et al., WACV 2023, from their code.
    """
    return MultiScaleDiscriminator(scales, (2, 2, 2, 2), padding=1, head=3)


def patch_discriminator(scales: int = 2) -> MultiScaleDiscriminator:
    """Return the discriminator of pix2pixHD with three strided convolutions.

    Source:
        Wang et al., CVPR 2018: 64 filters, n_layers 3, num_D 2 (the default of its options).
    """
    return MultiScaleDiscriminator(scales, (2, 2, 2, 1), padding=2, head=4)


def _stack(strides: Sequence[int], padding: int, head: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    inputs, outputs = 3, 64
    for index, stride in enumerate(strides):
        modules.append(nn.Conv2d(inputs, outputs, 4, stride, padding))
        if index > 0:
            modules.append(nn.InstanceNorm2d(outputs))
        modules.append(nn.LeakyReLU(0.2))
        inputs, outputs = outputs, 2 * outputs
    return nn.Sequential(*modules, nn.Conv2d(inputs, 1, head, 1, padding))
