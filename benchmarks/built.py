"""The stylizers that a benchmark measures: their weights, the option ``detail``, their names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from styleaug import Stylizer, create_stylizer
from styleaug.stylizers import STYLIZERS
from styleaug.weights import DATA, EXTRA, at_hand

WITHOUT_DETAIL = ", without detail"
"""What is added to the name of a row whose stylizer was built with ``detail=False``."""


def build(name: str, weights: Sequence[str] = (), *, detail: bool = True) -> Stylizer:
    """Return a stylizer, with the weights that ``NAME=FILE`` names for it.

    Args:
        name: Of a stylizer; one that has no weights, or no option ``detail``, is built as it is.
        weights: ``NAME=FILE`` each; the last one of a name counts.
        detail: False: with ``detail=False``, where it is an option. True: by the default.
    """
    named = dict(text.split("=", 1) for text in weights)
    options = {} if detail or not takes(name, "detail") else {"detail": False}
    return create_stylizer(name, weights=named.get(name), **options)


def takes(name: str, option: str) -> bool:
    """Return whether a stylizer has an option."""
    return option in inspect.signature(STYLIZERS[name].build).parameters


def weights_of(stylizers: Mapping[str, Stylizer]) -> dict[str, str]:
    """Return the `weights_id` of those that have weights, by the names they are given by."""
    return {name: found.weights_id for name, found in stylizers.items() if found.weights_id}


def named(weights: Sequence[str]) -> dict[str, str]:
    """Return what ``NAME=FILE`` names, by name and for a record: of a file its name alone."""
    pairs = (text.split("=", 1) for text in weights)
    return {name: Path(file).name if Path(file).exists() else file for name, file in pairs}


@cache
def shipped() -> frozenset[str]:
    """Return the `weights_id` of all weights of the two packages that are installed."""
    return frozenset(
        create_stylizer(name, weights=record.name).weights_id
        for name, entry in STYLIZERS.items()
        for record in entry.weights
        if record.repository is None and record.package in (DATA, EXTRA) and at_hand(record)
    )
