"""What a model is compared with: the labels or, without labels, its own decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.segmentation import dice_score

from styleaug.auditing.samples import Batch, Samples


@dataclass(frozen=True)
class Reference:
    """The labels, or the model's own decisions on the unchanged images.

    Attributes:
        labelled: Whether these are labels.
        classes: ``(N,)``; empty for masks.
        masks: ``(H, W[, D])`` of every image; empty for classes.
        columns: Number of classes of the model.
    """

    labelled: bool
    classes: Tensor
    masks: tuple[Tensor, ...]
    columns: int

    @property
    def dense(self) -> bool:
        """Whether the model predicts masks."""
        return bool(self.masks)

    def take(self, rows: Sequence[int]) -> Reference:
        """Return the reference of some images."""
        masks = tuple(self.masks[row] for row in rows) if self.dense else ()
        classes = self.classes if self.dense else self.classes[list(rows)]
        return Reference(self.labelled, classes, masks, self.columns)


def build_reference(samples: Samples, predict: Callable[[Batch], Tensor]) -> Reference:
    """Return what the model is compared with.

    Args:
        samples: The images.
        predict: Returns the probabilities ``(B, C, ...)`` of an unchanged batch.

    Raises:
        ValueError: If labels do not fit what the model returns.
    """
    decided: list[Tensor] = []
    columns = 0
    for batch in samples.batches:
        found = predict(batch)
        _check_targets(batch.targets, found)
        columns = found.shape[1]
        decided += (found.argmax(dim=1).cpu() if batch.targets is None else batch.targets).unbind()
    if decided[0].ndim > 0:
        return Reference(
            samples.labelled, torch.empty(0, dtype=torch.long), tuple(decided), columns
        )
    return Reference(samples.labelled, torch.stack(decided), (), columns)


def mask_dice(found: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Return Dice ``(B, C - 1)`` of every class but the background, NaN where neither has it."""
    dice: Tensor = dice_score(
        found.flatten(1),
        truth.flatten(1),
        num_classes=classes,
        include_background=False,
        average="none",
        input_format="index",
    )
    return dice.view(len(found), -1)


def _check_targets(targets: Tensor | None, found: Tensor) -> None:
    if targets is None:
        return
    if targets.ndim != found.ndim - 1:
        wanted = "classes (B,)" if found.ndim == 2 else "masks (B, H, W[, D])"
        raise ValueError(
            f"targets must be {wanted} for a model that returns {tuple(found.shape)}, got "
            f"{tuple(targets.shape)}."
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= found.shape[1]:
        raise ValueError(
            f"targets must be in 0 ... {found.shape[1] - 1}, the columns of the model, got {low} "
            f"to {high}."
        )
