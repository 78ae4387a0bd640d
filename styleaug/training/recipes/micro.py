"""The recipe of "micro"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_probability
from styleaug._records import check_fields
from styleaug.stylizers.grey import is_grey
from styleaug.stylizers.micro import PACKAGED
from styleaug.stylizers.micro_network import MicroNetwork
from styleaug.training.config import TrainConfig
from styleaug.training.losses import (
    anatomy_loss,
    color_moments_loss,
    edge_loss,
    flatness_loss,
    fringe_loss,
    range_loss,
    relative_style_loss,
)
from styleaug.training.recipes.base import Phase, Recipe
from styleaug.training.recipes.networks import style_features
from styleaug.weights import Weights


@dataclass(frozen=True)
class MicroOptions:
    """Options of `MicroRecipe`.

    Attributes:
        jitter: Largest variation of colour, sharpness and noise of the styles, in [0, 1]; see
            `jitter_style`.

    Raises:
        ValueError: If an option has the wrong type or is out of range.
    """

    jitter: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_probability("jitter", self.jitter)


class MicroRecipe(Recipe):
    """Style statistics of VGG maps against anatomy, in one pass over a pair.

    Losses: ``style`` (means and deviations of four maps, as a share of the content's distance),
    ``anatomy`` (instance-normalised maps), ``edges`` (their correlation at four scales),
    ``fringes`` (each channel's edges where the content's are), ``flat`` (slopes only where the
    content has some), ``color`` (moments of R, G, B), ``repeat`` (stylizing twice changes little),
    ``grey`` (grey in a grey style stays grey), ``range`` (edges beyond black and white). The losses
    of style and structure are computed on the output clamped to [0, 1]. There is no identity loss:
    the network returns a content in its own style unchanged.

    Options: those of `MicroOptions`.
    """

    default_weights: ClassVar[Mapping[str, float]] = {
        "style": 55.0,
        "anatomy": 1.0,
        "edges": 50.0,
        "fringes": 20.0,
        "flat": 400.0,
        "color": 20.0,
        "repeat": 5.0,
        "grey": 20.0,
        "range": 40.0,
    }
    options_type = MicroOptions
    options: MicroOptions
    published: ClassVar[Sequence[Weights]] = PACKAGED

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.network = MicroNetwork()
        # a list hides the frozen backbone from the parameters and checkpoints of the run
        self._features = [style_features(config.features)]

    def generator(self) -> nn.Module:
        """Return the network."""
        return self.network

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        content = grain_flat(content)
        style = jitter_style(style, self.options.jitter)
        code = self.network.encode_style(style)
        output = self.network(content, **code)
        seen = output.float().clamp(0.0, 1.0)
        maps, (content_maps, style_maps) = self._maps(seen, content, style)
        share = max(1, len(content) // 4)
        first = {name: tensor[:share] for name, tensor in code.items()}
        again = self.network(output[:share].clamp(0.0, 1.0), **first)
        return {
            "style": relative_style_loss(maps, content_maps, style_maps),
            "anatomy": anatomy_loss(maps[1:], content_maps[1:]),
            "edges": edge_loss(seen, content),
            "fringes": fringe_loss(seen, content),
            "flat": flatness_loss(seen, content),
            "color": color_moments_loss(seen, style),
            "repeat": F.mse_loss(again, output[:share]),
            "grey": grey_loss(output, content, style),
            "range": range_loss(output.float(), content),
        }

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at."""
        painted: Tensor = self.network(content, **self.network.encode_style(style))
        return painted.float().clamp(0.0, 1.0)

    def _maps(
        self, output: Tensor, content: Tensor, style: Tensor
    ) -> tuple[list[Tensor], tuple[list[Tensor], list[Tensor]]]:
        extractor = self._features[0].to(content.device)
        with torch.no_grad():
            both = [m.float() for m in extractor(torch.cat([content, style]))]
        maps = [m.float() for m in extractor(output)]
        count = len(content)
        return maps, ([m[:count] for m in both], [m[count:] for m in both])


def jitter_style(style: Tensor, strength: float) -> Tensor:
    """Vary colour, contrast, sharpness and noise of style images, differently for each image.

    Args:
        style: ``(B, 3, H, W)`` in [0, 1].
        strength: In [0, 1]: 0 keeps the images, 1 is strong. Each image gets a random part of it.
    """
    count = len(style)
    part = strength * torch.rand(count, 1, 1, 1, device=style.device)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        wide = low + (high - low) * torch.rand(count, channels, 1, 1, device=style.device)
        return 1.0 + part * (wide - 1.0)

    grey = style.mean(dim=1, keepdim=True)
    color, brightness = draw(0.75, 1.25, 3), draw(0.75, 1.25)
    tint = torch.where(is_grey(style).view(-1, 1, 1, 1), brightness, color)
    jittered = (grey + (style - grey) * draw(0.3, 1.5)) * tint
    mean = jittered.mean(dim=(1, 2, 3), keepdim=True)
    jittered = (mean + (jittered - mean) * draw(0.6, 1.3)).clamp(0.0, 1.0)
    blurred = F.avg_pool2d(F.pad(jittered, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    jittered = blurred + (jittered - blurred) * draw(0.0, 2.0)
    noise = torch.randn_like(jittered[:, :1]).expand_as(jittered)
    amount = 0.03 * part * torch.rand_like(part)
    return (jittered + amount * noise).clamp(0.0, 1.0)


def grain_flat(content: Tensor) -> Tensor:
    """Add a faint grain to contents without structure.

    The statistics of a flat image are rounding errors, and every normalisation in the network
    increases their gradient thirty-fold.
    """
    flat = (content.flatten(1).std(dim=1) < 1.0 / 255.0).view(-1, 1, 1, 1)
    grain = 0.01 * torch.randn_like(content[:, :1])
    return torch.where(flat, (content + grain).clamp(0.0, 1.0), content)


def grey_loss(output: Tensor, content: Tensor, style: Tensor) -> Tensor:
    """Return the mean squared colour of outputs whose content and style are both grey."""
    both = (is_grey(content) & is_grey(style)).view(-1, 1, 1, 1)
    hue = output - output.mean(dim=1, keepdim=True)
    return (hue.square() * both).mean()
