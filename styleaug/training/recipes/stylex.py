"""The recipe of StyleX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_choice
from styleaug.stylex.encoder import PACKAGED, SimSiamHeads, StyleEncoder
from styleaug.stylex.pipelines import PIPELINES, Pipeline
from styleaug.training.config import TrainConfig
from styleaug.training.contrastive import info_nce_loss
from styleaug.training.recipes.base import Phase, Recipe
from styleaug.weights import Weights


class StyleXRecipe(Recipe):
    """SimSiam on two X-rays that were processed alike.

    Content and style images of a pair are different anatomy. Both are flipped and turned at random
    (nothing else: contrast, blur and noise are style), and processed by one pipeline with one
    vector of parameters. Batches of a hundred pairs and more are useful.

    Losses:

    * ``similarity``, the negative cosine of prediction and projection;
    * ``graded``, off unless it is given a weight: distances of embeddings against distances of
      parameters, which are known here; see `graded_loss`;
    * ``contrastive``, likewise off: which of all other images of the batch was processed alike; see
      `contrastive_loss`;
    * ``spread``, logged with weight 0: deviation of the normalised projections times the root of
      their width. It is near 1; towards 0 the encoder collapses.

    Options: ``pipelines``, names of `styleaug.stylex.pipelines.PIPELINES`; ``temperature`` of the
    contrastive loss.

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
    default_options: ClassVar[Mapping[str, object]] = {
        "pipelines": tuple(PIPELINES),
        "temperature": 0.05,
    }

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        names = self._names("pipelines")
        for name in names:
            check_choice("options.pipelines", name, PIPELINES)
        self._pipelines = [PIPELINES[name] for name in names]
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
            temperature = float(str(self.options["temperature"]))
            losses["contrastive"] = contrastive_loss(first, second, temperature=temperature)
        return losses  # type: ignore[return-value]

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return processed contents to look at."""
        return self._processed(content, style)[0][0].expand(-1, 3, -1, -1)

    def _processed(self, content: Tensor, style: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return pairs ``(2, B, 1, H, W)``, processed alike, and the parameters of each share.

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


def graded_loss(first: Tensor, second: Tensor, vectors: list[Tensor]) -> Tensor:
    """Return how far cosine distances are from those that the parameters ask for.

    The cosine distance of two images of one pipeline, whose parameters are ``d`` apart (all ranges
    of length 1), should be ``d² / 4``, so that embeddings are ``d / √2`` apart; that of images of
    different pipelines at least 0.5.

    Args:
        first: ``(B, E)`` embeddings of the first images, in the order of ``vectors``.
        second: Those of the second ones.
        vectors: Parameters ``(B_i, P_i)`` of each pipeline.

    Returns:
        Mean square over all pairs, the images with the same parameters among them.

    Example:
        >>> same = torch.zeros(2, 3)
        >>> graded_loss(torch.ones(2, 4), torch.ones(2, 4), [same]).item()
        0.0
    """
    with torch.autocast(first.device.type, enabled=False):
        distances = 1.0 - F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    wanted = torch.block_diag(*(torch.cdist(v, v).square() / 4.0 for v in vectors))
    alike = torch.block_diag(*(torch.ones(len(v), len(v)) for v in vectors)).to(wanted) > 0.0
    gaps = torch.where(alike, distances - wanted.to(distances), (0.5 - distances).clamp_min(0.0))
    return gaps.square().mean()


def contrastive_loss(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    """Return how hard it is to find each image's partner among all others of the batch.

    Args:
        first: ``(B, E)`` embeddings of the first images.
        second: Those of their partners, in the same order.
        temperature: That the cosines are divided by.

    Example:
        >>> contrastive_loss(torch.eye(3), torch.eye(3), temperature=0.05).item() < 1e-6
        True
    """
    partners = torch.arange(2 * len(first), device=first.device).roll(len(first))
    units = F.normalize(torch.cat([first, second]), dim=1)
    with torch.autocast(first.device.type, enabled=False):
        return info_nce_loss(units, partners, temperature=temperature)


def turned(images: Tensor) -> Tensor:
    """Return images that are mirrored and turned by quarters at random, each on its own."""
    mirrored = torch.rand(len(images), device=images.device) < 0.5
    images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    quarters = torch.randint(4, (len(images),))
    return torch.stack(
        [torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, quarters, strict=True)]
    )


def spread(projections: Tensor) -> Tensor:
    """Return the mean deviation of projections of unit length, times the root of their width.

    Example:
        >>> spread(torch.ones(4, 8)).item()
        0.0
    """
    units = F.normalize(projections.detach(), dim=1)
    return units.std(dim=0).mean() * units.shape[1] ** 0.5
