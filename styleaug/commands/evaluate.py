"""``styleaug evaluate``: scores of stylizers on image files, and a report to look at."""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from styleaug._files import replacing, write_text
from styleaug.commands.jobs import check_no_input, check_output
from styleaug.commands.messages import complain, say
from styleaug.commands.options import progress_bar
from styleaug.commands.painting import name_others
from styleaug.images.files import find_images
from styleaug.images.sheet import contact_sheet, to_picture
from styleaug.stylizers import STYLIZERS, create_stylizer
from styleaug.stylizers.base import ColorStylizer, Stylizer

_SHOWN = 6
_OUTPUTS = ("grid.png", "report.html", "scores.csv", "scores.jsonl", "summary.csv", "summary.json")


def run_evaluate(options: argparse.Namespace, console: Console) -> int:
    """Score and write the report; returns 1 if a file could not be read."""
    try:
        evaluation = importlib.import_module("styleaug.evaluation")
        scoring = importlib.import_module("styleaug.evaluation.scores")
    except ImportError as error:
        raise ImportError(
            f"styleaug evaluate: pip install 'styleaug[metrics]' ({error})."
        ) from error
    if options.size < 32:
        raise ValueError(f"--size must be at least 32, got {options.size}.")
    for name in ("output", "stylized"):
        check_output(f"--{name}", getattr(options, name))
    pairs = evaluation.pair_files(options.content, options.style, options.seed)
    folder = Path(options.output)
    inputs = find_images([*options.content, *options.style])
    check_no_input([folder / name for name in _OUTPUTS], inputs)
    name_others(console, [*options.content, *options.style])
    sources = _sources(options, scoring)
    broken: dict[str, str] = {}
    found = _scored(options, evaluation, pairs, sources, broken, console)
    for pair_name, message in broken.items():
        complain(console, f"skipped {pair_name}: {message}")
    if not any(found.values()):
        raise ValueError("--content must hold an image that can be read with its style.")
    table = {name: scoring.summary(rows) for name, rows in found.items() if rows}
    whole = [pair for pair in pairs if all(pair.name in rows for rows in found.values() if rows)]
    _write(options, folder, evaluation, scoring, table, found, whole, sources)
    console.print(_terminal(table, evaluation.MEASURES))
    say(console, f"{len(pairs)} pairs, written to {folder.resolve()}")
    return 1 if broken else 0


def _scored(
    options: argparse.Namespace,
    evaluation: Any,
    pairs: Sequence[Any],
    sources: Mapping[str, tuple[Stylizer | None, Any]],
    broken: dict[str, str],
    console: Console,
) -> dict[str, Any]:
    """Return the scores of every source; pairs that cannot be read are added to ``broken``."""
    names = options.metrics or list(evaluation.measures.DEFAULT)
    files = dict(item.split("=", 1) for item in options.features)
    metrics = {
        name: evaluation.build_measures(names, stylizer, files)
        for name, (stylizer, _) in sources.items()
    }
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    kept = evaluation.Scores(folder / "scores.jsonl")
    found = {}
    with progress_bar(console) as progress:
        for name, (stylizer, paint) in sources.items():
            task = progress.add_task(name, total=len(pairs))
            found[name] = evaluation.score_stylizer(
                pairs,
                metrics[name],
                paint,
                kept,
                identity=stylizer.identity if stylizer else f"folder:{options.stylized}",
                size=options.size,
                on_error=lambda pair, error: broken.setdefault(pair.name, str(error)),
                advance=partial(progress.advance, task),
            )
    return found


