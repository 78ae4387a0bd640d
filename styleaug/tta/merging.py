"""Merge the outputs of several views to one prediction, with its uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug._checks import check_choice

Merge: TypeAlias = Literal["mean_prob", "mean_logit", "max", "vote"] | Callable[[Tensor], Tensor]
Activation: TypeAlias = Literal["softmax", "sigmoid"] | None

MERGES = ("mean_prob", "mean_logit", "max", "vote")
ACTIVATIONS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class StyleStats:
    """Agreement of the views of each sample; maps for dense outputs.

    Attributes:
        mean: ``(B, C, ...)`` mean of the activated outputs.
        std: ``(B, C, ...)`` their standard deviation (biased: 0 for one view).
        entropy: Entropy of the mean in nats, ``(B, ...)`` for softmax, ``(B, C, ...)`` for sigmoid;
            None without an activation, like the two that follow.
        mutual_information: That entropy minus the mean entropy of the views: the part of the
            uncertainty that comes from the style.
        agreement: Share of the views with the same decision as the merged prediction.
        accepted: ``(B, n)``: False if the guard rejected a stylized view, which the image itself
            then replaces.
        styles: ``(B, n)`` ids of the styles in the bank.
    """

    mean: Tensor
    std: Tensor
    entropy: Tensor | None
    mutual_information: Tensor | None
    agreement: Tensor | None
    accepted: Tensor
    styles: Tensor


def check_merge(merge: Merge, activation: Activation) -> None:
    """Refuse an unknown merge, and one that does not fit the activation."""
    if activation is not None:
        check_choice("activation", activation, ACTIVATIONS)
    if callable(merge):
        return
    check_choice("merge", merge, MERGES)
    if activation is None and merge in ("mean_prob", "vote"):
        raise ValueError(
            f"merge={merge!r} needs probabilities, got activation=None. Name the activation of "
            "the outputs, or take merge='mean_logit', which averages them as they are."
        )


def check_columns(output: Tensor, activation: Activation) -> None:
    """Refuse a softmax over one column, which is always 1."""
    if activation == "softmax" and output.shape[1] == 1:
        raise ValueError(
            "activation='softmax' needs at least two columns, got one, of which it is always 1. "
            "Pass activation='sigmoid' for a model with one score."
        )


def merge_views(outputs: Tensor, merge: Merge, activation: Activation) -> Tensor:
    """Merge the raw outputs of views.

    Args:
        outputs: ``(V, B, C, ...)``.
        merge: "mean_prob": mean of the probabilities; "mean_logit": activation of the mean;
            "max": largest probability of each class, for softmax scaled to sum to one; "vote":
            share of the views that decide for a class; or a function of the activated outputs.
        activation: "softmax" over C, "sigmoid", or None to leave outputs as they are.

    Returns:
        ``(B, C, ...)``.

    Example:
        >>> merge_views(torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]], [[3.0, 0.0]]]), "vote", "softmax")
        tensor([[0.6667, 0.3333]])
    """
    if merge == "mean_logit":
        return activate(outputs.float().mean(dim=0, keepdim=True), activation)[0]
    values = activate(outputs.float(), activation)
    if callable(merge):
        return merge(values)
    if merge == "max":
        highest = values.amax(dim=0)
        return highest / highest.sum(dim=1, keepdim=True) if activation == "softmax" else highest
    return (_decisions(values, activation) if merge == "vote" else values).mean(dim=0)


def view_stats(
    outputs: Tensor, merged: Tensor, activation: Activation, accepted: Tensor, styles: Tensor
) -> StyleStats:
    """Return the statistics of raw outputs ``(V, B, C, ...)`` around a merged prediction.

    Source:
        Mutual information: Gal, Islam & Ghahramani, ICML 2017 (BALD), with styles in the place
        of weights.
    """
    values = activate(outputs.float(), activation)
    mean, std = values.mean(dim=0), values.std(dim=0, correction=0)
    if activation is None:
        return StyleStats(mean, std, None, None, None, accepted, styles)
    entropy = _entropy(mean[None], activation)[0]
    information = (entropy - _entropy(values, activation).mean(dim=0)).clamp_min(0.0)
    same = _decisions(values, activation) == _decisions(merged[None], activation)
    agree = same.all(dim=2) if activation == "softmax" else same
    agreement = agree.float().mean(dim=0)
    return StyleStats(mean, std, entropy, information, agreement, accepted, styles)


def activate(outputs: Tensor, activation: Activation) -> Tensor:
    """Apply the activation to ``(V, B, C, ...)``."""
    if activation == "softmax":
        return outputs.softmax(dim=2)
    return outputs.sigmoid() if activation == "sigmoid" else outputs


def _decisions(values: Tensor, activation: Activation) -> Tensor:
    """Return one-hot classes, or yes and no per label, as numbers."""
    if activation == "sigmoid":
        return (values > 0.5).float()
    classes = F.one_hot(values.argmax(dim=2), values.shape[2])
    return classes.movedim(-1, 2).float()


def _entropy(values: Tensor, activation: Activation) -> Tensor:
    entropy: Tensor = torch.special.entr(values)
    if activation == "softmax":
        return entropy.sum(dim=2)
    other: Tensor = torch.special.entr(1.0 - values)
    return entropy + other
