"""`audit`: how fragile a model is to the appearance of its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleaug._checks import check_choice, check_count, check_device
from styleaug.appearance import KINDS
from styleaug.auditing.advice import (
    TRIALS,
    Trial,
    fitting_stylizers,
    trial_changes,
    trials_from_json,
    trials_to_json,
    try_alignment,
)
from styleaug.auditing.changes import WORST, Change, OneAppearance, Plan, Unchanged
from styleaug.auditing.flips import Flip, flips_from_json, flips_to_json, smallest_flips
from styleaug.auditing.folder import RunFolder, check_folder
from styleaug.auditing.outcome import Outcome, Watcher, runnable
from styleaug.auditing.pictures import case_sheets, values_of
from styleaug.auditing.record import Audit
from styleaug.auditing.reference import Reference
from styleaug.auditing.retrained import (
    Retrain,
    advised,
    gain_rows,
    outcomes_from_json,
    outcomes_to_json,
    shown_again,
    watch_retrained,
)
from styleaug.auditing.samples import Samples, digest_of, read_loader
from styleaug.auditing.scores import score_name
from styleaug.auditing.search import search_worst, worst_from_json, worst_to_json
from styleaug.auditing.summary import (
    Row,
    Seen,
    change_rows,
    class_parts,
    distance_rows,
    group_parts,
    kind_rows,
    mask_rows,
    part_rows,
)
from styleaug.styles.bank import StyleBank
from styleaug.stylizers import create_stylizer
from styleaug.stylizers.base import Stylizer
from styleaug.transform import StyleTransfer
from styleaug.tta.merging import ACTIVATIONS, Activation

STRENGTHS = (0.125, 0.25, 0.5, 1.0)
_SAME = 2e-3
"""How far probabilities may be apart that one model gives on two days."""


def audit(
    model: Callable[[Tensor], Any],
    loader: Iterable[Any],
    kind: str,
    *,
    styles: Any = None,
    stylizer: str | Stylizer | None = None,
    style_count: int = 8,
    strengths: Sequence[float] = STRENGTHS,
    laboratories: int = 8,
    search: int = 24,
    trial: Sequence[str] = TRIALS,
    retrain: Retrain | None = None,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    activation: Activation = "softmax",
    describe: Callable[[Tensor], Tensor] | None = None,
    classes: Sequence[str] | None = None,
    slice_axis: int = -1,
    device: str | torch.device = "cpu",
    folder: str | Path | None = None,
    seed: int = 0,
    advance: Callable[[int, int], object] | None = None,
) -> Audit:
    """Run a model on its images in many appearances and styles, and report how its score changes.

    First every effect of the kind of images is tried alone, at several strengths and at the ends of
    its range between laboratories. Then come whole appearances, each drawn once for all images as
    if one laboratory had made them; the styles of a bank; and the worst appearance that a short
    search finds. With labels the score is balanced accuracy or Dice. Without labels it is the
    agreement of the model with its own decisions on the unchanged images.

    Args:
        model: A module or function of a batch that returns scores ``(B, C)`` or maps
            ``(B, C, H, W[, D])``. A module is put into evaluation mode for the calls. A
            ``torch.export.ExportedProgram`` is taken as it is; it must take batches of any size.
        loader: Yields images ``(B, C, H, W)`` or volumes ``(B, C, H, W, D)`` in [0, 1], 8 or 16
            bits, alone, as ``(images, targets[, groups])``, or as mappings with "image", "label",
            "group" and "name". It is read once, and the images are kept in memory; give it without
            random augmentation. Targets are classes ``(B,)`` or masks of the images' size.
        kind: Kind of the images, a key of `styleaug.appearance.KINDS`.
        styles: A `StyleBank`, the path of one, or anything `StyleTransfer` takes, such as a folder
            of images from other hospitals; None: no styles.
        stylizer: Paints the styles; None: that of the bank, or the default.
        style_count: Largest number of styles that are tried, evenly spaced in the bank.
        strengths: Strengths of single effects, rising, in (0, 1]. Laboratories are drawn at the
            last one, styles are painted at the last two.
        laboratories: Number of appearances that are drawn for all images.
        search: Number of trials in the search for the worst appearance; 0: no search.
        trial: Stylizers for a trial of `StyleTTA`; empty: no trial.
        retrain: Function that takes an augmentation of batches, the `Appearance` that the page
            advises, and returns a model of the same outputs that was trained with it, on
            ``device``. The audit then reports its gain under the same changes, the searched one
            left out. None: the page quotes gains from other images. A finished part in ``folder``
            is not trained again.
        preprocess: Applied to images before the model, such as a normalisation.
        activation: How outputs become probabilities: "softmax"; "sigmoid" for one column; None if
            the model returns probabilities.
        describe: Function from contents ``(B, 3, H, W)`` in [0, 1] to vectors ``(B, K)``, whose
            distance measures how far appearances differ; None: the code of the stylizer
            "appearance".
        classes: Names of the model's columns.
        slice_axis: Spatial axis along which volumes are cut, 0 for ``(B, C, D, H, W)``.
        device: Device on which images are changed and the model runs; a module must be there.
        folder: Folder for finished parts, from which the same call continues after an interruption.
        seed: Seed of everything random. The draws of an image depend only on the seed and on its
            name or number.
        advance: Called after every part with the numbers of finished parts and of all parts.

    Returns:
        An `Audit`; ``save`` writes a page, JSON and CSV.

    Raises:
        FileExistsError: If the folder holds other files, or another audit.
        TypeError: If the loader or the model returns anything but tensors.
        ValueError: If an argument is out of range, or images, targets and outputs do not fit.

    Example:
        >>> model = torch.nn.Sequential(
        ...     torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2)
        ... )
        >>> loader = [(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]))]
        >>> found = audit(model, loader, "stained", laboratories=2, search=2, trial=())
        >>> found.score, found.kinds[0]["kind"] in KINDS["stained"] + ("laboratory", "worst found")
        ('balanced accuracy', True)
    """
    place, path = check_device(device), None if folder is None else Path(folder)
    check_folder(path)
    plan = _plan(kind, styles, stylizer, style_count, strengths, laboratories, search, seed)
    if activation is not None:
        check_choice("activation", activation, ACTIVATIONS)
    samples = read_loader(loader, slice_axis)
    painters = _painters(trial, samples)
    describe = describe or _appearance_code(samples, place)
    watcher = Watcher(
        runnable(model),
        preprocess,
        activation,
        place,  # type: ignore[arg-type]
        describe,
    )
    reference = watcher.reference(samples)
    _check_classes(classes, reference)
    settings = _settings(plan, samples, search, painters, activation, classes)
    parts = RunFolder(path, settings)
    steps = _steps(plan, search, painters) + int(retrain is not None)
    run = _Run(samples, reference, watcher, plan, parts, steps, advance)
    return run.audited(search, painters, retrain, classes, settings)


class _Run:
    """One audit: its parts are read from the folder, or made and saved."""

    def __init__(
        self,
        samples: Samples,
        reference: Reference,
        watcher: Watcher,
        plan: Plan,
        parts: RunFolder,
        steps: int,
        advance: Callable[[int, int], object] | None,
    ) -> None:
        self.samples, self.reference, self.watcher = samples, reference, watcher
        self.plan, self.parts = plan, parts
        self.steps, self.done, self.advance = steps, 0, advance
        self.home = watcher.appearances(samples)

    def audited(
        self,
        search: int,
        painters: Sequence[Stylizer],
        retrain: Retrain | None,
        classes: Sequence[str] | None,
        settings: dict[str, Any],
    ) -> Audit:
        """Run all parts and return the result."""
        found = [(change, self._outcome(change)) for change in self.plan.changes]
        self._check_same_model(found[0][1])
        if search:
            worst = self._worst(found, search)
            found.append((worst, self._outcome(worst)))
        seen = Seen(found, self.reference)
        flips = self._flips(seen)
        trials = self._trials(seen, painters)
        parts = class_parts(self.reference, classes)
        return Audit(
            settings=settings,
            score=score_name(self.reference),
            before=change_rows(seen)[0],
            changes=change_rows(seen),
            kinds=kind_rows(seen),
            classes=part_rows(seen, parts) or mask_rows(seen, classes),
            groups=part_rows(seen, group_parts(self.samples.groups)),
            distances=distance_rows(seen),
            flips=flips,
            names=self.samples.names,
            worst=values_of(found[-1][0]) if isinstance(found[-1][0], OneAppearance) else (),
            trials=trials,
            retrained=[] if retrain is None else self._retrained(seen, retrain),
            sheets=case_sheets(self.samples, seen, flips, classes, self.plan.seed),
        )

    def _part(self, key: str, make: Callable[[], str]) -> str:
        text = self.parts.part(key, make)
        self.done += 1
        if self.advance is not None:
            self.advance(self.done, self.steps)
        return text

    def _outcome(self, change: Change) -> Outcome:
        key = f"{change.kind} | {change.member} | {change.strength}"
        make = lambda: self._watched(change).to_json()  # noqa: E731
        return Outcome.from_json(self._part(key, make))

    def _watched(self, change: Change) -> Outcome:
        return self.watcher.watch(self.samples, change, self.reference, self.home)

    def _check_same_model(self, kept: Outcome) -> None:
        """Refuse to continue with parts of another model."""
        if self.parts.path is None:
            return
        now = self._watched(Unchanged())
        if now.scores.shape != kept.scores.shape or not torch.allclose(
            now.scores, kept.scores, atol=_SAME, rtol=0.0, equal_nan=True
        ):
            raise FileExistsError(
                f"{str(self.parts.path)!r} holds an audit of another model, which gave other "
                "outputs on these images. Choose another folder, or delete this one."
            )

    def _worst(self, found: Sequence[tuple[Change, Outcome]], search: int) -> OneAppearance:
        seen = Seen(found, self.reference)
        starts = [
            (change, float(seen.values([outcome]).nanmean()))
            for change, outcome in found
            if isinstance(change, OneAppearance)
        ]
        text = self._part(
            f"search of {search}",
            lambda: worst_to_json(
                search_worst(self.samples, self.reference, self.watcher, self.plan, starts, search)
            ),
        )
        return worst_from_json(text, self.plan)

    def _flips(self, seen: Seen) -> list[Flip]:
        graded = {
            effect: [(strength, outcomes[0]) for strength, outcomes in seen.graded(effect)]
            for effect in KINDS[self.plan.kind]
        }
        text = self._part(
            "smallest flips",
            lambda: flips_to_json(
                smallest_flips(
                    self.samples, self.reference, self.watcher, graded, seen.before, self.plan.seed
                )
            ),
        )
        return flips_from_json(text)

    def _retrained(self, seen: Seen, retrain: Retrain) -> list[Row]:
        changes = shown_again([change for change, _ in seen.found])
        augment = advised(self.plan.kind, self.plan.seed)
        text = self._part(
            "trained again",
            lambda: outcomes_to_json(
                watch_retrained(
                    retrain, self.samples, self.reference, self.watcher, changes, augment
                )
            ),
        )
        return gain_rows(seen, changes, outcomes_from_json(text))

    def _trials(self, seen: Seen, painters: Sequence[Stylizer]) -> list[Trial]:
        alone = [(c, o) for c, o in seen.found if c.kind in KINDS[self.plan.kind]]
        harmful = [min(alone, key=lambda pair: float(seen.values([pair[1]]).nanmean()))[0]]
        harmful += [change for change, _ in seen.found if change.kind == WORST]
        changes = trial_changes([change for change, _ in seen.found], harmful)
        trials: list[Trial] = []
        for painter in painters:
            text = self._part(
                f"trial of {painter.name}",
                lambda painter=painter: trials_to_json(  # type: ignore[misc]
                    try_alignment(
                        self.samples, self.reference, self.watcher, changes, painter, self.plan.seed
                    )
                ),
            )
            trials += trials_from_json(text)
        return trials


def _plan(
    kind: str,
    styles: Any,
    stylizer: str | Stylizer | None,
    style_count: int,
    strengths: Sequence[float],
    laboratories: int,
    search: int,
    seed: int,
) -> Plan:
    """Check the arguments that need no image, and return the plan."""
    check_choice("kind", kind, KINDS)
    steps = tuple(float(strength) for strength in strengths)
    if not steps or steps[0] <= 0.0 or steps[-1] > 1.0 or list(steps) != sorted(set(steps)):
        raise ValueError(f"strengths must be rising numbers in (0, 1], got {strengths!r}.")
    check_count("laboratories", laboratories)
    check_count("style_count", style_count)
    if not isinstance(search, int) or isinstance(search, bool) or search < 0:
        raise ValueError(f"search must be a whole number of at least 0, got {search!r}.")
    transform = None if styles is None else StyleTransfer(stylizer, styles=styles, p=1.0)
    if transform is not None and not isinstance(transform.source, StyleBank):
        raise ValueError(f"styles must be a bank or what one is made of, got {styles!r}.")
    count = 0 if transform is None else len(transform.source)  # type: ignore[arg-type]
    chosen = range(count) if count <= style_count else range(0, count, -(-count // style_count))
    return Plan(kind, steps, laboratories, transform, tuple(chosen), seed)


def _appearance_code(samples: Samples, device: torch.device | None) -> Callable[[Tensor], Tensor]:
    """Return the function to codes of "appearance", unless images are too small for it."""
    stylizer = create_stylizer("appearance")
    for batch in samples.batches:
        batch.images.check_sides(stylizer.least_side, "appearance (describe=)")
    code: Callable[[Tensor], Tensor] = stylizer.to(device).describe  # type: ignore[assignment]
    return code


def _painters(trial: Sequence[str], samples: Samples) -> list[Stylizer]:
    """Return the stylizers of the trial, which needs two images or more."""
    painters = fitting_stylizers(trial, samples)
    return painters if len(samples) >= 4 else []


def _steps(plan: Plan, search: int, painters: Sequence[Stylizer]) -> int:
    return len(plan.changes) + 2 * int(search > 0) + 1 + len(painters)


def _check_classes(classes: Sequence[str] | None, reference: Reference) -> None:
    if classes is not None and len(classes) != reference.columns:
        raise ValueError(
            f"classes must name the {reference.columns} columns of the model, got {list(classes)}."
        )


def _settings(
    plan: Plan,
    samples: Samples,
    search: int,
    painters: Sequence[Stylizer],
    activation: Activation,
    classes: Sequence[str] | None,
) -> dict[str, Any]:
    """Return everything the figures depend on except the model."""
    source = None if plan.transform is None else plan.transform.source.fingerprint(1)
    return {
        "kind": plan.kind,
        "strengths": list(plan.strengths),
        "laboratories": plan.laboratories,
        "search": search,
        "seed": plan.seed,
        "styles": None if source is None else [source, *plan.styles],
        "trial": [painter.identity for painter in painters],
        "activation": activation,
        "classes": None if classes is None else list(classes),
        "images": len(samples),
        "labels": samples.labelled,
        "digest": digest_of(samples),
        "slice axis": samples.slice_axis,
    }
