"""The recipe of "appearance": pairs with a known answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_probability
from styleaug._records import check_fields
from styleaug.appearance import EFFECTS, Appearance, change_appearance
from styleaug.appearance.transform import MAX_STRENGTH
from styleaug.features import FeatureExtractor
from styleaug.functional import affine_color
from styleaug.stylizers.appearance import PACKAGED
from styleaug.stylizers.appearance_code import APPEARANCE, class_colors, sample_pixels
from styleaug.stylizers.appearance_fit import transport
from styleaug.stylizers.appearance_network import AppearanceNetwork
from styleaug.training.composition import is_grey, paste_empty, shuffle_blocks, vary_thickness
from styleaug.training.config import TrainConfig
from styleaug.training.losses import (
    color_moments_loss,
    edge_loss,
    range_loss,
    relative_style_loss,
)
from styleaug.training.recipes.base import Phase, Recipe
from styleaug.training.recipes.networks import style_features
from styleaug.weights import Weights

_COLOR = ("stained", "stained", "dermoscopy", "photograph")
_GREY = ("fluorescence", "xray", "ct")
_UNREPEATABLE = tuple(name for name, effect in EFFECTS.items() if not effect.reproducible)


@dataclass(frozen=True)
class AppearanceOptions:
    """Options of `AppearanceRecipe`.

    Attributes:
        strength: Widest strength of the appearances.
        foreign: Share of the pairs whose style comes from another image of the batch, so that
            there is no answer.
        thickness: Deviation of the density that contents are varied by, which styles do not show.
        empty: Share of the images that are half covered by empty glass, or by black.
        shuffled: Share of the styles whose blocks change places.
        itself: Share of the styles that are the content's own crop, in the other appearance.

    Raises:
        ValueError: If an option is of another type or out of range.
    """

    strength: float = 1.2
    foreign: float = 0.125
    thickness: float = 0.2
    empty: float = 0.2
    shuffled: float = 0.1
    itself: float = 0.1

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("foreign", "empty", "shuffled", "itself"):
            check_probability(name, getattr(self, name))
        if not 0.0 <= self.strength <= MAX_STRENGTH:
            raise ValueError(f"strength must be in [0, {MAX_STRENGTH}], got {self.strength}.")
        if self.thickness < 0.0:
            raise ValueError(f"thickness must be at least 0, got {self.thickness}.")


class AppearanceRecipe(Recipe):
    """One picture in two appearances, and another part of it to say which.

    A pair of the loader shows two things that were made alike: two crops of an image, or of two
    images of one group (a slide, a patient). With two random appearances F and G of
    `styleaug.appearance`, the content is F(one), the style G(other), and what should come out is
    G(one), which is known. So the network is told nothing by what the style shows, and only by how
    it was made.

    Losses: ``truth`` (mean absolute, and root mean square error of each image), ``slope`` (of the
    differences of neighbouring pixels), both counted as a share of how far the content was from the
    answer; ``code`` (which crops have one appearance); ``classes`` (colours of the style's classes
    against what the content's become in the answer); ``gate`` (whether statistics alone would come
    nearer to the answer, cross-entropy); and for the share ``foreign`` of the pairs,
    whose style comes from another image of the batch so that there is no answer, ``color`` (moments
    of R, G, B), ``style`` (VGG statistics, as a share of the content's distance), ``edges`` (their
    correlation at four scales) and ``range`` (edges beyond black and white).

    Options: `AppearanceOptions`.

    Source:
        Pairs of one image under two filters: Ke et al., Neural Preset, CVPR 2023. Styles from
        another crop, and appearances beyond colour, are ours.
    """

    alike: ClassVar[bool] = True
    default_weights: ClassVar[Mapping[str, float]] = {
        "truth": 1.0,
        "slope": 0.5,
        "code": 0.03,
        "classes": 0.2,
        "gate": 0.1,
        "color": 0.5,
        "style": 0.0,
        "edges": 0.5,
        "range": 1.0,
    }
    options_type = AppearanceOptions
    published: ClassVar[Sequence[Weights]] = PACKAGED

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.network = AppearanceNetwork()
        strength = (0.0, self.options.strength)
        self._appearances = {
            False: Appearance(_COLOR, strength=strength, image_p=1.0),
            True: Appearance(_GREY, strength=strength, image_p=1.0),
        }
        # a list hides the frozen backbone from the parameters and checkpoints of the run
        self._features: list[FeatureExtractor] = []
        if self.loss_weights["style"] and self.options.foreign:
            self._features.append(style_features(config.features))

    def generator(self) -> nn.Module:
        """Return the network."""
        return self.network

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)`` that were made alike."""
        with torch.no_grad():
            # maps of colours are read channel by channel, whatever the loader gives
            content, style = content.float().contiguous(), style.float().contiguous()
            content, style, truth = self.make_pairs(content, style)
        count = len(content)
        codes, shares = self.network.encoder.read(torch.cat([content, truth]))
        own, true_code = codes.chunk(2)
        code = own.roll(count // 2, dims=0)
        known = count - round(self.options.foreign * count)
        wanted = torch.cat([code[:known], code.roll(1, dims=0)[known:]])
        output = self.network.painted(content, own, wanted)
        weight = pair_weights(content, truth)
        losses = truth_losses(output[:known], truth[:known], weight[:known])
        losses["code"] = code_loss(code[:, :APPEARANCE], true_code[:, :APPEARANCE])
        losses["classes"] = class_loss(code, shares[:count], truth, weight)
        losses["gate"] = self._gate_loss(content, own, wanted, output, truth, known)
        if known < count:
            styles = style.roll(1, dims=0)[known:]
            losses |= self._foreign(output[known:], content[known:], styles)
        return losses

    def make_pairs(self, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return contents, styles and answers of crops that were made alike, two of a pair.

        Of B pairs of crops become 2 B: content and style change places in the second half. Noise,
        compression and uneven light are in contents and styles, not in the answers: no map of
        colours can repeat them.

        Args:
            content: ``(B, 3, H, W)`` in [0, 1].
            style: ``(B, 3, H, W)`` in [0, 1].
        """
        drawn = torch.rand(len(style), 1, 1, 1, device=style.device)
        style = torch.where(drawn < self.options.itself, content, style)
        crops = vary_thickness(torch.cat([content, style]), self.options.thickness)
        crops = shuffle_blocks(paste_empty(crops, self.options.empty), self.options.shuffled)
        contents, truth = torch.empty_like(crops), torch.empty_like(crops)
        grey = is_grey(content) & is_grey(style)
        # a fifth of the grey images is coloured all the same: a stain on a grey micrograph
        grey &= torch.rand(len(grey), device=grey.device) > 0.2
        for kind, appearance in self._appearances.items():
            rows = (grey == kind).nonzero().flatten()
            if len(rows):
                first, second = (appearance.draw_params(len(rows)) for _ in range(2))
                for half, seen, asked in ((0, first, second), (len(style), second, first)):
                    contents[rows + half] = change_appearance(crops[rows + half], seen)
                    answer = asked.without(*_UNREPEATABLE)
                    truth[rows + half] = change_appearance(crops[rows + half], answer)
        return contents, contents.roll(len(style), dims=0), truth

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images to look at."""
        painted: Tensor = self.network(content, self.network.encoder(style))
        return painted.float().clamp(0.0, 1.0)

    def _gate_loss(
        self, content: Tensor, own: Tensor, code: Tensor, output: Tensor, truth: Tensor, known: int
    ) -> Tensor:
        """Return the loss of the share of statistics: more where they alone would do better."""
        with torch.no_grad():
            matched = transport(own, code)
            alone = affine_color(content - 0.5, *matched.split((3, 1), dim=2)) + 0.5
            apart = [(each - truth).square().flatten(1).mean(dim=1) for each in (alone, output)]
            # as good is good enough; and where there is no answer, statistics are all there is
            wanted = (apart[0] < 1.2 * apart[1]).float()
            wanted[known:] = 1.0
            maps = self.network.predicted(own, code)[1]
        score = self.network.transport.score(maps, matched, own, code)
        return F.binary_cross_entropy_with_logits(score, wanted)

    def _foreign(self, output: Tensor, content: Tensor, style: Tensor) -> dict[str, Tensor]:
        """Return the losses of pairs without an answer."""
        seen = output.float().clamp(0.0, 1.0)
        losses = {
            "color": color_moments_loss(seen, style),
            "edges": edge_loss(seen, content),
            "range": range_loss(output.float(), content),
        }
        if self._features:
            extractor = self._features[0].to(content.device)
            with torch.no_grad():
                before, wanted = (
                    [m.float() for m in extractor(images)] for images in (content, style)
                )
            maps = [m.float() for m in extractor(seen)]
            losses["style"] = relative_style_loss(maps, before, wanted)
        return losses


def truth_losses(output: Tensor, truth: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Return how far outputs are from the known answers, and their slopes from the answers'.

    Args:
        output: ``(B, 3, H, W)``.
        truth: ``(B, 3, H, W)``, the answers.
        weight: ``(B,)`` of the images.

    Example:
        >>> images = torch.rand(2, 3, 8, 8)
        >>> truth_losses(images, images, torch.ones(2))["slope"].item()
        0.0
    """
    error = output - truth
    root = (error.square().flatten(1).mean(dim=1) + 1e-6).sqrt()
    each = weight.view(-1, 1, 1, 1)
    down, across = (each * error.diff(dim=axis).abs() for axis in (2, 3))
    return {
        "truth": (each * error.abs()).mean() + (weight * root).mean(),
        "slope": down.mean() + across.mean(),
    }


def pair_weights(content: Tensor, truth: Tensor) -> Tensor:
    """Return how much each pair counts, ``(B,)``: less, the farther the answer is.

    An error counts as a share of what was to be changed: two scanners differ by little, and what
    helps there would drown in what drastic changes cost.

    Args:
        content: ``(B, 3, H, W)``.
        truth: ``(B, 3, H, W)``, the answers.
    """
    far = (content - truth).square().flatten(1).mean(dim=1).sqrt()
    return _TYPICAL / (far + _FAINT)


_TYPICAL, _FAINT = 0.15, 0.03
"""Distances, root mean square: what pairs have, and what noise alone makes."""


def class_loss(code: Tensor, share: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return how far the classes of styles are from what the contents' become in the answer.

    Args:
        code: ``(B, 188)`` codes of the styles.
        share: ``(B, 16, N)`` of the contents' pixels in their classes.
        truth: ``(B, 3, H, W)``, the answers.
        weight: ``(B,)`` of the images.
    """
    answer = share @ sample_pixels(truth)[0].transpose(1, 2) - 0.5
    error = (class_colors(code)[0] - answer).abs().flatten(1).mean(dim=1)
    return (weight * error).mean()


def code_loss(code: Tensor, same: Tensor, *, temperature: float = 0.1) -> Tensor:
    """Return how hard it is to find the two codes of one appearance among all of a batch.

    Args:
        code: ``(B, K)`` codes of pictures in B appearances.
        same: ``(B, K)`` codes of other pictures in the same appearances.
        temperature: That the cosines are divided by.
    """
    count = len(code)
    places = torch.arange(count, device=code.device)
    embeddings = F.normalize(torch.cat([code, same]).float(), dim=1)
    similarity = embeddings @ embeddings.T / temperature
    itself = torch.eye(2 * count, dtype=torch.bool, device=code.device)
    similarity = similarity.masked_fill(itself, float("-inf"))
    return F.cross_entropy(similarity, torch.cat([count + places, places]))
