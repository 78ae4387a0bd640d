"""The recipe of StyleX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_choice, check_positive
from styleaug._records import check_fields
from styleaug.appearance.pipelines import PIPELINES, Pipeline
from styleaug.stylex.encoder import PACKAGED, SimSiamHeads, StyleEncoder
from styleaug.training.config import TrainConfig
from styleaug.training.losses import contrastive_loss, graded_loss
from styleaug.training.losses.embeddings import spread
from styleaug.training.recipes.base import Phase, Recipe
from styleaug.weights import Weights


@dataclass(frozen=True)
class StyleXOptions:
    """Options of `StyleXRecipe`.

    Attributes:
        pipelines: Names of `styleaug.appearance.pipelines.PIPELINES`.
        temperature: Temperature of the contrastive loss.

    Raises:
        ValueError: If an option has the wrong type or is out of range.
    """

    pipelines: tuple[str, ...] = tuple(PIPELINES)
    temperature: float = 0.05

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.pipelines:
            raise ValueError(f"pipelines must name one or more, got {self.pipelines}.")
        for name in self.pipelines:
            check_choice("pipelines", name, PIPELINES)
        check_positive("temperature", self.temperature)


class StyleXRecipe(Recipe):
    """SimSiam on pairs of X-rays with the same processing.

    The two images of a pair show different anatomy. Both are randomly flipped and rotated (nothing
    else, because contrast, blur and noise are style), and processed by the same pipeline with the
    same parameters. Batches should have a hundred pairs or more.

    Losses:

    * ``similarity``, the negative cosine of prediction and projection;
    * ``graded``, off unless it is given a weight: distances of embeddings against distances of
      parameters, which are known here; see `graded_loss`;
    * ``contrastive``, likewise off: which other image of the batch had the same processing; see
      `contrastive_loss`;
    * ``spread``, logged with weight 0: deviation of the normalised projections times the root of
      their width. It should be near 1; near 0 the encoder has collapsed.

    Options: those of `StyleXOptions`.

    Source:
        Eckert et al., arXiv 2405.14718; Chen & He, CVPR 2021. The other two losses are ours.
    """

    published: ClassVar[Sequence[Weights]] = PACKAGED
    default_weights: ClassVar[Mapping[str, float]] = {
        "similarity": 1.0,
        "graded": 0.0,
        "contrastive": 0.0,
        "spread": 0.0,
    }
    options_type = StyleXOptions
    options: StyleXOptions

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self._pipelines = [PIPELINES[name] for name in self.options.pipelines]
        self.encoder, self.heads = StyleEncoder(), SimSiamHeads()

    def generator(self) -> nn.Module:
        """Return the encoder."""
        return self.encoder

    def trained(self) -> nn.Module:
        """Return the encoder and the heads of SimSiam."""
        return nn.ModuleDict({"encoder": self.encoder, "heads": self.heads})

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch of pairs ``(B, 3, H, W)``."""
        pairs, vectors = self._processed(content, style)
        embeddings = [self.encoder(turned(images)) for images in pairs]
        views = [self.heads(embedded) for embedded in embeddings]
        (za, pa), (zb, pb) = ((z.float(), p.float()) for z, p in views)
        cosines = (
            F.cosine_similarity(p, z.detach(), dim=1).mean() for p, z in ((pa, zb), (pb, za))
        )
        losses = {"similarity": -0.5 * sum(cosines), "spread": spread(za)}
        first, second = (embedded.float() for embedded in embeddings)
        if self.loss_weights["graded"] > 0.0:
            losses["graded"] = graded_loss(first, second, vectors)
        if self.loss_weights["contrastive"] > 0.0:
            losses["contrastive"] = contrastive_loss(
                first, second, temperature=self.options.temperature
            )
        return losses  # type: ignore[return-value]

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return processed contents to look at."""
        return self._processed(content, style)[0][0].expand(-1, 3, -1, -1)

    def _processed(self, content: Tensor, style: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return pairs ``(2, B, 1, H, W)`` with equal processing, and the parameters of each share.

        Each pipeline takes its share of the pairs.
        """
        pairs = torch.stack([content, style]).float().mean(dim=2, keepdim=True)
        shares = pairs.tensor_split(len(self._pipelines), dim=1)
        with torch.no_grad(), torch.autocast(content.device.type, enabled=False):
            done = [process_pairs(*both) for both in zip(shares, self._pipelines, strict=True)]
        return torch.cat([views for views, _ in done], dim=1), [vectors for _, vectors in done]


def process_pairs(pairs: Tensor, pipeline: type[Pipeline]) -> tuple[Tensor, Tensor]:
    """Return pairs ``(2, B, 1, H, W)`` with both images of each processed alike, and how.

    Parameters are drawn from torch's global generator, outside of the held-out region; they are
    returned in units of their ranges, ``(B, P)``.
    """
    generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    vectors = pipeline.sample(pairs.shape[1], generator).to(pairs)
    views = [pipeline.process(images, vectors, generator) for images in pairs]
    return torch.stack(views), pipeline.normalise(vectors)


def turned(images: Tensor) -> Tensor:
    """Return images, each randomly mirrored and rotated by multiples of 90 degrees."""
    mirrored = torch.rand(len(images), device=images.device) < 0.5
    images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    quarters = torch.randint(4, (len(images),))
    return torch.stack(
        [torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, quarters, strict=True)]
    )
