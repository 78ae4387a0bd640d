"""The recipe of contextual AdaIN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import ClassVar

import torch
from torch import Tensor, nn

from styleaug.features.encoders import OWN_VGG
from styleaug.stylex.encoder import StyleX
from styleaug.stylizers.adain_network import AdaINConfig, AdaINNetwork, adain_to, feature_moments
from styleaug.training.config import TrainConfig
from styleaug.training.contextual import contextual_loss
from styleaug.training.losses import content_loss, style_loss
from styleaug.training.recipes.base import Phase, Recipe
from styleaug.training.recipes.networks import Perception, load_encoder

_POINTS = 65 * 65


class ContextualAdaINRecipe(Recipe):
    """A decoder that keeps content by the contextual loss, or by AdaIN's mean squared error.

    Options: every field of `AdaINConfig`, and ``encoder``, the file of the encoder's weights where
    it is no VGG-19; ``content``: "contextual", or "mse", which is plain AdaIN (features of
    the output against the exchanged features); ``content_layers`` and ``style_layers`` of the loss
    network (VGG-19, ``features`` of the configuration), ``scales`` of its style maps;
    ``bandwidth``; ``direction``; ``stylex``, weights of `StyleX` for the loss of that name, the
    distance of X-ray styles, which has weight 0 unless it is given one.

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
        "stylex": 0.0,
    }
    default_options: ClassVar[Mapping[str, object]] = {
        "backbone": "vgg19",
        "layer": "relu4_1",
        "feature_scale": 1.0,
        "encoder": "",
        "content": "contextual",
        "content_layers": ("relu4_2",),
        "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
        "scales": (1.0, 1.0, 1.0, 1.0),
        "bandwidth": 0.5,
        "stylex": "films",
        "direction": "forward",
    }

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        if self.options["content"] not in ("contextual", "mse"):
            raise ValueError(
                f"options.content must be contextual or mse, got {self.options['content']!r}."
            )
        settings = AdaINConfig(
            str(self.options["backbone"]),
            str(self.options["layer"]),
            float(str(self.options["feature_scale"])),
        )
        self.network = AdaINNetwork(settings)
        is_vgg = settings.backbone in (OWN_VGG, "vgg19")
        weights = config.features if is_vgg else str(self.options["encoder"])
        load_encoder(self.network.encoder, settings.backbone, [settings.layer], weights)
        self._style, self._content = self._names("style_layers"), self._names("content_layers")
        self._perception = Perception(
            settings.backbone if is_vgg else "vgg19",
            [*self._style, *self._content],
            config.features,
            dict(zip(self._style, self._numbers("scales"), strict=False)),
        )

        # a list hides the frozen encoder from the parameters and checkpoints of the run
        uses_stylex = self.loss_weights["stylex"] > 0.0
        self._stylex = [StyleX(str(self.options["stylex"]), views=1)] if uses_stylex else None

    def generator(self) -> nn.Module:
        """Return the network; only its decoder is trained."""
        return self.network

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        with torch.no_grad():
            moments = feature_moments(self.network.encode(style))
            target = adain_to(self.network.encode(content), *moments)
        output = self.network.decoder(target)
        with torch.no_grad():
            before = self._perception.split({"content": content, "style": style})
        maps = self._perception(output)
        if self.options["content"] == "mse":
            kept = content_loss([self.network.encode(output).float()], [target.float()])
        else:
            pairs = [(maps[layer], before["content"][layer]) for layer in self._content]
            kept = torch.stack([self._contextual(*pair) for pair in pairs]).sum()
        styles = [before["style"][layer] for layer in self._style]
        losses = {
            "content": kept,
            "style": style_loss([maps[layer] for layer in self._style], styles),
        }
        if self._stylex is not None:
            metric = self._stylex[0].to(content.device)
            losses["stylex"] = metric.distance(output.float().clamp(0.0, 1.0), style).mean()
        return losses

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at."""
        return self.network(content, style).float().clamp(0.0, 1.0)

    def file_config(self) -> dict[str, object]:
        """Return which encoder the weights hold, and the scale of its features."""
        return asdict(self.network.config)

    def _contextual(self, output: Tensor, content: Tensor) -> Tensor:
        return contextual_loss(
            output,
            content,
            bandwidth=float(str(self.options["bandwidth"])),
            direction=self.options["direction"],  # type: ignore[arg-type]
            max_points=_POINTS,
        )
