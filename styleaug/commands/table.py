"""``styleaug list``: the table of stylizers and weights."""

from __future__ import annotations

import argparse
import inspect

from rich.console import Console
from rich.table import Column, Table

from styleaug.stylizers import STYLIZERS, StylizerEntry
from styleaug.weights import Weights

_INPUT = "[0, 1] or 8/16 bit"

EPILOG = """examples:
  styleaug list
"""


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug list``: none."""


def run_list(options: argparse.Namespace, console: Console) -> int:
    """Print the table of stylizers, and of the weights of those that have some."""
    console = Console()  # the table is the result: it goes to standard output
    heads = ("matches", "weights", "input", "licence", "source")
    table = Table(Column("stylizer", no_wrap=True), *heads, title="Stylizers")
    for name, entry in STYLIZERS.items():
        row = (name, entry.summary, _count(entry), _INPUT, entry.licence, entry.source)
        table.add_row(*row)
    console.print(table)
    records = [(name, item) for name, entry in STYLIZERS.items() for item in entry.weights]
    if records:
        console.print(_weights_table(records))
    console.print("Images go in before any Normalize: grey, RGB or RGBA, sides of 32 or more.")
    return 0


def _count(entry: StylizerEntry) -> str:
    if entry.weights:
        return str(len(entry.weights))
    takes_weights = "weights" in inspect.signature(entry.build).parameters
    return "your own" if takes_weights else "none needed"


def _weights_table(records: list[tuple[str, Weights]]) -> Table:
    table = Table(
        Column("stylizer", no_wrap=True),
        "weights",
        "size",
        "licence",
        "trained on",
        "from",
        title="Weights",
    )
    for name, item in records:
        size = f"{item.size / 1e6:.1f} MB" if item.size else "?"
        origin = item.repository or "this package"
        table.add_row(name, item.name, size, item.licence, item.data, origin)
    return table
