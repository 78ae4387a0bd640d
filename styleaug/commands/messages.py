"""What commands say: text as it is, in which a bracket is a bracket (Rich reads it as markup)."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, text: str) -> None:
    """Print one line."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def complain(console: Console, text: str) -> None:
    """Print one line in red."""
    console.print(text, style="red", markup=False, emoji=False, highlight=False, soft_wrap=True)
