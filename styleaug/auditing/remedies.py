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
    more = f" and {len(harmful) - 4} others" if len(harmful) > 4 else ""
    among = f" ({', '.join(harmful[:4])}{more})" if harmful else ""
    code = f"Appearance({found.settings['kind']!r})"
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
    own = {row["kind"]: row for row in found.retrained}
    order = dict.fromkeys([NOTHING, LABORATORY, *(row["kind"] for row in found.kinds)])
    rows = [
        (
            kind_title(kind),
            f"{own[kind]['before']:.2f}",
            f"{own[kind]['after']:.2f}",
            gain_figure(own[kind]["gain"], own[kind]["gain error"]),
        )
        for kind in order
        if kind in own
    ]
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
    """Return sentences on the stylizers with a sure gain and no loss on unchanged images."""
    good, rest = [], []
    for name in dict.fromkeys(trial.stylizer for trial in found.trials):
        own = {trial.change: trial for trial in found.trials if trial.stylizer == name}
        sure = {kind: trial for kind, trial in own.items() if trial.gain > 0 and trial.sure}
        harmless = not (own[NOTHING].gain < 0 and own[NOTHING].sure)
        if LABORATORY in sure and harmless:
            good.append(f"{name} gained {sure[LABORATORY].gain:.2f} in other laboratories")
        else:
            rest += [f"{name} {trial.gain:.2f} ({kind_title(k)})" for k, trial in sure.items()]
    if good:
        return "In this trial " + " and ".join(good) + "."
    text = "In other laboratories none gained more than chance without a loss: it is not advised."
    return f"{text} Gains beyond chance: {', '.join(rest)}." if rest else text


def gain_figure(gain: float, error: float | None) -> str:
    """Return a gain with 1.96 standard errors.

    Example:
        >>> gain_figure(0.1, 0.05), gain_figure(0.1, None)
        ('+0.10 ± 0.10', '+0.10 ± ?')
    """
    known = "?" if error is None or error != error else f"{1.96 * error:.2f}"
    return f"{gain:+.2f} ± {known}"
