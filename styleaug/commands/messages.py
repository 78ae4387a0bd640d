"""Messages of commands. Brackets are printed as they are; Rich would read them as markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def say(console: Console, text: str) -> None:
    """Print one line."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def complain(console: Console, text: str) -> None:
    """Print one line in red."""
    console.print(text, style="red", markup=False, emoji=False, highlight=False, soft_wrap=True)
