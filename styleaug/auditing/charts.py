"""Tables with coloured cells, and line charts, as self-contained HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from styleaug.images.page import wide_table

_WIDTH, _HEIGHT = 760, 260
_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 14, 130, 40
_INKS = ("#1d4e89", "#c2571a")


def heat_table(
    head: Sequence[str],
    rows: Sequence[tuple[str, Sequence[str], Sequence[float | None]]],
    plain: float | Sequence[float],
) -> str:
    """Return a table whose cells are redder the further their figures fall below a reference.

    Args:
        head: Heads of all columns.
        rows: For every row its name, further texts, and figures in [0, 1].
        plain: The reference of the figures: one number, or one per row.

    Example:
        >>> "#ffffff" in heat_table(["", "a"], [("row", [], [0.5])], 0.5)
        True
    """
    expected = [plain] * len(rows) if isinstance(plain, int | float) else list(plain)
    lines = []
    for (name, texts, figures), value in zip(rows, expected, strict=True):
        cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
        cells += "".join(_heat_cell(figure, value) for figure in figures)
        lines.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return wide_table("".join(f"<th>{escape(text)}</th>" for text in head), lines)


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of figures.

    Example:
        >>> "<td>a &lt; b</td>" in plain_table(["x"], [["a < b"]])
        True
    """
    lines = [f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows]
    return wide_table("".join(f"<th>{escape(text)}</th>" for text in head), lines)


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts that begin at the left.

    Example:
        >>> text_table(["x"], [["a"]]).startswith('<div class="texts">')
        True
    """
    return f'<div class="texts">{plain_table(head, rows)}</div>'


def line_chart(
    xs: Sequence[float], lines: Mapping[str, Sequence[float]], across: str, text: str
) -> str:
    """Return a line chart with values from 0 to 1 on the vertical axis.

    Args:
        xs: Horizontal positions of the points, rising.
        lines: Values in [0, 1] by name; at most two.
        across: Label of the horizontal axis.
        text: Alternative text of the picture.

    Example:
        >>> line_chart([0.0, 1.0], {"right": [0.9, 0.5]}, "distance", "it falls").count("<polyline")
        1
    """
    span = max(xs[-1] - xs[0], 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + wide * (x - xs[0]) / span, _TOP + high * (1.0 - y)

    drawn = [_grid_line(place(xs[0], y), place(xs[-1], y), f"{y:.1f}") for y in (0.0, 0.5, 1.0)]
    for ink, (name, values) in zip(_INKS, lines.items(), strict=False):
        points = [place(x, y) for x, y in zip(xs, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        end = points[-1]
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2.5"/>'
            f'<text x="{end[0] + 8:.1f}" y="{end[1] + 4:.1f}" style="fill:{ink}">'
            f"{escape(name)}</text>"
        )
    low, high = place(xs[0], 0.0), place(xs[-1], 0.0)
    drawn.append(
        f'<text x="{low[0]}" y="{_HEIGHT - 8}">{xs[0]:.2g}</text>'
        f'<text x="{(low[0] + high[0]) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f'{escape(across)}</text><text x="{high[0]}" y="{_HEIGHT - 8}" text-anchor="end">'
        f"{xs[-1]:.2g}</text>"
    )
    return (
        f'<figure class="wide"><svg role="img" aria-label="{escape(text)}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%">{"".join(drawn)}</svg></figure>'
    )


def _grid_line(start: tuple[float, float], end: tuple[float, float], label: str) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="#ddd"/><text x="{start[0] - 8:.1f}" y="{start[1] + 4:.1f}" '
        f'text-anchor="end">{label}</text>'
    )


def _heat_cell(figure: float | None, plain: float) -> str:
    if figure is None:
        return "<td>–</td>"
    lost = min(1.0, max(0.0, (plain - figure) / 0.5))
    red, other = (round(255 + lost * (end - 255)) for end in (232, 120))
    color = f"#{red:02x}{other:02x}{other:02x}"
    return f'<td style="background:{color}">{figure:.2f}</td>'
