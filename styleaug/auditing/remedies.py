"""The section of the page on what to do: training again, and test-time augmentation."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from styleaug.auditing.changes import LABORATORY, NOTHING
from styleaug.auditing.charts import plain_table
from styleaug.auditing.evidence import flattered_text, series_text
from styleaug.auditing.summary import Row
from styleaug.auditing.wording import is_single, kind_title
from styleaug.images.page import note_line

if TYPE_CHECKING:
    from styleaug.auditing.record import Audit


def remedy_parts(found: Audit) -> list[str]:
    """Return the HTML elements of the section.

    Args:
        found: What the audit found.
    """
    return ["<h2>What to do</h2>", *_training(found), *_alignment(found)]


def _training(found: Audit) -> list[str]:
    harmful = [
        kind_title(row["kind"])
        for row in found.kinds
        if is_single(row["kind"]) and row["drop"] > 0 and row["beyond chance"]
    ]
    if not (harmful or found.retrained):
        return []
    among = f" ({', '.join(harmful)} among them)" if harmful else ""
    code = f"Appearance({found.settings['kind']!r}, strength=(0.0, 1.0), p=0.5)"
    masks = "Dice" in found.score
    parts = [
        "<h3>Train with these changes</h3>",
        f"<p>Train again with the changes of this page{escape(among)}: <code>{escape(code)}</code> "
        "in front of the network.</p>",
    ]
    if found.retrained:
        parts += _retrained(found)
    else:
        parts.append(note_line("What it gains on these images was not measured (retrain=)."))
    return [*parts, note_line(series_text(masks, found.settings["kind"]))]


def _retrained(found: Audit) -> list[str]:
    rows = [
        (
            kind_title(row["kind"]),
            f"{row['before']:.2f}",
            f"{row['after']:.2f}",
            gain_figure(row["gain"], row["gain error"]),
        )
        for row in found.retrained
    ]
    own = {row["kind"]: row for row in found.retrained}
    text = (
        "A model that was trained so was shown the same images and changes. Its score differs by "
        f"{_gained(own[NOTHING])} on the images as they are, and by {_gained(own[LABORATORY])} in "
        f"other laboratories. {flattered_text()}"
    )
    return [
        f"<p>{escape(text)}</p>",
        plain_table(["change", "this model", "trained again", "gain"], rows),
    ]


def _gained(row: Row) -> str:
    chance = "" if row["beyond chance"] else " (which may be chance)"
    return f"{row['gain']:+.2f}{chance}"


def _alignment(found: Audit) -> list[str]:
    title = "<h3>Augment at test time</h3>"
    if not found.trials:
        return [title, note_line("Test-time augmentation was not tried.")]
    rows = [
        (
            trial.stylizer,
            kind_title(trial.change),
            str(trial.images),
            f"{trial.plain:.2f}",
            f"{trial.score:.2f}",
            gain_figure(trial.gain, trial.error),
        )
        for trial in found.trials
    ]
    head = ["stylizer", "images", "count", "without", "with", "gain"]
    text = (
        "Test-time augmentation was tried: every second image, changed, was predicted in the four "
        "nearest of up to 16 styles of the others, by StyleTTA(model, stylizer, bank, n=4, "
        "select='nearest'). "
    )
    return [title, note_line(text + verdict(found)), plain_table(head, rows)]


def verdict(found: Audit) -> str:
    """Return a sentence on the stylizers with a sure gain and no loss on unchanged images."""
    good = []
    for name in dict.fromkeys(trial.stylizer for trial in found.trials):
        own = {trial.change: trial for trial in found.trials if trial.stylizer == name}
        far, home = own.get(LABORATORY), own[NOTHING]
        if far is not None and far.gain > 0 and far.sure and not (home.gain < 0 and home.sure):
            good.append(f"{name} gained {far.gain:.2f} in other laboratories")
    if good:
        return "In this trial " + " and ".join(good) + "."
    return "In this trial none gained more than chance without a loss: it is not advised."


def gain_figure(gain: float, error: float | None) -> str:
    """Return a gain with 1.96 standard errors.

    Example:
        >>> gain_figure(0.1, 0.05), gain_figure(0.1, None)
        ('+0.10 ± 0.10', '+0.10 ± ?')
    """
    known = "?" if error is None or error != error else f"{1.96 * error:.2f}"
    return f"{gain:+.2f} ± {known}"
