"""The recipe of StyleKernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug.stylizers.decoding import with_detail
from styleaug.stylizers.style_kernel import PACKAGED
from styleaug.stylizers.style_kernel_network import StyleKernelConfig, StyleKernelNetwork
from styleaug.training.config import TrainConfig
from styleaug.training.discriminators import patch_discriminator
from styleaug.training.losses import anatomy_loss, content_loss, gram_loss, lsgan_loss, remd_loss
from styleaug.training.recipes.base import Phase, Recipe, scales_by_layer
from styleaug.training.recipes.networks import Perception, load_encoder
from styleaug.training.recipes.structure import STRUCTURE, structure_losses
from styleaug.weights import Weights


@dataclass(frozen=True)
class StyleKernelOptions(StyleKernelConfig):
    """Options of `StyleKernelRecipe`, besides the shape of `StyleKernelConfig`.

    Attributes:
        style_layers: Maps of the loss network, which is the encoder's VGG (``features`` of the
            configuration), for the loss of style.
        content_layers: Its maps for the loss of content.
        scales: Divisors of the style maps, one per layer; empty: 1 for each.
        remd_layer: Its map for the earth mover's distance.
        remd_on: "output", features of the stylized image against the style's, or "aligned", the
            aligned against the style's projected features (what the paper says, which gives the
            decoder no gradient).
        detail: Put back what the decoder loses before the losses see a picture, as ``detail=True``
            of the stylizer does. Not of the source.

    Raises:
        ValueError: If an option has the wrong type or is out of range.
    """

    style_layers: tuple[str, ...] = ("relu2_1", "relu3_1", "relu4_1", "relu5_1")
    content_layers: tuple[str, ...] = ("relu4_1", "relu5_1")
    scales: tuple[float, ...] = ()
    remd_layer: str = "relu4_1"
    remd_on: Literal["output", "aligned"] = "output"
    detail: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        scales_by_layer(self.style_layers, self.scales)

    @property
    def network(self) -> StyleKernelConfig:
        """The shape of the network."""
        shape = {item.name: getattr(self, item.name) for item in fields(StyleKernelConfig)}
        return StyleKernelConfig(**shape)


class StyleKernelRecipe(Recipe):
    """Content, style, relaxed earth mover's distance, reconstruction and a discriminator.

    The discriminator is updated once per two updates of the network; styles are its real images.
    With ``identity`` alone the network learns to repeat images first, at less than half the cost.
    ``edges`` and ``flatness``, off unless they are given a weight, are not of the source: edges of
    the output stay in their place, and flat ground stays flat (`edge_loss`, `flatness_loss`).

    Options: those of `StyleKernelOptions`.

    The source trains with ``learning_rate=1e-4, weight_decay=0``, batch 16, crops of 256, 160000
    iterations at a constant rate.

    Source:
        Xu, Long & Nie, CVPR 2023, Eq. 7-10 and appendix: all weights are 1, except 20 and 0.5
        within the reconstruction and 3 for the earth mover's distance. Its norms are means of
        squares here; Gram matrices are those of Johnson et al., whose sum is of the order of 1.
    """

    default_weights: ClassVar[Mapping[str, float]] = {
        "content": 1.0,
        "style": 1.0,
        "remd": 3.0,
        "identity": 20.0,
        "identity_features": 0.5,
        "adversarial": 1.0,
        "discriminator": 1.0,
        **STRUCTURE,
    }
    options_type = StyleKernelOptions
    options: StyleKernelOptions
    published: ClassVar[Sequence[Weights]] = PACKAGED
    discriminator_steps: ClassVar[float] = 0.5

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        options, settings = self.options, self.options.network
        self.network = StyleKernelNetwork(settings)
        load_encoder(self.network.encoder, settings.backbone, [settings.layer], config.features)
        self._style, self._content = options.style_layers, options.content_layers
        self._remd = options.remd_layer
        self._perception = Perception(
            settings.backbone,
            [*self._style, *self._content, self._remd],
            config.features,
            scales_by_layer(self._style, options.scales),
        )
        self._judge = patch_discriminator() if self.loss_weights["adversarial"] > 0 else None

    def generator(self) -> nn.Module:
        """Return the network; its encoder is frozen."""
        return self.network

    def discriminator(self) -> nn.Module | None:
        """Return the discriminator, or None without the adversarial loss."""
        return self._judge

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        with torch.no_grad():
            features, target = self.network.encode(content), self.network.encode(style)
        if phase == "discriminator":
            with torch.no_grad():
                fake = self._paint(features, target)[0]
                if self.options.detail:
                    fake = self._with_detail(fake, content, self._paint(features, features)[0])
            return {"discriminator": self._tell(fake, style)}
        same = [self._paint(x, x)[0].float() for x in (features, target)]
        if not any(self._uses(name) for name in self.loss_weights if name not in _OF_IDENTITY):
            return {"identity": _difference(same, (content, style))}
        output, aligned, maps = self._paint(features, target)
        if self.options.detail:
            output = self._with_detail(output, content, same[0].detach())
        found = self._perception.split(
            {"output": output, "a": same[0], "b": same[1], "content": content, "style": style}
        )
        losses = self._compare(found) | self._reconstruction(found, same, (content, style))
        losses |= structure_losses(self.loss_weights, (output, content))
        if self.options.remd_on == "output":
            losses["remd"] = remd_loss(found["output"][self._remd], found["style"][self._remd])
        else:
            losses["remd"] = remd_loss(aligned, maps["values"])
        if self._judge is not None:
            losses["adversarial"] = lsgan_loss(self._judge(output), real=True)
        return losses

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at, without shuffling groups of channels."""
        training = self.network.training
        self.network.eval()
        painted: Tensor = self.network(content, style).float()
        if self.options.detail:
            painted = self._with_detail(painted, content, self.network(content, content))
        self.network.train(training)
        return painted.clamp(0.0, 1.0)

    def file_config(self) -> dict[str, object]:
        """Return the shape of the network."""
        return asdict(self.network.config)

    def _paint(
        self, features: Tensor, style: Tensor
    ) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        maps = self.network.alignment.style_maps(style)
        aligned = self.network.alignment(features, maps)
        return self.network.repaint(features, aligned), aligned, maps

    def _with_detail(self, painted: Tensor, content: Tensor, own: Tensor) -> Tensor:
        return with_detail(painted, content, own, self.network.config.stride)

    def _compare(self, found: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        def maps(name: str, layers: tuple[str, ...]) -> list[Tensor]:
            return [found[name][layer] for layer in layers]

        return {
            "content": anatomy_loss(
                maps("output", self._content), maps("content", self._content), unbiased=True
            ),
            "style": gram_loss(maps("output", self._style), maps("style", self._style)),
        }

    def _reconstruction(
        self,
        found: Mapping[str, Mapping[str, Tensor]],
        same: list[Tensor],
        originals: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Return the change of images in their own style, in pixels and in maps."""
        pairs = (("a", "content"), ("b", "style"))
        return {
            "identity": _difference(same, originals),
            "identity_features": torch.stack(
                [
                    content_loss(
                        [found[a][x] for x in self._style], [found[b][x] for x in self._style]
                    )
                    for a, b in pairs
                ]
            ).sum(),
        }

    def _tell(self, fake: Tensor, real: Tensor) -> Tensor:
        if self._judge is None:
            raise RuntimeError("there is no discriminator without the adversarial loss.")
        fakes, reals = self._judge(fake), self._judge(real)
        return lsgan_loss(fakes, real=False) + lsgan_loss(reals, real=True)

    def _uses(self, name: str) -> bool:
        return self.loss_weights[name] > 0.0


_OF_IDENTITY = ("identity", "discriminator")
"""Losses that need no image in the style of another one, and no loss network."""


def _difference(images: Sequence[Tensor], originals: Sequence[Tensor]) -> Tensor:
    pairs = zip(images, originals, strict=True)
    return torch.stack([F.mse_loss(image, original) for image, original in pairs]).sum()
