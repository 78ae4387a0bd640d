"""A model that was trained again with changes of appearance, under the changes of the audit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from styleaug.appearance import Appearance
from styleaug.auditing.changes import NOTHING, WORST, Change
from styleaug.auditing.outcome import Outcome, Watcher, runnable
from styleaug.auditing.reference import Reference
from styleaug.auditing.samples import Samples
from styleaug.auditing.scores import score_mean
from styleaug.auditing.summary import Row, Seen

Retrain = Callable[[Appearance], Callable[[Tensor], Any]]


def advised(kind: str, seed: int) -> Appearance:
    """Return the augmentation that the page advises for training."""
    return Appearance(kind, seed=seed)


def shown_again(changes: Sequence[Change]) -> list[Change]:
    """Return the changes for the second model: all but the one searched against the first."""
    return [change for change in changes if change.kind != WORST]


def watch_retrained(
    retrain: Retrain,
    samples: Samples,
    reference: Reference,
    watcher: Watcher,
    changes: Sequence[Change],
    augment: Appearance,
) -> list[Outcome]:
    """Train the second model and return its outcomes; without labels it is its own reference.

    Args:
        retrain: Returns a model that was trained with an augmentation.
        samples: The images.
        reference: What the first model was compared with.
        watcher: The first model.
        changes: The changes, the unchanged images first.
        augment: The augmentation.

    Raises:
        ValueError: If the second model returns something else than the first.
    """
    again = replace(watcher, model=runnable(retrain(augment)))
    truth = again.reference(samples)
    if (truth.columns, truth.dense) != (reference.columns, reference.dense):
        raise ValueError(
            f"retrain must return a model with the outputs of the first, {reference.columns} "
            f"classes{' of masks' * reference.dense}, got {truth.columns}"
            f"{' of masks' * truth.dense}."
        )
    return [again.watch(samples, change, truth) for change in changes]


def gain_rows(seen: Seen, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> list[Row]:
    """Return the score of both models by kind of change at full strength, and the gain.

    Args:
        seen: Outcomes of the first model.
        changes: What `shown_again` returned.
        outcomes: Outcomes of the second model.
    """
    own = seen.reference
    if not (own.labelled or own.dense):
        own = replace(own, classes=outcomes[0].scores.argmax(dim=1))
    again = Seen(list(zip(changes, outcomes, strict=True)), own)
    rows = []
    for kind in (NOTHING, *again.kinds):
        before, after = (one.values(one.graded(kind)[-1][1]) for one in (seen, again))
        gain = score_mean(after - before, seen.reference)
        scores = [score_mean(values, seen.reference).value for values in (before, after)]
        rows.append(
            {
                "kind": kind,
                "before": round(scores[0], 6),
                "after": round(scores[1], 6),
                "gain": round(gain.value, 6),
                "gain error": None if gain.error != gain.error else round(gain.error, 6),
                "beyond chance": gain.sure,
            }
        )
    return rows


def outcomes_to_json(outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as a JSON list."""
    return f"[{', '.join(outcome.to_json() for outcome in outcomes)}]"


def outcomes_from_json(text: str) -> list[Outcome]:
    """Read what `outcomes_to_json` wrote."""
    return [Outcome.from_json(json.dumps(item)) for item in json.loads(text)]
