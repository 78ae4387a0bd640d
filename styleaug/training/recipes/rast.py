"""The recipe of RAST, with the additions of "Enhancing methods for RAST"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_count, check_positive
from styleaug.features.lpips import LAYERS as LPIPS_LAYERS
from styleaug.features.lpips import lpips_heads
from styleaug.stylizers.decoding import with_detail
from styleaug.stylizers.rast import PACKAGED
from styleaug.stylizers.rast_network import RASTConfig, RASTNetwork
from styleaug.training.config import TrainConfig
from styleaug.training.discriminators import rast_discriminator
from styleaug.training.losses import (
    anatomy_loss,
    content_loss,
    info_nce_loss,
    lpips_loss,
    lsgan_loss,
    multi_restoration_losses,
    stylization_losses,
)
from styleaug.training.losses.contrastive import ProjectionHead, pairs_with_partners
from styleaug.training.losses.restoration import RESTORING
from styleaug.training.recipes.base import Phase, Recipe, scales_by_layer
from styleaug.training.recipes.cycle import (
    low_resolution_sizes,
    run_cycle,
    shrink,
    stylize_again,
    stylize_both,
    transfer,
)
from styleaug.training.recipes.networks import Perception, load_encoder
from styleaug.training.recipes.structure import STRUCTURE, structure_losses
from styleaug.weights import Weights

ByName = dict[str, Tensor]


@dataclass(frozen=True)
class RASTOptions(RASTConfig):
    """Options of `RASTRecipe`, besides the features of `RASTConfig`.

    Attributes:
        simplified: Use an EfficientNet as encoder instead of the VGG features.
        encoder: File of the EfficientNet's weights.
        style_layers: Maps of the loss network, which is the encoder's VGG-19 (``features`` of the
            configuration), for the losses of style.
        content_layers: Its maps for the losses of content.
        scales: Divisors of the style maps, one per layer; empty: 1 for each.
        contrast_layer: Its map for the contrastive loss of style.
        discriminator_scales: Number of scales of the discriminators.
        idempotency_form: "pixel" or "feature".
        detach_target: Whether no gradient flows into the image that should not change.
        low_res_scales: Sides of the low-resolution restorations as shares of the crop's side;
            sides under 32 pixels are left out.
        low_res_form: "pixel" or "multi", the losses of restoration with the recipe's weights.
        lpips_target: "content", "style" or "restored" (the restored against the original content).
        lpips_features: File of LPIPS's VGG-16.
        detail: Put back what the decoder loses before the losses see "forth" and "back", as
            ``detail=True`` of the stylizer does. Not of the source.

    Raises:
        ValueError: If an option has the wrong type or is out of range.
    """

    simplified: bool = False
    encoder: str = ""
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    content_layers: tuple[str, ...] = ("relu4_1", "relu5_1")
    scales: tuple[float, ...] = ()
    contrast_layer: str = "relu3_1"
    discriminator_scales: int = 3
    idempotency_form: Literal["pixel", "feature"] = "pixel"
    detach_target: bool = False
    low_res_scales: tuple[float, ...] = (0.5, 0.25, 0.125)
    low_res_form: Literal["pixel", "multi"] = "pixel"
    lpips_target: Literal["content", "style", "restored"] = "content"
    lpips_features: str = ""
    detail: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        scales_by_layer(self.style_layers, self.scales)
        check_count("discriminator_scales", self.discriminator_scales)
        for scale in self.low_res_scales:
            check_positive("low_res_scales", scale)

    @property
    def network(self) -> RASTConfig:
        """The features that the network exchanges."""
        if self.simplified:
            return RASTConfig("efficientnet_b0", "features3", self.feature_scale, self.coarse_scale)
        return RASTConfig(self.backbone, self.layer, self.feature_scale, self.coarse_scale)


class RASTRecipe(Recipe):
    """Multi-restoration: content and style are restored from the stylized images, twice.

    The weights are those of the published model, whose multi-restoration replaces the losses of
    content and style. A weight of 0 switches a loss off. Without all losses of multi-restoration
    (the training of SANet) nothing is restored, and a step costs about half; with ``identity``
    alone, which teaches the decoder to repeat an image first, a tenth. The following losses
    are off unless they are given a weight:

    * ``content`` and ``style`` of the "combined" strategy,
    * ``contrastive_style`` and ``contrastive_content`` (1 each in the published model; they need
      batches of at least 4, whose first half is combined so that each image occurs twice),
    * ``idempotency``: stylizing again changes little,
    * ``low_res_restoration``: the same at lower resolutions,
    * ``lpips``: the stylized image looks like its content,
    * ``edges`` and ``flatness``, which are not of the sources: edges of both stylized images stay
      in their place, and flat ground stays flat (`edge_loss`, `flatness_loss`).

    Options: those of `RASTOptions`.

    The source trains with ``learning_rate=1e-4, weight_decay=0``, batch 8, crops of 256, 160000
    iterations.

    Source:
        Ma, Zhao, Li & Basu, WACV 2023, from its code. The additions: Karatyshchev & Kitov, who
        give no weights; here they are means instead of sums, so that a weight does not depend on
        the size.
        The learning rate follows the trainer's cosine, not ``lr / (1 + 5e-5 i)``.
    """

    default_weights: ClassVar[Mapping[str, float]] = {
        "content_transitive": 2.0,
        "style_transitive": 2.0,
        "style_difference": 2.0,
        "content_restoration": 1.0,
        "style_restoration": 1.0,
        "adversarial": 5.0,
        "discriminator": 1.0,
        "identity": 50.0,
        "identity_features": 1.0,
        "content": 0.0,
        "style": 0.0,
        "contrastive_style": 0.0,
        "contrastive_content": 0.0,
        "idempotency": 0.0,
        "low_res_restoration": 0.0,
        "lpips": 0.0,
        **STRUCTURE,
    }
    options_type = RASTOptions
    options: RASTOptions
    published: ClassVar[Sequence[Weights]] = PACKAGED
    discriminator_steps: ClassVar[float] = 1

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        options, settings = self.options, self.options.network
        self.network = RASTNetwork(settings)
        weights = options.encoder if options.simplified else config.features
        load_encoder(self.network.encoder, settings.backbone, settings.layers, weights)
        self._style, self._content = options.style_layers, options.content_layers
        self._perception = Perception(
            "vgg19" if options.simplified else settings.backbone,
            [*self._style, *self._content, options.contrast_layer],
            config.features,
            scales_by_layer(self._style, options.scales),
        )
        self._lpips = self._lpips_network() if self._uses("lpips") else None
        self._restores = any(self._uses(name) for name in RESTORING) or (
            self._lpips is not None and options.lpips_target == "restored"
        )
        self._pair = nn.ModuleDict()
        if self._uses("adversarial"):
            scales = options.discriminator_scales
            _check_size(config.size, scales)
            self._pair = nn.ModuleDict(
                {name: rast_discriminator(scales) for name in ("style", "content")}
            )
        self._heads = nn.ModuleDict()
        if self._uses("contrastive_style"):
            channels = _channels(self._perception, options.contrast_layer)
            self._heads["style"] = ProjectionHead(channels)
        if self._uses("contrastive_content"):
            channels = _channels(self._perception, self._content[0])
            self._heads["content"] = ProjectionHead(channels, channels // 2)

    def generator(self) -> nn.Module:
        """Return the network; its encoder is frozen."""
        return self.network

    def trained(self) -> nn.Module:
        """Return the network, and the heads of the contrastive losses if there are any."""
        if not self._heads:
            return self.network
        return nn.ModuleDict({"network": self.network, "heads": self._heads})

    def discriminator(self) -> nn.Module | None:
        """Return both discriminators, or None without the adversarial loss."""
        return self._pair if self._pair else None

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        partners: tuple[Tensor, Tensor] | None = None
        if self._heads:
            content, style, *partners = pairs_with_partners(content, style)  # type: ignore[assignment]
        encoded = self.network.encode(content), self.network.encode(style)
        if phase == "discriminator":
            with torch.no_grad():
                fakes = self._stylized(encoded, {"content": content, "style": style})
            return {"discriminator": self._judge(list(fakes.values()), (style, content))}
        images = {"content": content, "style": style}
        losses = self._identity(encoded, images)
        if not any(self._uses(name) for name in self.loss_weights if name not in _OF_IDENTITY):
            return self._used(losses)
        images |= self._stylized(encoded, images)
        if self._restores:
            images |= stylize_again(self.network, *encoded, images)
        losses |= self._restoration(images)
        if self._pair:
            losses["adversarial"] = self._fool(images)
        if partners is not None:
            losses |= self._contrast(images["forth"], *partners)
        return self._used(losses | self._additions(encoded, images))

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at."""
        encoded = self.network.encode(content), self.network.encode(style)
        painted = transfer(self.network, *encoded)
        if self.options.detail:
            painted = self._with_detail(painted, content, encoded[0])
        return painted.float().clamp(0.0, 1.0)

    def file_config(self) -> dict[str, object]:
        """Return the encoder of the weights, and the scale of its features."""
        return asdict(self.network.config)

    def _stylized(self, encoded: tuple[list[Tensor], list[Tensor]], images: ByName) -> ByName:
        """Return "forth" and "back", with the detail that was lost if that is asked for."""
        both = stylize_both(self.network, *encoded)
        if not self.options.detail:
            return both
        whole = zip(both.items(), (images["content"], images["style"]), encoded, strict=True)
        return {
            name: self._with_detail(image, original, features)
            for (name, image), original, features in whole
        }

    def _with_detail(self, painted: Tensor, content: Tensor, features: list[Tensor]) -> Tensor:
        with torch.no_grad():
            own = transfer(self.network, features, features)
        return with_detail(painted, content, own, self.network.config.stride)

    def _restoration(self, images: ByName) -> ByName:
        contents, styles = self._chosen(images)
        losses = stylization_losses(contents, styles)
        if self._restores:
            losses |= multi_restoration_losses(contents, styles)
        return losses

    def _chosen(self, images: ByName) -> tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]:
        """Return the content maps and the style maps of images by name."""
        maps = self._perception.split(images)
        contents = {name: [found[x] for x in self._content] for name, found in maps.items()}
        return contents, {name: [found[x] for x in self._style] for name, found in maps.items()}

    def _identity(self, encoded: tuple[list[Tensor], list[Tensor]], images: ByName) -> ByName:
        """Return the change of a content in its own style, in pixels and in maps."""
        if not any(self._uses(name) for name in _OF_IDENTITY):
            return {}
        same = [transfer(self.network, features, features) for features in encoded]
        losses = {
            "identity": F.mse_loss(same[0].float(), images["content"])
            + F.mse_loss(same[1].float(), images["style"])
        }
        if self._uses("identity_features"):
            maps = self._perception.split({"a": same[0], "b": same[1], **images})
            chosen = {name: [found[x] for x in self._style] for name, found in maps.items()}
            losses["identity_features"] = content_loss(
                chosen["a"], chosen["content"]
            ) + content_loss(chosen["b"], chosen["style"])
        return losses

    def _judge(self, fakes: Sequence[Tensor], reals: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss of the discriminators: one for styles, one for contents."""
        total = []
        for judge, fake, real in zip(self._pair.values(), fakes, reals, strict=True):
            total += [lsgan_loss(judge(fake), real=False), lsgan_loss(judge(real), real=True)]
        return torch.stack(total).sum()

    def _fool(self, images: ByName) -> Tensor:
        forth = lsgan_loss(self._pair["style"](images["forth"]), real=True)
        return forth + lsgan_loss(self._pair["content"](images["back"]), real=True)

    def _contrast(self, forth: Tensor, same_content: Tensor, same_style: Tensor) -> ByName:
        maps = self._perception(forth)
        layers = {"style": self.options.contrast_layer, "content": self._content[0]}
        partners = {"style": same_style, "content": same_content}
        return {
            f"contrastive_{name}": info_nce_loss(head(maps[layers[name]]), partners[name])
            for name, head in self._heads.items()
        }

    def _additions(self, encoded: tuple[list[Tensor], list[Tensor]], images: ByName) -> ByName:
        """Return the losses that are off unless they have a weight."""
        losses = {}
        if self._uses("idempotency"):
            losses["idempotency"] = self._idempotency(images["forth"], encoded[1])
        if self._uses("low_res_restoration"):
            losses["low_res_restoration"] = self._low_resolution(images)
        if self._lpips is not None:
            losses["lpips"] = self._perceptual(images)
        pairs = [(images[a], images[b]) for a, b in (("forth", "content"), ("back", "style"))]
        return losses | structure_losses(self.loss_weights, *pairs)

    def _idempotency(self, forth: Tensor, style: list[Tensor]) -> Tensor:
        """Return the change when stylizing again with the same style."""
        again = transfer(self.network, self.network.encode(forth), style)
        target = forth.detach() if self.options.detach_target else forth
        if self.options.idempotency_form == "pixel":
            return F.mse_loss(again.float(), target.float())
        maps = self._perception.split({"again": again, "target": target})
        after, before = ([maps[name][x] for x in self._content] for name in ("again", "target"))
        return anatomy_loss(after, before, unbiased=True)

    def _low_resolution(self, images: ByName) -> Tensor:
        """Return the losses of restoration on smaller copies of the pair, summed."""
        content, style = images["content"], images["style"]
        sides = low_resolution_sizes(min(content.shape[2:]), self.options.low_res_scales)
        if not sides:
            raise ValueError(f"size must leave 32 pixels at a scale, got {tuple(content.shape)}.")
        total = []
        for side in sides:
            pair = shrink(content, side), shrink(style, side)
            encoded = [self.network.encode(image) for image in pair]
            if self.options.low_res_form == "pixel":
                forth = transfer(self.network, encoded[0], encoded[1])
                restored = transfer(self.network, self.network.encode(forth), encoded[0])
                total.append(F.mse_loss(restored.float(), pair[0]))
                continue
            cycle = run_cycle(self.network, *encoded)
            losses = multi_restoration_losses(
                *self._chosen({"content": pair[0], "style": pair[1], **cycle})
            )
            total += [self.default_weights[name] * loss for name, loss in losses.items()]
        return torch.stack(total).sum()

    def _perceptual(self, images: ByName) -> Tensor:
        network, heads = self._lpips  # type: ignore[misc]
        target = self.options.lpips_target
        pair = ("content_right", "content") if target == "restored" else ("forth", target)
        maps = network.split({name: images[name] for name in pair})
        output, other = ([maps[name][x] for x in LPIPS_LAYERS["vgg16"]] for name in pair)
        return lpips_loss(output, other, heads)

    def _lpips_network(self) -> tuple[Perception, list[Tensor]]:
        layers = LPIPS_LAYERS["vgg16"]
        return Perception("vgg16", layers, self.options.lpips_features, {}), lpips_heads()

    def _uses(self, name: str) -> bool:
        return self.loss_weights[name] > 0.0

    def _used(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: loss for name, loss in losses.items() if self._uses(name)}


_OF_IDENTITY = ("identity", "identity_features", "discriminator")
"""Losses that need no image in the style of another one."""


def _check_size(size: int, scales: int) -> None:
    least = 16 * 2**scales
    if size < least:
        raise ValueError(
            f"size must be at least {least} for {scales} scales of the discriminator, got {size}; "
            "lower options.discriminator_scales."
        )


def _channels(perception: Perception, layer: str) -> int:
    return perception(torch.zeros(1, 3, 32, 32))[layer].shape[1]
