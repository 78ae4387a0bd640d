"""What the runs of `benchmarks.shift` say: one row per arm and way of testing."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import ttest_rel

NONE = "none"
JITTER = "strong jitter"
PLAIN = "as it is"
Values = dict[str, float]
Row = dict[str, Any]


@dataclass
class Cell:
    """The scores of one arm, tested in one way.

    Attributes:
        unseen: Score of every pair of source and unseen domain and seed, in [0, 1].
        held: Score of every source and seed on held-out images of the training domains.
        seconds: Of every training.
    """

    unseen: Values = field(default_factory=dict)
    held: Values = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


Cells = dict[tuple[str, str], Cell]


def summary(runs: Iterable[dict]) -> list[Row]:
    """Return one row per arm and way of testing, the best first.

    Besides means a row has the gain over none as it is with its standard error and p-value, and as
    a `difference`: ``over strong jitter`` tested in the same way and ``home over none``; rows with
    another test also ``over strong jitter as it is`` and ``over as it is`` (by pair of domains,
    too, the ``worst`` named).
    """
    cells = _cells(runs)
    rows = [_row(arm, test, cells) for arm, test in cells]
    return sorted(rows, key=lambda row: -row["unseen"])


def difference(ours: Values, theirs: Values) -> Values:
    """Return the paired difference over the keys that both have.

    Args:
        ours: Scores by key.
        theirs: Scores by key.

    Returns:
        ``mean`` and ``runs``; where the differences vary also ``low`` and ``high``, the 95 %
        interval of Student's t, and ``p`` of the paired t-test. Empty where no key is shared.
    """
    shared = [key for key in ours if key in theirs]
    if not shared:
        return {}
    changes = [ours[key] - theirs[key] for key in shared]
    found = {"mean": round(statistics.mean(changes), 4)}
    if max(changes) - min(changes) > 1e-9:
        test = ttest_rel([ours[key] for key in shared], [theirs[key] for key in shared])
        low, high = test.confidence_interval(0.95)
        found |= {"low": round(float(low), 4), "high": round(float(high), 4), "p": _short(test)}
    return found | {"runs": len(shared)}


def as_advised(plain: Row, aligned: Row, advice: Row) -> Row:
    """Return the scores of a network that is aligned where the advice is to, with the advice.

    Args:
        plain: ``held`` and ``unseen`` by domain, as it is.
        aligned: The same under alignment.
        advice: The same for the fields of `styleaug.tta.Advice`.
    """
    held = (aligned if advice["held"]["align"] else plain)["held"]
    unseen = {
        domain: (aligned if said["align"] else plain)["unseen"][domain]
        for domain, said in advice["unseen"].items()
    }
    return {"held": held, "unseen": unseen, "advice": advice}


def by_pair(values: Mapping[str, float]) -> Values:
    """Return the means over seeds by pair of domains, sorted by name."""
    pairs: dict[str, list[float]] = {}
    for key, value in values.items():
        pairs.setdefault(key.split(" | ")[0], []).append(value)
    return {name: round(statistics.mean(found), 4) for name, found in sorted(pairs.items())}


def main_score(scores: Mapping[str, float]) -> float:
    """Return the figure that the tables are sorted by."""
    return next(iter(scores.values()))


def _cells(runs: Iterable[dict]) -> Cells:
    cells: Cells = {}
    for run in runs:
        for test, found in run["scores"].items():
            cell = cells.setdefault((run["arm"], test), Cell())
            for domain, scores in found["unseen"].items():
                cell.unseen[f"{run['fold']} > {domain} | {run['seed']}"] = main_score(scores)
            cell.held[f"{run['fold']} | {run['seed']}"] = main_score(found["held"])
            cell.seconds += [run["seconds"]] if "seconds" in run else []
    return cells


def _row(arm: str, test: str, cells: Cells) -> Row:
    cell, base = cells[arm, test], cells.get((NONE, PLAIN), Cell())
    pairs = by_pair(cell.unseen)
    row: Row = {
        "arm": arm,
        "test": test,
        "unseen": round(statistics.mean(cell.unseen.values()), 4),
        "worst": min(pairs.values()),
        "held": round(statistics.mean(cell.held.values()), 4),
        "runs": len(cell.unseen),
        "pairs": pairs,
    }
    if cell.seconds:
        row["minutes"] = round(statistics.median(cell.seconds) / 60, 1)
    return row | _gain(cell, base) | _others(arm, test, cells)


def _gain(cell: Cell, base: Cell) -> Row:
    """Return the gain over none, where there are two and they vary."""
    shared = [key for key in cell.unseen if key in base.unseen]
    gains = [cell.unseen[key] - base.unseen[key] for key in shared]
    if len(gains) < 2 or not any(gains):
        return {}
    test = ttest_rel([cell.unseen[k] for k in shared], [base.unseen[k] for k in shared])
    return {
        "gain": round(statistics.mean(gains), 4),
        "standard error": round(statistics.stdev(gains) / len(gains) ** 0.5, 4),
        "p": _short(test),
    }


def _others(arm: str, test: str, cells: Cells) -> Row:
    """Return the differences from other rows; what has none is left out."""
    cell, found = cells[arm, test], {}
    if arm != JITTER and (JITTER, test) in cells:
        found["over strong jitter"] = difference(cell.unseen, cells[JITTER, test].unseen)
    if test != PLAIN and (JITTER, PLAIN) in cells:
        theirs = cells[JITTER, PLAIN].unseen
        found["over strong jitter as it is"] = difference(cell.unseen, theirs)
    if test != PLAIN and (arm, PLAIN) in cells:
        found["over as it is"] = _tested_otherwise(cell, cells[arm, PLAIN])
    if (arm, test) != (NONE, PLAIN) and (NONE, PLAIN) in cells:
        found["home over none"] = difference(cell.held, cells[NONE, PLAIN].held)
    return {name: each for name, each in found.items() if each}


def _tested_otherwise(cell: Cell, plain: Cell) -> Row:
    """Return what a way of testing changes, on the whole and by pair of domains."""
    whole = difference(cell.unseen, plain.unseen)
    changes = {k: v - plain.unseen[k] for k, v in cell.unseen.items() if k in plain.unseen}
    pairs = by_pair(changes)
    return whole | {"pairs": pairs, "worst": min(pairs, key=pairs.__getitem__)} if pairs else {}


def _short(test: Any) -> float:
    return float(f"{test.pvalue:.2g}")
