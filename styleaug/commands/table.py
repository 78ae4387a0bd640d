"""``styleaug list``: the stylizers, and the page of one with its weights."""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Iterator

from rich.console import Console

from styleaug.commands.messages import say
from styleaug.stylizers import DEFAULT_STYLIZER, STYLIZERS, StylizerEntry
from styleaug.weights import EXTRA, Weights, at_hand

_OWN_OPTIONS = ("weights", "mean", "std", "precision", "max_batch")
_INPUT = (
    "Images go in before any Normalize: grey, RGB or RGBA, 8 or 16 bits or floats in [0, 1], sides "
    "of 32 pixels or more, 9 for appearance, any for those of colour alone (the first five)."
)

SHIPPED, INSTALLED, TO_INSTALL = "shipped", "installed", "to install"
CACHED, ON_HUB = "cached", "on the Hub"
_MEANINGS = {
    INSTALLED: "the weights are in styleaug-weights.",
    TO_INSTALL: "pip install 'styleaug[weights]', or in a checkout: pip install ./weights",
    CACHED: "some of the weights are in the Hub's cache: styleaug list NAME",
    ON_HUB: "weights=NAME downloads them once, to the Hub's cache.",
}
"""The words of the column of weights that do not explain themselves."""
_NEAREST = (SHIPPED, INSTALLED, CACHED, TO_INSTALL, ON_HUB)


def run_list(options: argparse.Namespace, console: Console) -> int:
    """Print the table of stylizers, or the page of one.

    Raises:
        ValueError: If there is no stylizer of that name.
    """
    console = Console()  # the table is the result: it goes to standard output
    lines = _table() if options.stylizer is None else _page(options.stylizer)
    for line in lines:
        say(console, _wrapped(line, console.width))
    return 0


def _table() -> Iterator[str]:
    rows = [(name, entry.summary, _weights(entry)) for name, entry in STYLIZERS.items()]
    heads = ("STYLIZER", "MATCHES", "WEIGHTS")
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in (0, 1)]
    for name, summary, weights in [heads, *rows]:
        yield f"{name:{widths[0]}}  {summary:{widths[1]}}  {weights}"
    yield ""
    for name, entry in STYLIZERS.items():
        if entry.caution:
            yield f"{name}: {entry.caution}"
    for word in dict.fromkeys(weights for _, _, weights in rows):
        if word in _MEANINGS:
            yield f"{word}: {_MEANINGS[word]}"
    yield f"{DEFAULT_STYLIZER} is the default. Source, licence and weights: styleaug list NAME"
    yield _INPUT


def _page(name: str) -> Iterator[str]:
    if name not in STYLIZERS:
        raise ValueError(f"NAME must be one of {list(STYLIZERS)}, got {name!r}.")
    entry = STYLIZERS[name]
    accepted = inspect.signature(entry.build).parameters
    own = [key for key in accepted if key not in (*_OWN_OPTIONS, *entry.options)]
    yield name
    yield f"  matches   {entry.summary}"
    yield f"  source    {entry.source}"
    yield f"  licence   {entry.licence}"
    if own:
        yield f"  options   {', '.join(own)}"
    if entry.caution:
        yield f"  caution   {entry.caution}"
    yield f"  weights   {_weights(entry)}"
    for item in entry.weights:
        yield from _record(item)


def _record(item: Weights) -> Iterator[str]:
    size = f"{item.size / 1e6:.1f} MB, " if item.size else ""
    yield ""
    yield f"  --weights {item.name}"
    yield f"            {item.data}"
    yield f"            {size}{item.licence}, {_place(item)}"


def _place(item: Weights) -> str:
    """Return where the file of a record is, and whether it is on this machine."""
    if item.repository is not None:
        return f"{'cached from' if at_hand(item) else 'not cached, from'} {item.repository}"
    if item.package == EXTRA:
        return f"in styleaug-weights, {INSTALLED if at_hand(item) else _MEANINGS[TO_INSTALL]}"
    return "in this package"


def _weights(entry: StylizerEntry) -> str:
    """Return whether the weights are at hand, in at most ten letters."""
    return min((_state(item) for item in entry.weights), key=_NEAREST.index, default="none")


def _state(item: Weights) -> str:
    if item.repository is not None:
        return CACHED if at_hand(item) else ON_HUB
    if item.package == EXTRA:
        return INSTALLED if at_hand(item) else TO_INSTALL
    return SHIPPED


def _wrapped(line: str, width: int) -> str:
    """Return a line in lines of the terminal's width; names stay whole, to be copied."""
    indent = " " * 12 if line.startswith("  ") else ""
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
