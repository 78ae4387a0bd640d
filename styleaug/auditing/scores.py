"""Figures of an outcome: scores, confidence, and distance of appearance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_auroc,
    multiclass_calibration_error,
)

from styleaug.auditing.outcome import Outcome
from styleaug.auditing.reference import Reference

BINS = 10
"""Bins of confidence in the calibration error."""


@dataclass(frozen=True)
class Mean:
    """A mean over images and its standard error.

    Attributes:
        value: The mean; where labels are classes, the mean of the means of the classes.
        error: Its standard error; NaN if a class has a single image.
    """

    value: float
    error: float

    @property
    def sure(self) -> bool:
        """Whether the mean is more than 1.96 standard errors from 0."""
        return abs(self.value) > 1.96 * self.error


def score_name(reference: Reference) -> str:
    """Return the name of the score of an audit."""
    if reference.dense:
        return "Dice" if reference.labelled else "Dice with its own masks"
    return "balanced accuracy" if reference.labelled else "agreement with itself"


def image_values(outcome: Outcome, reference: Reference) -> Tensor:
    """Return ``(N,)``: for each image 1 if the decision is right, else 0; for masks mean Dice."""
    if reference.dense:
        return outcome.scores.nanmean(dim=1)
    return (outcome.scores.argmax(dim=1) == reference.classes).double()


def score_mean(values: Tensor, reference: Reference) -> Mean:
    """Return the mean over images; where labels are classes, all classes have the same weight.

    Args:
        values: ``(N,)``; NaN values are ignored.
        reference: What the model is compared with.

    Example:
        >>> truth = Reference(True, torch.tensor([0, 0, 0, 1]), (), 2)
        >>> score_mean(torch.tensor([1.0, 1.0, 1.0, 0.0]), truth).value
        0.5
    """
    if reference.dense or not reference.labelled:
        parts = [values]
    else:
        parts = [values[reference.classes == label] for label in reference.classes.unique()]
    kept = [part[~part.isnan()] for part in parts]
    kept = [part for part in kept if len(part)]
    if not kept:
        return Mean(float("nan"), float("nan"))
    means = torch.stack([part.mean() for part in kept])
    errors = torch.stack([part.var() / len(part) if len(part) > 1 else _NONE for part in kept])
    return Mean(float(means.mean()), float(errors.sum().sqrt() / len(kept)))


def figures(outcome: Outcome, before: Outcome, reference: Reference) -> dict[str, float | None]:
    """Return the figures of a change for tables; those that do not apply are None.

    Args:
        outcome: Outcome under the change.
        before: Outcome of the unchanged images.
        reference: What the model is compared with.
    """
    values, plain = (image_values(item, reference) for item in (outcome, before))
    score, drop = score_mean(values, reference), score_mean(plain - values, reference)
    found: dict[str, float | None] = {
        "score": score.value,
        "score error": score.error,
        "drop": drop.value,
        "drop error": drop.error,
        "flipped": float(flipped(outcome, before, reference).double().mean()),
        "confidence": float(outcome.confidence.mean()),
        "distance": float(outcome.distance.mean()),
        "accuracy": None,
        "macro AUC": None,
        "calibration error": None,
    }
    if reference.labelled and not reference.dense:
        found |= class_figures(outcome.scores, reference.classes)
    return {name: _finite(value) for name, value in found.items()}


def class_figures(scores: Tensor, classes: Tensor) -> dict[str, float | None]:
    """Return accuracy, macro AUC and expected calibration error by torchmetrics.

    Args:
        scores: ``(N, C)`` probabilities.
        classes: ``(N,)`` true classes. The AUC is None if a class has no image.

    Source:
        Naeini, Cooper & Hauskrecht, AAAI 2015 (calibration error, `BINS` bins, l1).
    """
    count = scores.shape[1]
    probabilities = (scores / scores.sum(dim=1, keepdim=True)).float()
    complete = len(classes.unique()) == count
    error = multiclass_calibration_error(probabilities, classes, count, n_bins=BINS)
    accuracy = multiclass_accuracy(probabilities, classes, count, average="micro")
    auc = float(multiclass_auroc(probabilities, classes, count)) if complete else None
    return {"accuracy": float(accuracy), "macro AUC": auc, "calibration error": float(error)}


def flipped(outcome: Outcome, before: Outcome, reference: Reference) -> Tensor:
    """Return which decisions have changed; for masks, which have lost half of their Dice.

    Returns:
        ``(N,)`` booleans.
    """
    if reference.dense:
        values, plain = (image_values(item, reference) for item in (outcome, before))
        return values < 0.5 * plain
    return outcome.scores.argmax(dim=1) != before.scores.argmax(dim=1)


def _finite(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 6)


_NONE = torch.tensor(float("nan"), dtype=torch.float64)
