"""Does style augmentation help on laboratories, stains and scanners that training never saw?

``python -m benchmarks.shift classes --index INDEX.csv`` leaves one domain out, trains on the others
and tests on it; ``masks`` trains on one domain and tests on each of the others. Every arm has
the same steps, batches and seeds, and every network is tested as it is and under `StyleTTA`.
``--backbone efficientnet-lite0 --size 128 --rate 5e-4`` fine-tunes a network with ImageNet weights
(classes alone); without, small ones are trained from scratch. Runs are kept in a file beside the
record and are not repeated; ``--arms`` and ``--seeds`` choose some, and ``--part 0/2`` runs every
second one, for several processes at once.

The table gives the mean over domains and seeds, the gain over no augmentation, its standard error
and the p-value of a paired t-test.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import ttest_rel

from benchmarks.arms import bank_of, other_arms, style_arms
from benchmarks.backbones import BACKBONES
from benchmarks.domains import Samples, read_classes, read_masks, read_square
from benchmarks.learners import Model, judge, train
from benchmarks.record import add_device, write_record
from styleaug import StyleBank, Stylizer, create_stylizer
from styleaug.images import find_images
from styleaug.tta import StyleTTA

HELD = 0.2
VIEWS = 8
NONE = "none"
PLAIN = "as it is"
Scores = dict[str, float]
Banks = dict[str, tuple[Stylizer, StyleBank]]


@dataclass(frozen=True)
class Fold:
    """What is trained on, what of the same domains is held out, and the domains never seen."""

    name: str
    training: Samples
    held: Samples
    unseen: dict[str, Samples]


def main() -> None:
    """Run what is missing, and write and print the table."""
    options = _options()
    samples = _read(options)
    runs = Path(options.out)
    done = _load(runs)
    outside = _outside(options.outside, options.size) if options.outside else None
    jobs = [(fold, seed) for seed in range(options.seeds) for fold in _folds(samples, options)]
    part, parts = map(int, options.part.split("/"))
    for index, (fold, seed) in enumerate(jobs):
        if index % parts == part:
            _run_fold(fold, seed, outside, options, runs, done)
    rows = summary(_load(runs).values())
    _show(rows)
    if options.record:
        settings = {k: v for k, v in vars(options).items() if k not in ("index", "outside", "out")}
        results = {"settings": settings, "table": rows}
        print(write_record(options.record, results, device=options.device))


def _run_fold(
    fold: Fold,
    seed: int,
    outside: torch.Tensor | None,
    options: argparse.Namespace,
    runs: Path,
    done: dict[str, dict],
) -> None:
    """Train and judge every arm of a fold that is not there yet."""
    images = fold.training.images
    arms = other_arms(images, seed) | style_arms(options.stylizers, images, outside, seed)
    unknown = set(options.arms or ()) - set(arms)
    if unknown:
        raise SystemExit(f"--arms must be of {', '.join(arms)}; got {', '.join(unknown)}.")
    painters = {name: create_stylizer(name.partition(":")[0]) for name in options.tta}
    banks = {p.name: (p, bank_of(images, p)) for p in painters.values()}
    for name in options.arms or arms:
        key = f"{fold.name} | {seed} | {name}"
        if key in done:
            continue
        arm = arms[name]()
        if arm.moves and options.task == "masks":
            if options.arms:
                raise SystemExit(f"{name!r} moves pixels, and the masks would not follow.")
            continue
        start = time.perf_counter()
        settings = options.steps, seed, options.device, BACKBONES[options.backbone], options.rate
        net = train(fold.training, arm, *settings)
        trained = time.perf_counter() - start
        scores = _judged(net, fold, options, banks, seed)
        row = {"fold": fold.name, "seed": seed, "arm": name, "seconds": round(trained, 1)}
        with runs.open("a") as file:
            file.write(json.dumps({**row, "scores": scores}) + "\n")
        brief = {
            tta: round(statistics.mean(_main(s) for s in found["unseen"].values()), 3)
            for tta, found in scores.items()
        }
        print(key, f"{trained:.0f} s", brief, flush=True)


def _judged(
    net: Model, fold: Fold, options: argparse.Namespace, banks: Banks, seed: int
) -> dict[str, dict]:
    """Return the scores of a network, as it is and under each style TTA."""
    models: dict[str, Model] = {PLAIN: net}
    for name in options.tta:
        stylizer, _, select = name.partition(":")
        select = select or "nearest"
        painter, bank = banks[stylizer]
        models[f"{stylizer}, {select}"] = StyleTTA(
            net, painter, bank, VIEWS, select=select, seed=seed
        )
    return {
        name: {
            "held": judge(model, fold.held, options.device),
            "unseen": {d: judge(model, part, options.device) for d, part in fold.unseen.items()},
        }
        for name, model in models.items()
    }


def summary(runs: Iterable[dict]) -> list[dict]:
    """Return one row per arm and way of testing: means, gains over none, paired tests."""
    values: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for run in runs:
        for tta, found in run["scores"].items():
            cell = values.setdefault((run["arm"], tta), {"unseen": {}, "held": {}})
            for domain, scores in found["unseen"].items():
                cell["unseen"][f"{run['fold']} > {domain} | {run['seed']}"] = _main(scores)
            cell["held"][f"{run['fold']} | {run['seed']}"] = _main(found["held"])
    base = values.get((NONE, PLAIN), {"unseen": {}, "held": {}})
    rows = [_row(arm, tta, cell, base) for (arm, tta), cell in values.items()]
    return sorted(rows, key=lambda row: -row["unseen"])


def _row(arm: str, tta: str, cell: dict, base: dict) -> dict:
    """Compare one arm with none on what both have."""
    unseen, held = cell["unseen"], cell["held"]
    shared = [key for key in unseen if key in base["unseen"]]
    gains = [unseen[key] - base["unseen"][key] for key in shared]
    pairs: dict[str, list[float]] = {}
    for key, value in unseen.items():
        pairs.setdefault(key.split(" | ")[0], []).append(value)
    row = {
        "arm": arm,
        "test": tta,
        "unseen": round(statistics.mean(unseen.values()), 4),
        "worst": round(min(statistics.mean(v) for v in pairs.values()), 4),
        "held": round(statistics.mean(held.values()), 4),
        "runs": len(unseen),
        "pairs": {name: round(statistics.mean(v), 4) for name, v in sorted(pairs.items())},
    }
    if len(gains) > 1 and any(gains):
        error = statistics.stdev(gains) / len(gains) ** 0.5
        test = ttest_rel([unseen[k] for k in shared], [base["unseen"][k] for k in shared])
        row |= {
            "gain": round(statistics.mean(gains), 4),
            "standard error": round(error, 4),
            "p": float(f"{test.pvalue:.2g}"),
        }
    return row


def _show(rows: list[dict]) -> None:
    columns = ("arm", "test", "unseen", "worst", "held", "gain", "standard error", "p", "runs")
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in columns))
    Console(width=140).print(table)


def _main(scores: Scores) -> float:
    """Return the figure that the tables are sorted by."""
    return next(iter(scores.values()))


def _folds(samples: Samples, options: argparse.Namespace) -> Iterator[Fold]:
    """Yield leave-one-out folds for classes, one source each for masks."""
    domains = options.domains or list(dict.fromkeys(samples.domains))
    targets = {name: samples.of([name]) for name in domains}
    for name in options.sources or domains:
        others = [other for other in domains if other != name]
        sources, unseen = (others, [name]) if options.task == "classes" else ([name], others)
        training, held = samples.of(sources).split(HELD, 0)
        yield Fold(name, training, held, {domain: targets[domain] for domain in unseen})


def _read(options: argparse.Namespace) -> Samples:
    index = Path(options.index)
    if options.task == "classes":
        return read_classes(index, options.size, domain=options.domain, leave_out=options.leave_out)
    return read_masks(index, options.size, domain=options.domain, classes=options.classes)


def _outside(folder: str, size: int) -> torch.Tensor:
    """Return images of a folder as squares; of 800 and more every n-th, so that 400 are left."""
    paths = find_images([folder])
    return torch.cat([read_square(path, size) for path in paths[:: max(1, len(paths) // 400)]])


def _load(runs: Path) -> dict[str, dict]:
    if not runs.exists():
        return {}
    found = [json.loads(line) for line in runs.read_text().splitlines()]
    return {f"{run['fold']} | {run['seed']} | {run['arm']}": run for run in found}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["classes", "masks"])
    parser.add_argument("--index", required=True, help="CSV: image, domain, and label or mask")
    parser.add_argument("--domain", default="domain", help="column of the domain")
    parser.add_argument("--domains", nargs="+", help="domains that take part")
    parser.add_argument("--sources", nargs="+", help="domains that are left out, or trained on")
    parser.add_argument("--leave-out", nargs="+", default=[], help="labels that take no part")
    parser.add_argument("--classes", nargs="+", default=["background", "nucleus"])
    parser.add_argument("--outside", help="folder of images of another kind, for their styles")
    parser.add_argument("--stylizers", nargs="+", default=["colorist", "mkl", "fda", "micro"])
    parser.add_argument("--tta", nargs="*", default=["colorist", "micro"])
    parser.add_argument("--arms", nargs="+")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--backbone", choices=list(BACKBONES), default="small")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("-o", "--out", default="shift.jsonl")
    parser.add_argument("--record", help="name of the record; without, none is written")
    add_device(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
