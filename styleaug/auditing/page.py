"""The page of an audit, for readers who decide whether a model may be used."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from styleaug.auditing.changes import LABORATORY, NOTHING, STYLE
from styleaug.auditing.charts import heat_table, line_chart, text_table
from styleaug.auditing.remedies import remedy_parts
from styleaug.auditing.summary import Row
from styleaug.auditing.wording import (
    is_single,
    kind_meaning,
    kind_title,
    percent,
    seen_change,
)
from styleaug.images.page import folded, html_page, note_line, picture

if TYPE_CHECKING:
    from styleaug.auditing.record import Audit

FEW = 30
"""Images of a class or subgroup below which its figures are called rough."""


def audit_page(found: Audit) -> str:
    """Return the page.

    Args:
        found: What the audit found.
    """
    parts = [
        *_summary(found),
        *_kinds(found),
        *_sheets(found),
        *_flips(found),
        *_distances(found),
        *_parts("Classes", found.classes, found),
        *_parts("Subgroups", found.groups, found),
        *remedy_parts(found),
        *_limits(found),
    ]
    notes = [
        f"{found.settings['images']} images of the kind {found.settings['kind']}, "
        f"{'with' if found.settings['labels'] else 'without'} labels; seed "
        f"{found.settings['seed']}. The score is {found.score}: 1 is best."
    ]
    return html_page("How fragile is this model?", notes, parts)


def _summary(found: Audit) -> list[str]:
    plain = found.before["score"]
    lines = [f"On the images as they are the score is <b>{_figure(plain)}</b>."]
    known = {row["kind"]: row for row in found.kinds}
    if LABORATORY in known:
        row = known[LABORATORY]
        lowest = min(r["score"] for r in found.changes if r["kind"] == LABORATORY)
        lines.append(
            f"Under {found.settings['laboratories']} appearances that other laboratories could "
            f"give them it is <b>{_figure(row['score'])}</b> on average, "
            f"{_figure(lowest)} under the worst of them ({_drop(row)})."
        )
    if STYLE in known:
        row = known[STYLE]
        lines.append(
            f"In the styles of the bank it is <b>{_figure(row['score'])}</b> ({_drop(row)})."
        )
    single = [row for row in found.kinds if is_single(row["kind"])]
    sure = [row for row in single if row["drop"] > 0 and row["beyond chance"]]
    if sure:
        names = ", ".join(f"{kind_title(r['kind'])} ({_figure(r['score'])})" for r in sure[:3])
        lines.append(f"Of single changes the most harmful are {escape(names)}.")
    else:
        lines.append("No single change lowers the score by more than chance.")
    return [f"<p>{line}</p>" for line in lines]


def _kinds(found: Audit) -> list[str]:
    steps = found.settings["strengths"]
    rows = [
        (
            kind_title(row["kind"]),
            [f"{row['drop']:+.2f} ± {_error(row)}", f"{row['flipped']:.0%}"],
            [row["by strength"].get(str(step)) for step in steps],
        )
        for row in found.kinds
    ]
    head = ["change", "drop", "flipped", *(f"at {100 * step:g} %" for step in steps)]
    return [
        "<h2>What harms</h2>",
        note_line(
            "Score by kind of change and strength; 100 % is what laboratories differ by, at the "
            "ends of each range. Drop: how much the score falls at the highest strength, ± 1.96 "
            "standard errors; what is smaller than that may be chance. Flipped: share of images "
            "with another decision. Styles are blended in by their strength."
        ),
        heat_table(head, rows, found.before["score"] or 0.0),
        folded("What these changes are, and their names in JSON and CSV", _glossary(found)),
    ]


def _glossary(found: Audit) -> str:
    kinds = [row["kind"] for row in found.kinds]
    rows = [(kind_title(kind), kind_meaning(kind), kind) for kind in kinds]
    return text_table(["change", "what it imitates", "name"], rows)


def _sheets(found: Audit) -> list[str]:
    parts = ["<h2>Worst cases</h2>"]
    for sheet in found.sheets:
        parts += [f"<h3>{escape(sheet.title)}</h3>"]
        parts += [note_line(sheet.text)] if sheet.text else []
        parts.append(picture(sheet.picture, sheet.title))
        lines = "".join(f"<li>{escape(line)}</li>" for line in sheet.values)
        parts += [folded("All values", f"<ul>{lines}</ul>")] if lines else []
    return parts if found.sheets else []


def _flips(found: Audit) -> list[str]:
    count = found.settings["images"]
    what = "lose half of their overlap" if "Dice" in found.score else "get another decision"
    text = (
        f"{len(found.flips)} of {count} images {what} under a single change within its range. "
        "The ten that need least, with the strength that is enough: 100 % is what laboratories "
        "differ by."
    )
    first = found.flips[:10]
    if not first:
        return ["<h2>Smallest changes</h2>", note_line(f"No single change makes images {what}.")]
    rows = [
        (found.names[f.image], seen_change(f.effect, f.values), percent(f.strength)) for f in first
    ]
    values = text_table(
        ["image", "name", "values"], [(found.names[f.image], f.effect, f.text) for f in first]
    )
    return [
        "<h2>Smallest changes</h2>",
        note_line(text),
        text_table(["image", "what is seen", "strength"], rows),
        folded("All values", values),
    ]


def _distances(found: Audit) -> list[str]:
    xs = [row["distance"] for row in found.distances]
    if len(xs) < 2 or xs[-1] <= xs[0]:
        return []
    lines = {name: [row[name] for row in found.distances] for name in ("right", "confidence")}
    gap = found.distances[-1]["confidence"] - found.distances[-1]["right"]
    right, sure = (_figure(lines[name][-1]) for name in ("right", "confidence"))
    text = f"Furthest from the images as they are the model is {right} right and {sure} sure. " + (
        "It is much surer than it is right: its confidence is no warning."
        if gap > 0.1
        else "It is not much surer than it is right."
    )
    parts = [
        "<h2>Does it know when it is wrong?</h2>",
        note_line(text),
        line_chart(xs, lines, "distance of appearance", text),
    ]
    errors = _calibration(found)
    return [*parts, *([note_line(errors)] if errors else [])]


def _calibration(found: Audit) -> str:
    """Return a sentence on the calibration error of unchanged images and other laboratories."""
    before = found.before["calibration error"]
    others = [r["calibration error"] for r in found.changes if r["kind"] == LABORATORY]
    if before is None or not others:
        return ""
    return (
        f"Calibration error (how far confidence is from accuracy): {before:.3f} on the images as "
        f"they are, {sum(others) / len(others):.3f} in other laboratories."
    )


def _parts(title: str, rows: Sequence[Row], found: Audit) -> list[str]:
    if not rows:
        return []
    kinds = [NOTHING, *(row["kind"] for row in found.kinds[:6])]
    lines = [
        (row["name"], [str(row["images"])], [row["scores"].get(kind) for kind in kinds])
        for row in rows
    ]
    text = f"Scores as images are and under the six worst kinds. Under {FEW} images they are rough."
    plain = [row["scores"][NOTHING] or 0.0 for row in rows]
    head = ["", "images", *map(kind_title, kinds)]
    return [f"<h2>{title}</h2>", note_line(text), heat_table(head, lines, plain)]


def _limits(found: Audit) -> list[str]:
    text = (
        "Changes are made, not met: another laboratory also differs in patients, preparation, "
        "framing and labels, which nothing here changes. A model that passes may fail there; one "
        "that fails here has little to expect."
    )
    if not found.settings["labels"]:
        text += " Without labels a model that is steadily wrong agrees with itself."
    return ["<h2>What this does not say</h2>", note_line(text)]


def _drop(row: Row) -> str:
    sure = "" if row["beyond chance"] else ", which may be chance"
    return f"a drop of {row['drop']:.2f} ± {_error(row)}{sure}"


def _error(row: Row) -> str:
    return "?" if row["drop error"] is None else f"{1.96 * row['drop error']:.2f}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
