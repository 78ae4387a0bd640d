"""Whether to align the images of a place, asked of some of them without labels."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from styleaug.styles.bank import StyleBank
from styleaug.tta.wrapper import StyleTTA, check_statistics, contents_of

_NEAR = 1.5
"""Distance up to which images count as made at home."""

_DOUBT = 0.02
"""Nats by which a network must be less sure; what is below is no sign in maps of many pixels."""


@dataclass(frozen=True)
class Advice:
    """What some images of a place say about aligning all of them.

    Alignment helps a network that is sure of itself where it should not be: in the styles that it
    knows it becomes less sure. Where it becomes surer instead, it did not need the alignment, and
    lost accuracy by it more often than not; and images that lie among the styles of the bank have
    nothing to be aligned.

    Attributes:
        align: Whether to use `StyleTTA` there: ``distance`` is at least 1.5 and ``doubt`` over
            0.02.
        distance: Median distance of the images to their nearest styles, in units of that of the
            styles to each other: about 1 for images of the training laboratories.
        doubt: Mean entropy of the predictions of aligned views minus that of the images themselves,
            in nats; over all outputs and pixels.
        images: How many images were seen.
    """

    align: bool
    distance: float
    doubt: float
    images: int


@torch.no_grad()
def advise(tta: StyleTTA, batches: Iterable[Tensor]) -> Advice:
    """Ask whether alignment is likely to help on images of a place; no labels are needed.

    Args:
        tta: As it would be used, with ``select="nearest"`` and a bank with statistics.
        batches: Images of the place as ``tta`` takes them, batch by batch: some hundred in all.

    Raises:
        ValueError: If there are no images, the outputs are no probabilities
            (``activation=None``), or the bank has no statistics or one style only.

    Source:
        This package; what it was tested on is in ``docs/how-to/test-time.md``. Entropy as a sign of
        what helps without labels: Wang et al., "Tent", ICLR 2021, who lower it instead.

    Example:
        >>> from styleaug import StyleBank
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
        >>> bank = StyleBank.from_images(torch.rand(6, 3, 32, 32), "colorist")
        >>> tta = StyleTTA(model, "colorist", bank, 3, select="nearest")
        >>> advise(tta, [torch.rand(4, 3, 32, 32)]).images
        4
    """
    if tta.activation is None:
        raise ValueError("activation must be 'softmax' or 'sigmoid' to tell how sure a model is.")
    check_statistics(tta.bank, tta.describe)
    if len(tta.bank) < 2:
        raise ValueError(f"bank must hold two styles or more, got {len(tta.bank)}.")
    aligned, plain = _of_views(tta, tta.n), _of_views(tta, 1)
    plain.accept = _none
    far, doubts = [], []
    for images in batches:
        vectors = torch.cat([tta.describe(one[None]) for one in contents_of(tta, images)])
        far.append(_to_nearest(vectors, tta.bank, tta.n))
        doubts.append(len(images) * (_entropy(aligned, images) - _entropy(plain, images)))
    if not far:
        raise ValueError("batches must hold at least one batch of images, got none.")
    count = sum(map(len, far))
    distance = float(torch.cat(far).median() / _between_styles(tta.bank, tta.n).median())
    doubt = sum(doubts) / count
    return Advice(distance >= _NEAR and doubt > _DOUBT, distance, doubt, count)


def _of_views(tta: StyleTTA, count: int) -> StyleTTA:
    """Return a copy that speaks of ``count`` stylized views alone."""
    views = copy.copy(tta)
    views.n, views.include_identity, views.return_stats = count, False, True
    views.merge = "mean_prob"  # its result is not used, whatever the user's would return
    return views


def _none(stylized: Tensor, contents: Tensor) -> Tensor:
    """Reject every view, so that the images themselves are predicted."""
    return torch.zeros(len(stylized), dtype=torch.bool, device=stylized.device)


def _entropy(tta: StyleTTA, images: Tensor) -> float:
    """Return the mean entropy of single views, over views, outputs and pixels."""
    _, stats = tta(images)
    outputs = stats.values() if isinstance(stats, dict) else [stats]
    means = [(found.entropy - found.mutual_information).mean() for found in outputs]
    return float(torch.stack(means).mean())


def _to_nearest(vectors: Tensor, bank: StyleBank, count: int) -> Tensor:
    """Return the mean distance of each vector to its ``count`` nearest styles, ``(B,)``."""
    distances = torch.cdist(vectors.cpu().double(), _statistics(bank))
    return distances.topk(count, dim=1, largest=False).values.mean(dim=1)


def _between_styles(bank: StyleBank, count: int) -> Tensor:
    """Return the mean distance of each style to the ``count`` nearest others, ``(S,)``."""
    vectors = _statistics(bank)
    distances = torch.cdist(vectors, vectors).fill_diagonal_(torch.inf)
    nearest = distances.topk(min(count, len(bank) - 1), dim=1, largest=False).values
    return nearest.mean(dim=1).clamp_min(1e-6)


def _statistics(bank: StyleBank) -> Tensor:
    return torch.as_tensor(bank.statistics).double()
