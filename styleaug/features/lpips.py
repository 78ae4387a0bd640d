"""LPIPS: distances of feature maps, weighted to agree with human judgements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug._checks import check_choice

LAYERS = {
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
}
"""Maps of a `FeatureExtractor` that the published heads belong to."""

_FILES = {"vgg16": "vgg.pth", "alexnet": "alex.pth"}


def lpips_heads(backbone: str = "vgg16") -> list[Tensor]:
    """Return the published weights of the channels of every map, which torchmetrics ships.

    Args:
        backbone: "vgg16" or "alexnet".

    Raises:
        ImportError: If torchmetrics is missing.

    Example:
        >>> [len(head) for head in lpips_heads()]
        [64, 128, 256, 512, 512]
    """
    check_choice("backbone", backbone, LAYERS)
    try:
        import torchmetrics.functional.image as torchmetrics_image
    except ImportError as error:
        raise ImportError("LPIPS needs torchmetrics: pip install 'styleaug[metrics]'.") from error
    folder = Path(str(torchmetrics_image.__file__)).parent / "lpips_models"
    state = torch.load(folder / _FILES[backbone], map_location="cpu", weights_only=True)
    return [head.flatten() for _, head in sorted(state.items())]


def lpips_distance(
    output: Sequence[Tensor], target: Sequence[Tensor], heads: Sequence[Tensor]
) -> Tensor:
    """Return the learned perceptual distance of every pair.

    Args:
        output: Maps of `LAYERS` of a `FeatureExtractor`, one ``(B, C, H, W)`` per layer.
        target: Maps of the other images.
        heads: What `lpips_heads` returns.

    Returns:
        ``(B,)``; 0 where the images are equal.

    Source:
        Zhang, Isola, Efros, Shechtman & Wang, CVPR 2018, version 0.1, whose scaling of images in
        [-1, 1] is the ImageNet normalisation of images in [0, 1].

    Example:
        >>> maps = [torch.rand(2, 4, 8, 8)]
        >>> lpips_distance(maps, maps, [torch.ones(4)])
        tensor([0., 0.])
    """
    total = []
    for a, b, head in zip(output, target, heads, strict=True):
        difference = (F.normalize(a, dim=1, eps=1e-8) - F.normalize(b, dim=1, eps=1e-8)).square()
        weighted = difference * head.to(difference).view(1, -1, 1, 1)
        total.append(weighted.sum(dim=1).flatten(1).mean(dim=1))
    return torch.stack(total).sum(dim=0)
