"""``styleaug list``: the table of stylizers and weights."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from styleaug.stylizers import STYLIZERS, StylizerEntry
from styleaug.weights import Weights

EPILOG = """examples:
  styleaug list
"""


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug list``: none."""


def run_list(options: argparse.Namespace, console: Console) -> int:
    """Print the table of stylizers, and of the weights of those that have some."""
    console = Console()  # the table is the result: it goes to standard output
    table = Table("stylizer", "matches", "weights", "licence", "source", title="Stylizers")
    for name, entry in STYLIZERS.items():
        table.add_row(name, entry.summary, _count(entry), entry.licence, entry.source)
    console.print(table)
    records = [(name, item) for name, entry in STYLIZERS.items() for item in entry.weights]
    if records:
        console.print(_weights_table(records))
    console.print("Input: RGB or grey in [0, 1] or 8/16-bit integers, before any Normalize.")
    return 0


def _count(entry: StylizerEntry) -> str:
    return str(len(entry.weights)) if entry.weights else "none needed"


def _weights_table(records: list[tuple[str, Weights]]) -> Table:
    table = Table("stylizer", "weights", "size", "licence", "trained on", "from", title="Weights")
    for name, item in records:
        size = f"{item.size / 1e6:.1f} MB" if item.size else "?"
        origin = item.repository or "this package"
        table.add_row(name, item.name, size, item.licence, item.data, origin)
    return table