def _sources(options: argparse.Namespace, scoring: Any) -> dict[str, tuple[Stylizer | None, Any]]:
    """Return the sources of stylized images by name: named and colour stylizers, the folder."""
    if options.weights and len(options.stylizer) != 1:
        raise ValueError(f"--weights needs one --stylizer, got {options.stylizer}.")
    colors = [name for name, entry in STYLIZERS.items() if issubclass(entry.kind, ColorStylizer)]
    sources: dict[str, tuple[Stylizer | None, Any]] = {}
    for name in dict.fromkeys([*options.stylizer, *colors]):
        weights = options.weights if name in options.stylizer and name not in colors else None
        stylizer = create_stylizer(name, weights=weights)
        sources[name] = stylizer, scoring.stylizer_paint(stylizer)
    if options.stylized:
        folder = Path(options.stylized)
        if not folder.is_dir():
            raise FileNotFoundError(f"--stylized must be a folder, got {options.stylized!r}.")
        sources[folder.name] = None, scoring.folder_paint(folder, options.size)
    return sources


def _write(
    options: argparse.Namespace,
    folder: Path,
    evaluation: Any,
    scoring: Any,
    table: Mapping[str, Any],
    found: Mapping[str, Any],
    pairs: Sequence[Any],
    sources: Mapping[str, Any],
) -> None:
    """Write tables, contact sheet and report."""
    measures = list(next(iter(table.values())))
    _write_tables(folder, table, found, measures)
    draw = partial(_sheet, sources=sources, size=options.size, scoring=scoring)
    first = next(iter(sources))
    worst = {}
    for name in measures:
        values = {pair.name: found[first][pair.name][name] for pair in pairs}
        order = sorted(pairs, key=lambda pair, v=values: v[pair.name])  # type: ignore[misc]
        low_is_bad = evaluation.MEASURES[name].better == "high"
        worst[name] = draw((order if low_is_bad else order[::-1])[:3])
    sheet = draw(pairs[:: max(1, len(pairs) // _SHOWN)][:_SHOWN])
    notes = [
        f"{len(pairs)} pairs; every content with one style, drawn with seed {options.seed}; images "
        f"of at most {options.size} pixels. Worst cases are those of {first}.",
    ]
    page = evaluation.write_report("Stylizers compared", table, found, sheet, worst, notes)
    write_text(folder / "report.html", page)
    with replacing(folder / "grid.png") as temporary:
        sheet.save(temporary, format="PNG")


def _write_tables(
    folder: Path, table: Mapping[str, Any], found: Mapping[str, Any], measures: Sequence[str]
) -> None:
    write_text(folder / "summary.json", json.dumps(table, indent=1) + "\n")
    lines = [
        [name, pair, *(row.get(measure, "") for measure in measures)]
        for name, rows in found.items()
        for pair, row in rows.items()
    ]
    write_text(folder / "scores.csv", _csv([["stylizer", "content", *measures], *lines]))
    body = [
        [name, *(f"{columns[m]['mean']:.6g}" if m in columns else "" for m in measures)]
        for name, columns in table.items()
    ]
    write_text(folder / "summary.csv", _csv([["stylizer", *measures], *body]))


def _sheet(
    pairs: Sequence[Any], *, sources: Mapping[str, Any], size: int, scoring: Any
) -> Image.Image:
    """Return a contact sheet: content, style, and every stylizer's image."""
    rows = []
    for pair in pairs:
        content, style = (scoring.read_sized(p, size) for p in (pair.content, pair.style))
        painted = [paint(pair, content, style) for _, paint in sources.values()]
        rows.append([to_picture(image[0]) for image in (content, style, *painted)])
    labels = [Path(pair.name).name for pair in pairs]
    return contact_sheet(rows, labels, ["content", "style", *sources], cell=150)


def _terminal(table: Mapping[str, Any], measures: Mapping[str, Any]) -> Table:
    names = list(next(iter(table.values())))
    shown = Table(
        "stylizer", *(f"{n} {'↑' if measures[n].better == 'high' else '↓'}" for n in names)
    )
    for stylizer, columns in table.items():
        cells = (f"{columns[n]['mean']:.4g}" if n in columns else "–" for n in names)
        shown.add_row(escape(stylizer), *cells)
    return shown


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
