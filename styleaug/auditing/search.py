"""The worst appearance that a short search finds: one laboratory, the same for all images."""

from __future__ import annotations

import json
from collections.abc import Sequence

from styleaug._draws import id_keys, uniforms
from styleaug.appearance import EFFECTS, KINDS
from styleaug.auditing.changes import WORST, OneAppearance, Plan, effect_ends
from styleaug.auditing.outcome import Outcome, Watcher
from styleaug.auditing.reference import Reference
from styleaug.auditing.samples import Samples
from styleaug.auditing.scores import score_mean

SEEN = 64
"""Most images that a trial of the search looks at."""

Values = dict[str, tuple[float, ...]]


def search_worst(
    samples: Samples,
    reference: Reference,
    watcher: Watcher,
    plan: Plan,
    starts: Sequence[tuple[OneAppearance, float]],
    trials: int,
) -> OneAppearance:
    """Return the appearance under which a short search finds the model least right.

    The search starts at the worst of the drawn laboratories. Every trial sets one effect to the
    ends of its ranges or back to neutral, and is kept if the mean probability of the right class
    (the mean Dice of masks) falls.

    Args:
        samples: The images, of which at most `SEEN`, evenly spaced, are used.
        reference: What the model is compared with.
        watcher: The model.
        plan: Kind of the images and seed.
        starts: Appearances and the score of the model under each.
        trials: Number of changes to try.
    """
    rows = range(0, len(samples), max(1, -(-len(samples) // SEEN)))
    seen, truth = samples.take(rows), reference.take(rows)
    start = min(starts, key=lambda pair: pair[1])[0]
    best = dict(start.values)
    lowest = _sureness(watcher.watch(seen, _appearance(best, plan), truth), truth)
    for trial in range(trials):
        tried = _mutated(best, plan, trial)
        found = _sureness(watcher.watch(seen, _appearance(tried, plan), truth), truth)
        if found < lowest:
            best, lowest = tried, found
    return _appearance(best, plan)


def worst_to_json(worst: OneAppearance) -> str:
    """Return the values of an appearance as JSON."""
    return json.dumps({name: list(values) for name, values in worst.values.items()})


def worst_from_json(text: str, plan: Plan) -> OneAppearance:
    """Read what `worst_to_json` wrote."""
    return _appearance({name: tuple(values) for name, values in json.loads(text).items()}, plan)


def _mutated(values: Values, plan: Plan, trial: int) -> Values:
    """Return values with one effect at its ends or, with probability 1/4, back at neutral."""
    names = KINDS[plan.kind]
    drawn = uniforms(id_keys(plan.seed, [f"trial {trial}"]), 2)[0].tolist()
    effect = EFFECTS[names[int(drawn[0] * len(names))]]
    off = drawn[1] < 0.25 and list(values[effect.name]) != effect.neutral
    ends = effect_ends(effect, [f"trial {trial}"], [1.0], plan.seed).values[effect.name][0]
    return {**values, effect.name: tuple(effect.neutral) if off else ends}


def _appearance(values: Values, plan: Plan) -> OneAppearance:
    return OneAppearance(WORST, "", 1.0, values, plan.seed)


def _sureness(outcome: Outcome, reference: Reference) -> float:
    """Return the mean probability of the right class; for masks the mean Dice."""
    if reference.dense:
        return score_mean(outcome.scores.nanmean(dim=1), reference).value
    right = outcome.scores.gather(1, reference.classes[:, None])[:, 0]
    return score_mean(right, reference).value
