"""The recipe of contextual AdaIN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from styleaug.features import FeatureExtractor
from styleaug.stylizers.adain_network import AdaINConfig, AdaINNetwork, adain_to, feature_moments
from styleaug.training.config import TrainConfig
from styleaug.training.contextual import contextual_loss
from styleaug.training.losses import content_loss, style_loss
from styleaug.training.recipes.base import Phase, Recipe
from styleaug.weights import read_state_dict

_POINTS = 65 * 65


class ContextualAdaINRecipe(Recipe):
    """A decoder that keeps content by the contextual loss, or by AdaIN's mean squared error.

    Options: ``backbone`` and ``layer`` of `AdaINConfig`; ``content``: "contextual", or "mse", which
    is plain AdaIN (features of the output against the exchanged features); ``content_layers`` and
    ``style_layers`` of the loss network (torchvision's VGG-19, ``features`` of the configuration),
    ``scales`` of its style maps; ``bandwidth``; ``direction``.

    The source names no schedule; AdaIN's is Adam at 1e-4, ``lr / (1 + 5e-5 i)``, batch 8, crops
    of 256, 160000 iterations.

    Source:
        Xu, Li & Shin, HCIS 10, 2020, Eq. 4-12, read as follows: the contextual loss is that of
        Mechrez et al. 2018 between output and content (the paper's T is undefined), at relu4_2
        with bandwidth 0.5; the "Gram loss" is the loss of means and deviations that its formula
        shows, with weight 10.
    """

    default_weights: ClassVar[Mapping[str, float]] = {"content": 1.0, "style": 10.0}
    default_options: ClassVar[Mapping[str, object]] = {
        "backbone": "vgg19",
        "layer": "relu4_1",
        "content": "contextual",
        "content_layers": ("relu4_2",),
        "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
        "scales": (1.0, 1.0, 1.0, 1.0),
        "bandwidth": 0.5,
        "direction": "forward",
    }

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        if self.options["content"] not in ("contextual", "mse"):
            raise ValueError(
                f"options.content must be contextual or mse, got {self.options['content']!r}."
            )
        settings = AdaINConfig(str(self.options["backbone"]), str(self.options["layer"]))
        self.network = AdaINNetwork(settings)
        _load_encoder(self.network, config.features or "default")
        style_layers, content_layers = self._list("style_layers"), self._list("content_layers")
        scales = [float(str(item)) for item in self.options["scales"]]  # type: ignore[attr-defined]
        self._style_count = len(style_layers)
        loss_network = FeatureExtractor(
            "vgg19",
            [*style_layers, *content_layers],
            weights=_loss_weights(config, settings),
            scale=[*scales[: len(style_layers)], *[1.0] * len(content_layers)],
        )
        # a list hides the frozen backbone from the parameters and checkpoints of the run
        self._features = [loss_network]

    def generator(self) -> nn.Module:
        """Return the network; only its decoder is trained."""
        return self.network

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        with torch.no_grad():
            moments = feature_moments(self.network.encode(style))
            target = adain_to(self.network.encode(content), *moments)
        output = self.network.decoder(target)
        extractor = self._features[0].to(content.device)
        with torch.no_grad():
            both = [m.float() for m in extractor(torch.cat([content, style]))]
        maps, count = [m.float() for m in extractor(output)], self._style_count
        if self.options["content"] == "mse":
            kept = content_loss([self.network.encode(output).float()], [target.float()])
        else:
            pairs = zip(maps[count:], both[count:], strict=True)
            kept = torch.stack([self._contextual(m, b[: len(content)]) for m, b in pairs]).sum()
        styles = [m[len(content) :] for m in both[:count]]
        return {"content": kept, "style": style_loss(maps[:count], styles)}

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at."""
        return self.network(content, style).float().clamp(0.0, 1.0)

    def file_config(self) -> dict[str, object]:
        """Return which encoder the weights hold."""
        config = self.network.config
        return {"backbone": config.backbone, "layer": config.layer}

    def _contextual(self, output: Tensor, content: Tensor) -> Tensor:
        return contextual_loss(
            output,
            content,
            bandwidth=float(str(self.options["bandwidth"])),
            direction=self.options["direction"],  # type: ignore[arg-type]
            max_points=_POINTS,
        )

    def _list(self, name: str) -> list[str]:
        value = self.options[name]
        if not isinstance(value, list | tuple):
            raise ValueError(f"options.{name} must be a list, got {value!r}.")
        return [str(item) for item in value]


def _load_encoder(network: AdaINNetwork, weights: str) -> None:
    """Load the encoder: torchvision's by name or file, or the file of AdaIN's own."""
    config = network.config
    if config.backbone != "vgg19-normalised":
        loaded = FeatureExtractor(config.backbone, [config.layer], weights=weights)
        network.encoder.load_state_dict(loaded.state_dict())
        return
    if weights == "default":
        raise ValueError("features must be the file vgg_normalised.pth for this backbone, got ''.")
    state = read_state_dict(weights)
    own = {key: state[key] for key in network.encoder.state_dict() if key in state}
    network.encoder.load_state_dict(own, strict=True)


def _loss_weights(config: TrainConfig, settings: AdaINConfig) -> str:
    """Return the weights of the loss network: the same file if it is of the same backbone."""
    return (config.features or "default") if settings.backbone == "vgg19" else "default"
