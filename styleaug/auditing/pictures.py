"""Pictures of the worst cases: the image, its change, and the output of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image

from styleaug.auditing.changes import OneAppearance, OneStyle
from styleaug.auditing.flips import Flip, describe_values
from styleaug.auditing.outcome import Outcome
from styleaug.auditing.reference import Reference
from styleaug.auditing.samples import Samples
from styleaug.auditing.scores import image_values
from styleaug.auditing.summary import Seen
from styleaug.auditing.wording import appearance_words, change_words
from styleaug.images.batch import as_images
from styleaug.images.comparison import difference
from styleaug.images.sheet import contact_sheet, to_picture
from styleaug.images.volume import as_volumes

CASES = 4
_CELL = 240
_COLUMNS = ("as it is", "changed", "difference")
_OF_RANGE = "of what laboratories differ by"


class Sheet(NamedTuple):
    """A contact sheet of an audit.

    Attributes:
        title: Its title.
        text: The change in plain words.
        picture: The sheet.
        values: All values of the change, one text per effect.
    """

    title: str
    text: str
    picture: Image.Image
    values: tuple[str, ...] = ()


def case_sheets(
    samples: Samples,
    seen: Seen,
    flips: Sequence[Flip],
    classes: Sequence[str] | None,
    seed: int,
) -> list[Sheet]:
    """Return sheets of the smallest flips, the worst appearance and the worst style."""
    sheets: list[Sheet] = []
    if flips:
        sheets.append(_flip_sheet(samples, flips[:CASES], seed))
    uniform = [(c, o) for c, o in seen.found if isinstance(c, OneAppearance | OneStyle)]
    for kind in dict.fromkeys(change.kind for change, _ in uniform):
        own = [(change, outcome) for change, outcome in uniform if change.kind == kind]
        change, outcome = min(own, key=lambda pair: float(seen.values([pair[1]]).nanmean()))
        title = f"The worst {kind}" if kind in ("laboratory", "style") else "The worst found"
        picture = _worst_sheet(samples, seen, change, outcome, classes)
        if isinstance(change, OneAppearance):
            text = f"{appearance_words(change.values)} {_OF_RANGE}."
            sheets.append(Sheet(title, text, picture, tuple(values_of(change))))
        else:
            sheets.append(Sheet(title, change.member, picture))
    return sheets


def values_of(change: OneAppearance) -> list[str]:
    """Return the changes of an appearance, one text per effect, with units."""
    texts = {effect: describe_values(effect, values) for effect, values in change.values.items()}
    return [f"{effect}: {text}" for effect, text in texts.items() if text]


def _flip_sheet(samples: Samples, flips: Sequence[Flip], seed: int) -> Sheet:
    rows = [
        _row(samples, flip.image, flip.change(seed))  # type: ignore[arg-type]
        for flip in flips
    ]
    labels = [
        f"{samples.names[flip.image]}: {change_words(flip.effect, flip.values)}" for flip in flips
    ]
    picture = contact_sheet(rows, labels, _COLUMNS, cell=_CELL)
    text = f"Image, what is changed, and by how many hundredths {_OF_RANGE}."
    return Sheet("The smallest changes that flip a decision", text, picture)


def _worst_sheet(
    samples: Samples,
    seen: Seen,
    change: OneAppearance | OneStyle,
    outcome: Outcome,
    classes: Sequence[str] | None,
) -> Image.Image:
    """Return a sheet of the images that lose most under a change."""
    lost = seen.values([seen.before]) - image_values(outcome, seen.reference)
    fallen = lost.nan_to_num(nan=-1.0) + 1e-3 * (outcome.confidence - 0.5)
    numbers = fallen.argsort(descending=True, stable=True)[:CASES].tolist()
    rows = [_row(samples, number, change) for number in numbers]
    labels = [
        f"{samples.names[number]}: {_said(seen.before, outcome, number, seen.reference, classes)}"
        for number in numbers
    ]
    return contact_sheet(rows, labels, _COLUMNS, cell=_CELL)


def _said(
    before: Outcome,
    after: Outcome,
    row: int,
    reference: Reference,
    classes: Sequence[str] | None,
) -> str:
    """Return a text with the output of the model before and after a change."""
    if reference.dense:
        values = [image_values(item.take([row]), reference) for item in (before, after)]
        return " to ".join(f"{float(value):.2f}" for value in values)
    decided = [int(item.scores[row].argmax()) for item in (before, after)]
    names = [classes[label] if classes else str(label) for label in decided]
    sure = f"{float(after.confidence[row]):.0%} sure"
    said = names[0] if decided[0] == decided[1] else f"{names[0]} to {names[1]}"
    return f"{said}, {sure}"


def _row(samples: Samples, number: int, change: OneAppearance | OneStyle) -> list[Image.Image]:
    batch = samples.image(number)
    before = torch.as_tensor(batch.images.restore(batch.images.batch))
    after = change.apply(batch.images, batch.names)
    pictures = [_picture(image) for image in (before, after)]
    return [*pictures, difference(*pictures)]


def _picture(image: torch.Tensor) -> Image.Image:
    return to_picture(as_images(image) if image.ndim == 4 else as_volumes(image).middle())
