"""The report: one HTML page with a table, distributions, contact sheets and worst cases."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image

from styleaug.evaluation.measures import MEASURES

Table = Mapping[str, Mapping[str, Mapping[str, float]]]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.4rem; font-size: 1.2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
td.best { font-weight: 600; background: #eef6ee; }
p.note { color: #666; } img { max-width: 100%; } figure { margin: 1rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: #333; }
.wide { overflow-x: auto; } svg { min-width: 640px; }
@media (max-width: 720px) {
  body { margin: 1rem auto; } td, th { padding: .35rem .4rem; white-space: nowrap; }
  th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
  img { max-width: none; }
}
"""


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
        title: Its heading.
        table: Summaries by stylizer and measure.
        scores: Scores by stylizer, pair and measure.
        sheet: Contact sheet.
        worst: Contact sheet of the pairs with the lowest value, by measure.
        notes: Lines on what was done.
    """
    names = list(next(iter(table.values())))
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
        "<h2>Means</h2>",
        means(table),
        "<h2>Distributions</h2>",
        '<p class="note">Line: all pairs but the outer twentieths. Box: the middle half. Mark: '
        "the median.</p>",
        *(distributions(name, scores) for name in names),
        "<h2>Pairs</h2>",
        picture(sheet),
        "<h2>Worst cases</h2>",
    ]
    for name, image in worst.items():
        parts += [f"<h3>{escape(name)}: {escape(MEASURES[name].summary)}</h3>", picture(image)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}"
        f"</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def means(table: Table) -> str:
    """Return the table of means; the best of every column stands out."""
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
    lines = f"<tr><th>stylizer</th>{head}</tr>{''.join(rows)}"
    return f'<div class="wide"><table>{lines}</table></div>'


def best_stylizer(table: Table, name: str) -> str:
    """Return who has the best mean of a measure."""
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


def picture(image: Image.Image) -> str:
    """Return an image as an element that carries its own data."""
    file = io.BytesIO()
    image.convert("RGB").save(file, format="JPEG", quality=88)
    data = base64.b64encode(file.getvalue()).decode()
    source = f"data:image/jpeg;base64,{data}"
    return f'<figure class="wide"><img alt="contact sheet" src="{source}"></figure>'


def _share(values: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values."""
    return values[round(share * (len(values) - 1))]
