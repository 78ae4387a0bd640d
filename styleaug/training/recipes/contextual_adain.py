"""The recipe of contextual AdaIN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_positive
from styleaug.features.encoders import OWN_VGG
from styleaug.functional import adain_to, feature_moments
from styleaug.stylex.encoder import StyleX
from styleaug.stylizers.adain_network import AdaINConfig, AdaINNetwork
from styleaug.stylizers.contextual_adain import PACKAGED
from styleaug.stylizers.decoding import with_detail
from styleaug.training.config import TrainConfig
from styleaug.training.losses import content_loss, contextual_loss, style_loss
from styleaug.training.losses.contextual import Direction
from styleaug.training.recipes.base import Phase, Recipe, scales_by_layer
from styleaug.training.recipes.networks import Perception, load_encoder
from styleaug.training.recipes.structure import STRUCTURE, structure_losses
from styleaug.weights import Weights

_POINTS = 65 * 65


@dataclass(frozen=True)
class ContextualAdaINOptions(AdaINConfig):
    """Options of `ContextualAdaINRecipe`, besides the features of `AdaINConfig`.

    Attributes:
        encoder: File with the weights of the encoder, if it is not a VGG-19.
        content: "contextual", or "mse", which is plain AdaIN: features of the output against the
            exchanged features.
        content_layers: Maps of the loss network for the contextual loss; it is VGG-19, with the
            weights of ``features`` of the configuration.
        style_layers: Maps of the loss network for the style loss.
        scales: Divisors of the style maps, one per layer; empty: 1 for each.
        bandwidth: Bandwidth of the contextual loss.
        direction: Direction of the contextual loss: "forward", "backward" or "symmetric".
        stylex: Weights of `StyleX` for the loss of that name.
        detail: Put back what the decoder loses before the losses see a picture, as ``detail=True``
            of the stylizer does. Not of the source.

    Raises:
        ValueError: If an option has the wrong type or is out of range.
    """

    backbone: str = "vgg19"
    encoder: str = ""
    content: Literal["contextual", "mse"] = "contextual"
    content_layers: tuple[str, ...] = ("relu4_2",)
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    scales: tuple[float, ...] = ()
    bandwidth: float = 0.5
    direction: Direction = "forward"
    stylex: str = "films"
    detail: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("bandwidth", self.bandwidth)
        scales_by_layer(self.style_layers, self.scales)


class ContextualAdaINRecipe(Recipe):
    """A decoder that keeps content by the contextual loss, or by AdaIN's mean squared error.

    Options: those of `ContextualAdaINOptions`. Four losses have weight 0 unless they are given one:
    ``stylex``, the distance of X-ray styles; ``identity``, the squared error of pixels where the
    decoder gets the content's own features; ``edges`` and ``flatness``, which keep edges in their
    place and flat ground flat (`edge_loss`, `flatness_loss`). A loss of weight 0 is not computed,
    so that a decoder can learn to repeat its input first, in a third of the time of a full step.

    The source names no schedule; AdaIN's is Adam at 1e-4, ``lr / (1 + 5e-5 i)``, batch 8, crops
    of 256, 160000 iterations.

    Source:
        Xu, Li & Shin, HCIS 10, 2020, Eq. 4-12, read as follows: the contextual loss is that of
        Mechrez et al. 2018 between output and content (the paper's T is undefined), at relu4_2
        with bandwidth 0.5; the "Gram loss" is the loss of means and deviations that its formula
        shows, with weight 10.
    """

    default_weights: ClassVar[Mapping[str, float]] = {
        "content": 1.0,
        "style": 10.0,
        "identity": 0.0,
        "stylex": 0.0,
        **STRUCTURE,
    }
    options_type = ContextualAdaINOptions
    options: ContextualAdaINOptions
    published: ClassVar[Sequence[Weights]] = PACKAGED

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        options = self.options
        settings = AdaINConfig(options.backbone, options.layer, options.feature_scale)
        self.network = AdaINNetwork(settings)
        is_vgg = settings.backbone in (OWN_VGG, "vgg19")
        weights = config.features if is_vgg else options.encoder
        load_encoder(self.network.encoder, settings.backbone, [settings.layer], weights)
        self._perception = Perception(
            settings.backbone if is_vgg else "vgg19",
            [*options.style_layers, *options.content_layers],
            config.features,
            scales_by_layer(options.style_layers, options.scales),
        )

        # a list hides the frozen encoder from the parameters and checkpoints of the run
        uses_stylex = self.loss_weights["stylex"] > 0.0
        self._stylex = [StyleX(options.stylex, views=1)] if uses_stylex else None

    def generator(self) -> nn.Module:
        """Return the network; only its decoder is trained."""
        return self.network

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        with torch.no_grad():
            features = self.network.encode(content)
        repeated, losses = None, {}
        if self.options.detail or self.loss_weights["identity"] > 0.0:
            repeated = self.network.decoder(features).float()
        if repeated is not None and self.loss_weights["identity"] > 0.0:
            losses["identity"] = F.mse_loss(repeated, content.float())
        if any(weight > 0.0 for name, weight in self.loss_weights.items() if name != "identity"):
            losses |= self._transfer(features, content, style, repeated)
        return losses

    def _transfer(
        self, features: Tensor, content: Tensor, style: Tensor, repeated: Tensor | None
    ) -> dict[str, Tensor]:
        """Return the losses of contents in the style of others."""
        with torch.no_grad():
            target = adain_to(features, *feature_moments(self.network.encode(style)))
            before = self._perception.split({"content": content, "style": style})
        output = self.network.decoder(target)
        if self.options.detail and repeated is not None:
            output = with_detail(output, content, repeated.detach(), self.network.config.shape[1])
        maps = self._perception(output)
        layers = self.options.style_layers
        styles = [before["style"][layer] for layer in layers]
        painted = [maps[layer] for layer in layers]
        losses = {
            "content": self._content(output, target, maps, before["content"]),
            "style": style_loss(painted, styles, unbiased=True),
        }
        losses |= structure_losses(self.loss_weights, (output, content))
        if self._stylex is not None:
            metric = self._stylex[0].to(content.device)
            losses["stylex"] = metric.distance(output.float().clamp(0.0, 1.0), style).mean()
        return losses

    def _content(
        self,
        output: Tensor,
        target: Tensor,
        maps: Mapping[str, Tensor],
        before: Mapping[str, Tensor],
    ) -> Tensor:
        if self.options.content == "mse":
            return content_loss([self.network.encode(output).float()], [target.float()])
        chosen = self.options.content_layers
        return torch.stack([self._contextual(maps[x], before[x]) for x in chosen]).sum()

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at."""
        painted: Tensor = self.network(content, style).float()
        if self.options.detail:
            repeated = self.network.decoder(self.network.encode(content))
            painted = with_detail(painted, content, repeated, self.network.config.shape[1])
        return painted.clamp(0.0, 1.0)

    def file_config(self) -> dict[str, object]:
        """Return the encoder of the weights, and the scale of its features."""
        return asdict(self.network.config)

    def _contextual(self, output: Tensor, content: Tensor) -> Tensor:
        return contextual_loss(
            output,
            content,
            bandwidth=self.options.bandwidth,
            direction=self.options.direction,
            max_points=_POINTS,
        )
