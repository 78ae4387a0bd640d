"""The recipes of Stylizing ViT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from styleaug._records import check_fields
from styleaug.features import IMAGENET_MEAN, IMAGENET_STD, FeatureExtractor
from styleaug.stylizers.lost_detail import mended
from styleaug.stylizers.vit.network import CONFIGS, StylizingViTNetwork
from styleaug.stylizers.vit.weights import PACKAGED, check_channels
from styleaug.training.config import TrainConfig
from styleaug.training.losses import anatomy_loss, content_loss, identity_loss, style_loss
from styleaug.training.recipes.base import Phase, Recipe, scales_by_layer
from styleaug.training.recipes.structure import STRUCTURE, structure_losses
from styleaug.weights import Weights

LAYERS = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4", "pool5")


@dataclass(frozen=True)
class StylizingViTOptions:
    """Options of `StylizingViTRecipe`.

    Attributes:
        mean: Channel means of the training images in [0, 1], which are written to ``config.json``
            beside the weights; ImageNet's by default.
        std: Their channel deviations likewise.
        layers: Maps of VGG-19, to change for weights that end earlier.
        scales: Divisors of the maps, one per layer; empty: 1 for each.
        patches_alone: Train the embedding and the decoder alone, as an autoencoder of patches, on
            the loss of identity. The blocks begin as ones that add nothing and are passed over: a
            first stage of cheap steps, from whose weights a whole network starts.
        detail: Put the detail that the network loses where it repeats a content back into what it
            paints, and take out its weave, before the losses see it, as ``detail=True`` of the
            stylizer does (`styleaug.stylizers.lost_detail`, `styleaug.stylizers.weave`). The
            published networks were not trained so.

    Raises:
        ValueError: If an option has the wrong type or is out of range.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    layers: tuple[str, ...] = LAYERS
    scales: tuple[float, ...] = ()
    patches_alone: bool = False
    detail: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        check_channels("mean", self.mean)
        check_channels("std", self.std)
        scales_by_layer(self.layers, self.scales)


class StylizingViTRecipe(Recipe):
    """Identity, consistency, anatomy and style, on six maps of VGG-19.

    Options: those of `StylizingViTOptions`. Two losses have weight 0 unless they are given one:
    ``edges`` and ``flatness``, which keep edges in their place and flat ground flat (`edge_loss`,
    `flatness_loss`). Without a weight for ``consistency`` it is not computed, which
    saves two of the six passes through VGG-19; where ``identity`` alone has one, no stylization
    is, so that a network can learn to repeat its input first in a fraction of the time.

    The published networks were trained with ``size=224, batch_size=64, learning_rate=1e-3,
    warm_up=0``, cosine to zero over 50 epochs, gradient norm 1.

    Source:
        Doerrich et al., ISBI 2026, arXiv 2601.17586; weights 70 / 1 / 7 / 10 are those of its
        code. There images for VGG are normalised by constants of the data set, here by those of
        ImageNet, with which the backbone was trained. Styles are drawn from the style folders
        instead of rolling the batch.
    """

    network_size: ClassVar[str] = "tiny"
    default_weights: ClassVar[Mapping[str, float]] = {
        "identity": 70.0,
        "consistency": 1.0,
        "anatomy": 7.0,
        "style": 10.0,
        **STRUCTURE,
    }
    options_type = StylizingViTOptions
    options: StylizingViTOptions
    published: ClassVar[Sequence[Weights]] = PACKAGED["tiny"]

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        if config.size % 16:
            raise ValueError(f"size must be a multiple of 16 (a patch), got {config.size}.")
        self.network = StylizingViTNetwork(CONFIGS[self.network_size])
        if self.options.patches_alone:
            self._refuse_other_losses()
            self.network.encoder.empty_blocks()
        scales = scales_by_layer(self.options.layers, self.options.scales)
        features = FeatureExtractor(
            "vgg19",
            list(scales),
            weights=config.features or "default",
            scale=list(scales.values()),
        )
        # a list hides the frozen backbone from the parameters and checkpoints of the run
        self._features = [features]

    def generator(self) -> nn.Module:
        """Return the network."""
        return self.network

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        originals = self._normalised(torch.cat([content, style]))
        if self._repeats_only:
            repeated = self.network.repeat(originals, blocks=not self.options.patches_alone)
            return {"identity": 2.0 * identity_loss(repeated.float(), originals)}
        streams = self.network.streams(*originals.chunk(2))
        grid = (content.shape[2] // 16, content.shape[3] // 16)
        decoded = self.network.decode(torch.cat(streams), grid).float()
        return self._all_losses(decoded, content, style)

    def _all_losses(self, decoded: Tensor, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        """Return the losses of the decoded streams ``(3 * B, 3, H, W)``."""
        count = len(content)
        shown = self._in_unit_range(decoded)
        repeated, painted = shown[: 2 * count], shown[2 * count :]
        if self.options.detail:
            painted = mended(painted, content, repeated[:count].detach(), self.network.config.patch)
        originals = torch.cat([content, style])
        extractor = self._features[0].to(content.device)
        with torch.no_grad():
            before = [m.float() for m in extractor(originals)]
        stylized = [m.float() for m in extractor(painted)]
        losses = {
            "identity": 2.0 * identity_loss(decoded[: 2 * count], self._normalised(originals)),
            "anatomy": anatomy_loss(stylized, [m[:count] for m in before]),
            "style": style_loss(stylized, [m[count:] for m in before]),
            **structure_losses(self.loss_weights, (painted, content)),
        }
        if self.loss_weights["consistency"] > 0.0:
            again = [m.float() for m in extractor(repeated)]
            losses["consistency"] = 2.0 * content_loss(again, before)
        return losses

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at."""
        normalised = self._normalised(content)
        painted = self._in_unit_range(self.network(normalised, self._normalised(style)).float())
        if self.options.detail:
            repeated = self._in_unit_range(self.network.repeat(normalised).float())
            painted = mended(painted, content, repeated, self.network.config.patch)
        return painted.clamp(0.0, 1.0)

    def file_config(self) -> dict[str, object]:
        """Return the normalisation constants."""
        return {"mean": list(self.options.mean), "std": list(self.options.std)}

    @property
    def _repeats_only(self) -> bool:
        weights = self.loss_weights.items()
        return not any(weight > 0.0 for name, weight in weights if name != "identity")

    def _refuse_other_losses(self) -> None:
        if not self._repeats_only:
            others = ", ".join(n for n, w in self.loss_weights.items() if w > 0 and n != "identity")
            raise ValueError(
                "patches_alone is a stage of the loss of identity alone: set the weights of the "
                f"others to 0, got one for {others}."
            )

    def _normalised(self, images: Tensor) -> Tensor:
        mean, std = self._constants(images)
        return (images - mean) / std

    def _in_unit_range(self, images: Tensor) -> Tensor:
        mean, std = self._constants(images)
        return images * std + mean

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = like.new_tensor([self.options.mean, self.options.std]).view(2, 1, 3, 1, 1)
        return mean, std


class SmallStylizingViTRecipe(StylizingViTRecipe):
    """`StylizingViTRecipe` of the size "small"."""

    network_size: ClassVar[str] = "small"
    published: ClassVar[Sequence[Weights]] = ()


class BaseStylizingViTRecipe(StylizingViTRecipe):
    """`StylizingViTRecipe` of the size "base"."""

    network_size: ClassVar[str] = "base"
    published: ClassVar[Sequence[Weights]] = ()
