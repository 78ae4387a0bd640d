"""Advice after an audit: whether test-time augmentation helps, tried on changed images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from styleaug.auditing.changes import LABORATORY, Change, Unchanged
from styleaug.auditing.outcome import Watcher
from styleaug.auditing.reference import Reference
from styleaug.auditing.samples import Samples, from_model, to_model
from styleaug.auditing.scores import Mean, image_values, score_mean
from styleaug.images.batch import Images
from styleaug.styles.bank import StyleBank
from styleaug.styles.medoids import find_medoids
from styleaug.stylizers import create_stylizer
from styleaug.stylizers.base import Stylizer
from styleaug.tta import StyleTTA

TRIALS = ("colorist", "appearance")
VIEWS = 4
_STYLES = 16
_MERGES = {None: "mean_logit", "softmax": "mean_prob", "sigmoid": "mean_prob"}


@dataclass(frozen=True)
class Trial:
    """The effect of `StyleTTA` on the score under changes of one kind.

    Attributes:
        stylizer: Name of the stylizer, which paints four views in the nearest of up to 16 styles.
        change: Kind of the changes.
        images: Number of images in the trial; the styles come from the other images.
        plain: Score without `StyleTTA`.
        score: Score with it.
        gain: Difference of the two.
        error: Standard error of the difference.
    """

    stylizer: str
    change: str
    images: int
    plain: float
    score: float
    gain: float
    error: float

    @property
    def sure(self) -> bool:
        """Whether the difference exceeds 1.96 standard errors, so that it is unlikely by chance."""
        return Mean(self.gain, self.error).sure


def try_alignment(
    samples: Samples,
    reference: Reference,
    watcher: Watcher,
    changes: Sequence[Change],
    stylizer: Stylizer,
    seed: int,
) -> list[Trial]:
    """Return the effect of test-time augmentation on half of the images, by kind of change.

    The styles come from the other half, unchanged, so that no image is brought to its own style.

    Args:
        samples: The images, at least two.
        reference: What the model is compared with.
        watcher: The model.
        changes: The changes under which it is tried.
        stylizer: Paints the views.
        seed: Seed of the choice of styles.
    """
    rows = list(range(1, len(samples), 2))
    shown, truth = samples.take(rows), reference.take(rows)
    aligned = _aligned(watcher, stylizer, _home_bank(samples, stylizer, seed), samples)
    groups: dict[str, list[Change]] = {}
    for change in changes:
        groups.setdefault(change.kind, []).append(change)
    return [
        _trial(shown, truth, watcher, aligned, kind, group, stylizer.name)
        for kind, group in groups.items()
    ]


def trial_changes(changes: Sequence[Change], harmful: Sequence[Change]) -> list[Change]:
    """Return the changes to try: none, all laboratories, and the most harmful ones."""
    drawn = [change for change in changes if change.kind == LABORATORY]
    return [Unchanged(), *drawn, *harmful]


def trials_to_json(trials: Sequence[Trial]) -> str:
    """Return trials as JSON."""
    return json.dumps([asdict(trial) for trial in trials])


def trials_from_json(text: str) -> list[Trial]:
    """Read what `trials_to_json` wrote."""
    return [Trial(**item) for item in json.loads(text)]


def fitting_stylizers(names: Sequence[str], samples: Samples) -> list[Stylizer]:
    """Return the stylizers that can paint all images; volumes need those that are pointwise."""
    built = [create_stylizer(name) for name in names]
    return [
        stylizer
        for stylizer in built
        if stylizer.least_side <= _least_side(samples)
        and (stylizer.pointwise or not samples.has_volumes)
    ]


def _trial(
    samples: Samples,
    reference: Reference,
    plain: Watcher,
    aligned: Watcher,
    kind: str,
    changes: Sequence[Change],
    name: str,
) -> Trial:
    before, after = (
        torch.stack(
            [image_values(watcher.watch(samples, c, reference), reference) for c in changes]
        ).mean(dim=0)
        for watcher in (plain, aligned)
    )
    gain = score_mean(after - before, reference)
    figures = [
        *(score_mean(values, reference).value for values in (before, after)),
        *(gain.value, gain.error),
    ]
    return Trial(name, kind, len(samples), *(round(value, 6) for value in figures))


def _home_bank(samples: Samples, stylizer: Stylizer, seed: int) -> StyleBank:
    """Return a bank of representative styles, taken from every second image."""
    records: list[Images] = [
        replace(samples.image(row).images) for row in range(0, len(samples), 2)
    ]
    bank = StyleBank.from_images(records, stylizer)
    if len(bank) <= _STYLES or bank.statistics is None:
        return bank
    return bank[find_medoids(bank.statistics, _STYLES, seed=seed)]


def _aligned(watcher: Watcher, stylizer: Stylizer, bank: StyleBank, samples: Samples) -> Watcher:
    """Return a watcher of the same model under test-time augmentation."""

    def model(views: Tensor) -> Tensor:
        return watcher.raw(to_model(samples, views))

    tta = StyleTTA(
        model,
        stylizer.to(watcher.device),
        bank,
        min(VIEWS, len(bank)),
        select="nearest",
        merge=_MERGES[watcher.activation],  # type: ignore[arg-type]
        activation=watcher.activation,
    )
    return replace(watcher, model=_from_layout(tta, samples), preprocess=None, activation=None)


def _from_layout(tta: StyleTTA, samples: Samples) -> Callable[[Tensor], Tensor]:
    """Return a function of images as the model gets them; `StyleTTA` wants slices last."""

    def predict(images: Tensor) -> Tensor:
        found: Tensor = tta(from_model(samples, images))
        return found

    return predict


def _least_side(samples: Samples) -> int:
    sides = []
    for batch in samples.batches:
        height, width = batch.images.batch.shape[2:]
        sides.append(min(height // batch.images.depth, width))
    return min(sides)
