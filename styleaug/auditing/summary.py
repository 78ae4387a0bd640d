"""The tables of an audit, from the outcomes of all changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from styleaug.auditing.changes import NOTHING, WORST, Change
from styleaug.auditing.outcome import Outcome
from styleaug.auditing.reference import Reference
from styleaug.auditing.scores import figures, flipped, image_values, score_mean

DISTANCES = 8
"""Number of bins of the distance of appearance, of equal size."""

Row = dict[str, Any]
Found = Sequence[tuple[Change, Outcome]]


@dataclass(frozen=True)
class Seen:
    """All outcomes of an audit; that of the unchanged images comes first.

    Attributes:
        found: Changes and their outcomes.
        reference: What the model is compared with.
    """

    found: Found
    reference: Reference

    @property
    def before(self) -> Outcome:
        """Outcome of the unchanged images."""
        return self.found[0][1]

    def graded(self, kind: str) -> list[tuple[float, list[Outcome]]]:
        """Return the outcomes of a kind by strength, rising."""
        steps: dict[float, list[Outcome]] = {}
        for change, outcome in self.found:
            if change.kind == kind:
                steps.setdefault(change.strength, []).append(outcome)
        return sorted(steps.items(), key=lambda step: step[0])

    @property
    def kinds(self) -> list[str]:
        """Kinds of changes in the order of the plan."""
        kinds = dict.fromkeys(change.kind for change, _ in self.found)
        return [kind for kind in kinds if kind != NOTHING]

    def values(self, outcomes: Sequence[Outcome]) -> Tensor:
        """Return one number per image, the mean over several outcomes."""
        return torch.stack([image_values(item, self.reference) for item in outcomes]).mean(dim=0)


def change_rows(seen: Seen) -> list[Row]:
    """Return the figures of every change."""
    return [
        {"kind": change.kind, "member": change.member, "strength": change.strength}
        | figures(outcome, seen.before, seen.reference)
        for change, outcome in seen.found
    ]


def kind_rows(seen: Seen) -> list[Row]:
    """Return the scores of every kind by strength, and its drop and flips; the worst kind first."""
    plain = seen.values([seen.before])
    rows = []
    for kind in seen.kinds:
        steps = seen.graded(kind)
        last = steps[-1][1]
        drop = score_mean(plain - seen.values(last), seen.reference)
        flips = [flipped(item, seen.before, seen.reference).double().mean() for item in last]
        rows.append(
            {
                "kind": kind,
                "score": _mean(seen, last),
                "drop": round(drop.value, 6),
                "drop error": _number(drop.error),
                "beyond chance": drop.sure,
                "flipped": round(float(torch.stack(flips).mean()), 6),
                "by strength": {str(step): _mean(seen, outcomes) for step, outcomes in steps},
            }
        )
    return sorted(rows, key=lambda row: -row["drop"])


def part_rows(seen: Seen, parts: Mapping[str, Sequence[int]]) -> list[Row]:
    """Return the scores of parts of the images: unchanged, and under each kind at full strength.

    Args:
        seen: The outcomes.
        parts: Numbers of images by the name of the part, such as a class or a subgroup.
    """
    columns = {NOTHING: seen.values([seen.before])}
    columns |= {kind: seen.values(seen.graded(kind)[-1][1]) for kind in seen.kinds}
    rows = []
    for name, numbers in parts.items():
        scores = {kind: _part_score(values, numbers, seen) for kind, values in columns.items()}
        rows.append({"name": name, "images": len(numbers), "scores": scores})
    return rows


def distance_rows(seen: Seen) -> list[Row]:
    """Return accuracy and confidence of the model by distance of appearance.

    All images under all changes but the searched one are sorted into `DISTANCES` bins of equal
    size.
    """
    parts = [(c, item) for c, item in seen.found if c.kind != WORST]
    distance = torch.cat([item.distance for _, item in parts])
    right = torch.cat([image_values(item, seen.reference) for _, item in parts])
    sure = torch.cat([item.confidence for _, item in parts])
    rows = []
    for rows_of in distance.argsort(stable=True).tensor_split(DISTANCES):
        if len(rows_of):
            rows.append(
                {
                    "images": len(rows_of),
                    "distance": round(float(distance[rows_of].mean()), 4),
                    "right": round(float(right[rows_of].nanmean()), 4),
                    "confidence": round(float(sure[rows_of].mean()), 4),
                }
            )
    return rows


def class_parts(reference: Reference, names: Sequence[str] | None) -> dict[str, list[int]]:
    """Return the images of every class; without labels, of every decision of the model."""
    if reference.dense:
        return {}
    parts = {}
    for label in reference.classes.unique().tolist():
        name = names[label] if names else str(label)
        parts[name] = (reference.classes == label).nonzero().flatten().tolist()
    return parts


def group_parts(groups: Sequence[str]) -> dict[str, list[int]]:
    """Return the images of every subgroup."""
    parts: dict[str, list[int]] = {}
    for row, name in enumerate(groups):
        parts.setdefault(name, []).append(row)
    return parts


def mask_rows(seen: Seen, names: Sequence[str] | None) -> list[Row]:
    """Return the mean Dice of every class of masks, as `part_rows` does for classes."""
    if not seen.reference.dense:
        return []
    columns = {NOTHING: [seen.before]}
    columns |= {kind: seen.graded(kind)[-1][1] for kind in seen.kinds}
    rows = []
    for index in range(seen.before.scores.shape[1]):
        column = {
            kind: torch.stack([item.scores[:, index] for item in items]).mean(dim=0)
            for kind, items in columns.items()
        }
        scores = {kind: _number(float(values.nanmean())) for kind, values in column.items()}
        count = int((~seen.before.scores[:, index].isnan()).sum())
        name = names[index + 1] if names else str(index + 1)
        rows.append({"name": name, "images": count, "scores": scores})
    return rows


def _part_score(values: Tensor, rows: Sequence[int], seen: Seen) -> float | None:
    part = seen.reference.take(rows)
    return _number(score_mean(values[list(rows)], part).value)


def _mean(seen: Seen, outcomes: Sequence[Outcome]) -> float | None:
    return _number(score_mean(seen.values(outcomes), seen.reference).value)


def _number(value: float) -> float | None:
    return None if value != value else round(value, 6)
