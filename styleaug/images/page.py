"""Parts of self-contained HTML pages: one file with its pictures, no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from PIL import Image

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.4rem; font-size: 1.2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
.texts td, .texts th { text-align: left; }
td.best { font-weight: 600; background: #eef6ee; }
p.note, summary { color: #666; } details { margin: .5rem 0; }
img { max-width: 100%; } figure { margin: 1rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: #333; }
.wide { overflow-x: auto; } svg { min-width: 640px; }
@media (max-width: 720px) {
  body { margin: 1rem auto; } td, th { padding: .35rem .4rem; white-space: nowrap; }
  th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
  img { max-width: none; }
}
"""


def html_page(title: str, notes: Sequence[str], parts: Sequence[str]) -> str:
    """Return a page.

    Args:
        title: Heading of the page.
        notes: Lines of text below it.
        parts: HTML elements, in order.

    Example:
        >>> "<h1>a &lt; b</h1>" in html_page("a < b", [], [])
        True
    """
    head = [f"<h1>{escape(title)}</h1>", *(note_line(note) for note in notes)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}"
        f"</title><style>{_STYLE}</style></head><body>{''.join([*head, *parts])}</body></html>\n"
    )


def note_line(text: str) -> str:
    """Return a line of quiet text."""
    return f'<p class="note">{escape(text)}</p>'


def folded(title: str, part: str) -> str:
    """Return an HTML element that is folded away under a title.

    Example:
        >>> folded("values", "<p>1</p>")
        '<details><summary>values</summary><p>1</p></details>'
    """
    return f"<details><summary>{escape(title)}</summary>{part}</details>"


def wide_table(head: str, rows: Sequence[str]) -> str:
    """Return a table of HTML rows that scrolls in its own box."""
    lines = f"<tr>{head}</tr>{''.join(rows)}"
    return f'<div class="wide"><table>{lines}</table></div>'


def picture(image: Image.Image, text: str = "contact sheet") -> str:
    """Return an ``<img>`` element with embedded data and an alternative text."""
    file = io.BytesIO()
    image.convert("RGB").save(file, format="JPEG", quality=88)
    data = base64.b64encode(file.getvalue()).decode()
    source = f"data:image/jpeg;base64,{data}"
    return f'<figure class="wide"><img alt="{escape(text)}" src="{source}"></figure>'
