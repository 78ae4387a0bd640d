"""The recipes of Stylizing ViT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from styleaug.features import IMAGENET_MEAN, IMAGENET_STD, FeatureExtractor
from styleaug.stylizers.vit.network import CONFIGS, StylizingViTNetwork
from styleaug.training.config import TrainConfig
from styleaug.training.losses import anatomy_loss, content_loss, identity_loss, style_loss
from styleaug.training.recipes.base import Phase, Recipe

LAYERS = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4", "pool5")


class StylizingViTRecipe(Recipe):
    """Identity, consistency, anatomy and style, on six maps of VGG-19.

    Options: ``mean`` and ``std``, the channel statistics of the training images, which are written
    to ``config.json`` beside the weights (ImageNet's by default); ``layers`` and ``scales`` of the
    maps, for a backbone that stops early or has another scale of activations.

    The published networks were trained with ``size=224, batch_size=64, learning_rate=1e-3,
    warm_up=0``, cosine to zero over 50 epochs, gradient norm 1.

    Source:
        Doerrich et al., ISBI 2026, arXiv 2601.17586; weights 70 / 1 / 7 / 10 are those of its
        code. There VGG sees images normalised by the data set's own constants; here by ImageNet's,
        which the backbone was trained with. Styles are drawn from the style folders instead of
        rolling the batch.
    """

    network_size: ClassVar[str] = "tiny"
    default_weights: ClassVar[Mapping[str, float]] = {
        "identity": 70.0,
        "consistency": 1.0,
        "anatomy": 7.0,
        "style": 10.0,
    }
    default_options: ClassVar[Mapping[str, object]] = {
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "layers": LAYERS,
        "scales": (1.0,) * len(LAYERS),
    }

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        if config.size % 16:
            raise ValueError(f"size must be a multiple of 16 (a patch), got {config.size}.")
        self.network = StylizingViTNetwork(CONFIGS[self.network_size])
        layers, scales = self._names("layers"), self._numbers("scales")
        features = FeatureExtractor(
            "vgg19", layers, weights=config.features or "default", scale=scales[: len(layers)]
        )
        # a list hides the frozen backbone from the parameters and checkpoints of the run
        self._features = [features]

    def generator(self) -> nn.Module:
        """Return the network."""
        return self.network

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        count = len(content)
        grid = (content.shape[2] // 16, content.shape[3] // 16)
        streams = self.network.streams(self._normalised(content), self._normalised(style))
        decoded = self.network.decode(torch.cat(streams), grid).float()
        painted = self._in_unit_range(decoded)
        originals = torch.cat([content, style])
        extractor = self._features[0].to(content.device)
        with torch.no_grad():
            before = [m.float() for m in extractor(originals)]
        after = [m.float() for m in extractor(painted)]
        again, stylized = [m[: 2 * count] for m in after], [m[2 * count :] for m in after]
        return {
            "identity": 2.0 * identity_loss(decoded[: 2 * count], self._normalised(originals)),
            "consistency": 2.0 * content_loss(again, before),
            "anatomy": anatomy_loss(stylized, [m[:count] for m in before]),
            "style": style_loss(stylized, [m[count:] for m in before]),
        }

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at."""
        painted = self.network(self._normalised(content), self._normalised(style))
        return self._in_unit_range(painted.float()).clamp(0.0, 1.0)

    def file_config(self) -> dict[str, object]:
        """Return the normalisation constants."""
        return {"mean": self._numbers("mean"), "std": self._numbers("std")}

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self._constant("mean", images)) / self._constant("std", images)

    def _in_unit_range(self, images: Tensor) -> Tensor:
        return images * self._constant("std", images) + self._constant("mean", images)

    def _constant(self, name: str, like: Tensor) -> Tensor:
        return like.new_tensor(self._numbers(name)).view(1, 3, 1, 1)


class SmallStylizingViTRecipe(StylizingViTRecipe):
    """`StylizingViTRecipe` of the size "small"."""

    network_size: ClassVar[str] = "small"


class BaseStylizingViTRecipe(StylizingViTRecipe):
    """`StylizingViTRecipe` of the size "base"."""

    network_size: ClassVar[str] = "base"
