"""The report: one HTML page with a table, distributions, contact sheets and worst cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image

from styleaug.evaluation.measures import MEASURES
from styleaug.images.page import html_page, note_line, picture, wide_table

Table = Mapping[str, Mapping[str, Mapping[str, float]]]


def write_report(
    title: str,
    table: Table,
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    sheet: Image.Image,
    worst: Mapping[str, Image.Image],
    notes: Sequence[str],
) -> str:
    """Return the page.

    Args:
        title: Heading of the page.
        table: Summaries by stylizer and measure.
        scores: Scores by stylizer, pair and measure.
        sheet: Contact sheet.
        worst: Contact sheet of the pairs with the lowest value, by measure.
        notes: Lines on what was done.
    """
    names = list(next(iter(table.values())))
    parts = [
        "<h2>Means</h2>",
        means(table),
        "<h2>Distributions</h2>",
        note_line(
            "Line: all pairs but the outer twentieths. Box: the middle half. Mark: the median."
        ),
        *(distributions(name, scores) for name in names),
        "<h2>Pairs</h2>",
        picture(sheet),
        "<h2>Worst cases</h2>",
    ]
    for name, image in worst.items():
        parts += [f"<h3>{escape(name)}: {escape(MEASURES[name].summary)}</h3>", picture(image)]
    return html_page(title, notes, parts)


def means(table: Table) -> str:
    """Return the table of means; the best one of every column is highlighted."""
    names = list(next(iter(table.values())))
    head = "".join(
        f'<th title="{escape(MEASURES[name].summary)}">{escape(name)} '
        f"{'↑' if MEASURES[name].better == 'high' else '↓'}</th>"
        for name in names
    )
    best = {name: best_stylizer(table, name) for name in names}
    rows = []
    for stylizer, columns in table.items():
        cells = "".join(
            f'<td class="{"best" if best[name] == stylizer else ""}">'
            f"{columns[name]['mean']:.4g}</td>"
            if name in columns
            else "<td>–</td>"
            for name in names
        )
        rows.append(f"<tr><td>{escape(stylizer)}</td>{cells}</tr>")
    return wide_table(f"<th>stylizer</th>{head}", rows)


def best_stylizer(table: Table, name: str) -> str:
    """Return the name of the stylizer with the best mean of a measure."""
    sign = -1.0 if MEASURES[name].better == "high" else 1.0
    able = [stylizer for stylizer, columns in table.items() if name in columns]
    return min(able, key=lambda stylizer: sign * table[stylizer][name]["mean"])


def distributions(name: str, scores: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return box plots of a measure, one line per stylizer."""
    columns = {
        stylizer: sorted(row[name] for row in rows.values() if name in row)
        for stylizer, rows in scores.items()
    }
    columns = {stylizer: values for stylizer, values in columns.items() if values}
    low = min(_share(values, 0.05) for values in columns.values())
    high = max(_share(values, 0.95) for values in columns.values())
    span = max(high - low, 1e-9)

    def x(value: float) -> float:
        return 190 + 780 * min(1.0, max(0.0, (value - low) / span))

    lines = []
    for index, (stylizer, values) in enumerate(columns.items()):
        y = 20 + 22 * index
        ends = [x(_share(values, share)) for share in (0.05, 0.25, 0.5, 0.75, 0.95)]
        lines.append(
            f'<text x="0" y="{y + 4}">{escape(stylizer)}</text>'
            f'<line x1="{ends[0]:.1f}" x2="{ends[4]:.1f}" y1="{y}" y2="{y}" stroke="#888"/>'
            f'<rect x="{ends[1]:.1f}" y="{y - 6}" width="{max(1.0, ends[3] - ends[1]):.1f}" '
            f'height="12" fill="#9ab8d8"/>'
            f'<rect x="{ends[2] - 1:.1f}" y="{y - 8}" width="2.5" height="16" fill="#1d4e89"/>'
        )
    bottom = 20 + 22 * len(columns)
    axis = (
        f'<text x="190" y="{bottom + 8}">{low:.3g}</text>'
        f'<text x="970" y="{bottom + 8}" text-anchor="end">{high:.3g}</text>'
    )
    title = f"{name}: {MEASURES[name].summary}, {MEASURES[name].better} is better"
    return (
        f"<figure><figcaption>{escape(title)}</figcaption><div class='wide'>"
        f'<svg viewBox="0 0 980 {bottom + 14}" width="100%">{"".join(lines)}{axis}</svg>'
        "</div></figure>"
    )


def _share(values: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values."""
    return values[round(share * (len(values) - 1))]
