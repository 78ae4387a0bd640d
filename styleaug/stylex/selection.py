"""Style selection: similar to a reference, different from it, or diverse."""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor

from styleaug._checks import check_choice

MODES = ("nearest", "farthest", "diverse")


class Embedding(Protocol):
    """The part of `StyleX` that selection uses."""

    def embed(self, images: Tensor) -> Tensor:
        """Return vectors ``(B, K)`` of unit length."""


def select_styles(
    styles: Tensor,
    reference: Tensor,
    k: int,
    *,
    metric: Embedding,
    mode: Literal["nearest", "farthest", "diverse"] = "nearest",
) -> Tensor:
    """Return the positions of k styles.

    * "nearest": the most similar to the references, nearest first;
    * "farthest": the least similar, farthest first;
    * "diverse": first the nearest one, then repeatedly the one farthest from all chosen so far.

    Args:
        styles: Images ``(S, C, H, W)`` in [0, 1], or their embeddings ``(S, K)``, such as the
            ``statistics`` of a bank that was made with ``describe=metric.embed``.
        reference: Images ``(R, C, H, W)`` or embeddings; their mean direction is used.
        k: Number of styles.
        metric: `StyleX`, or anything that embeds images.
        mode: "nearest", "farthest" or "diverse".

    Returns:
        int64 ``(k,)``.

    Raises:
        ValueError: If the mode is unknown, or there are fewer than k styles.

    Example:
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
        >>> select_styles(embeddings, embeddings[:1], 2, metric=None).tolist()
        [0, 2]
        >>> select_styles(embeddings, embeddings[:1], 2, metric=None, mode="diverse").tolist()
        [0, 1]
    """
    check_choice("mode", mode, MODES)
    if not 1 <= k <= len(styles):
        raise ValueError(f"k must be between 1 and the {len(styles)} styles, got {k}.")
    vectors, wanted = (_vectors(images, metric) for images in (styles, reference))
    similarity = vectors @ torch.nn.functional.normalize(wanted.mean(dim=0), dim=0)
    if mode != "diverse":
        return similarity.argsort(descending=mode == "nearest", stable=True)[:k]
    chosen = [int(similarity.argmax())]
    while len(chosen) < k:
        closest = (vectors @ vectors[chosen].T).amax(dim=1)
        closest[chosen] = float("inf")
        chosen.append(int(closest.argmin()))
    return torch.tensor(chosen)


def _vectors(images: Tensor, metric: Embedding) -> Tensor:
    found = images if images.ndim == 2 else metric.embed(images)
    return torch.nn.functional.normalize(found.detach().float().cpu(), dim=1)
