"""Does style augmentation help on laboratories, stains and scanners that training never saw?

``python -m benchmarks.shift classes --index INDEX.csv`` leaves one domain out, trains on the others
and tests on it; ``masks`` trains on one domain and tests on each of the others. Every arm has
the same steps, batches and seeds, and every network is tested as it is, under `StyleTTA`, and under
it where `advise` says so of some images without labels; ``--tta NAME:random`` takes random styles,
``--tta NAME:place`` one map for all images of a place.
``--backbone efficientnet-lite0 --size 128 --rate 5e-4`` fine-tunes a network with ImageNet weights
(classes alone); without, small ones are trained from scratch. Runs are kept in a file beside the
record and are not repeated; ``--arms`` and ``--seeds`` choose some. ``--at-once 8`` trains eight
networks at a time, each in a process of its own: as many as there are cores, or as the memory of a
GPU holds; ``--part 0/2`` is every second pair of fold and seed, for several machines. ``--short``
takes three arms and what else fits into about an hour of two cores; what is given beside it counts
more.

``python -m benchmarks.shift --summarise RUNS.jsonl`` trains nothing: it prints the table of runs
that exist, and with ``--record`` computes the table of that record again, which keeps the machine,
the versions and the commit of its measurement. The runs behind records lie in ``runs/`` beside
them. What the columns are says `benchmarks.shift_summary`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.arms import bank_of, other_arms, style_arms
from benchmarks.backbones import BACKBONES
from benchmarks.domains import Samples, read_classes, read_masks, read_square
from benchmarks.learners import SHOWN, Model, judge, train
from benchmarks.record import add_device, keep_runs, recompute_record, write_record
from benchmarks.shift_summary import PLAIN, as_advised, main_score, summary
from styleaug import StyleBank, Stylizer, create_stylizer
from styleaug.images import find_images
from styleaug.stylizers.content_code import check_takes_content_code
from styleaug.tta import StyleTTA, advise

HELD = 0.2
VIEWS = 8
ASKED = 64
"""Images, evenly spaced, that the advice on alignment looks at; twice as many where they end."""
UNRECORDED = ("index", "outside", "out", "summarise", "short", "at_once")
SHORT: dict[str, dict[str, Any]] = {
    "classes": {
        "backbone": "efficientnet-lite0",
        "size": 128,
        "rate": 5e-4,
        "steps": 120,
        "seeds": 5,
    },
    "masks": {"size": 64, "rate": 2e-3, "steps": 1200, "seeds": 3},
}
"""What ``--short`` sets for each task; below, for both."""
BOTH = {
    "arms": ["none", "strong jitter", "changes of appearance of every second image"],
    "stylizers": ["appearance"],
    "tta": ["appearance"],
}
Banks = dict[str, tuple[Stylizer, StyleBank]]


@dataclass(frozen=True)
class Fold:
    """What is trained on, what of the same domains is held out, and the domains never seen."""

    name: str
    training: Samples
    held: Samples
    unseen: dict[str, Samples]


def main() -> None:
    """Measure, or say what is measured already."""
    options = _options()
    if options.summarise:
        _summarise(Path(options.summarise), options)
    else:
        _measure(Path(options.out), options)


def _summarise(runs: Path, options: argparse.Namespace) -> None:
    """Print the table of runs that exist, and compute that of their record again."""
    rows = summary(_load(runs).values())
    _show(rows)
    if options.record:
        path = recompute_record(
            options.record, lambda old: _same_runs(old, rows), device=options.device
        )
        print(path, keep_runs(runs, path))


def _same_runs(results: dict, rows: list[dict]) -> dict:
    """Return results with a table that is computed again from the same runs.

    Raises:
        SystemExit: The means or the counts are not those of the old table.
    """
    old, new = ({(r["arm"], r["test"]): _means(r) for r in t} for t in (results["table"], rows))
    if old != new:
        differ = sorted(" / ".join(key) for key in old.keys() | new if old.get(key) != new.get(key))
        raise SystemExit(f"not the runs of the record, these rows differ: {'; '.join(differ)}")
    return {**results, "table": rows}


def _means(row: dict) -> dict:
    return {key: row[key] for key in ("unseen", "worst", "held", "runs", "pairs")}


def _measure(runs: Path, options: argparse.Namespace) -> None:
    """Run what is missing, and write and print the table."""
    samples = _read(options)
    if options.at_once > 1:
        _in_processes(options.at_once)
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
        settings = {k: v for k, v in vars(options).items() if k not in UNRECORDED}
        results = {"settings": settings, "table": rows}
        path = write_record(options.record, results, device=options.device)
        print(path, keep_runs(runs, path))


def _in_processes(count: int) -> None:
    """Run this command in parts, all at once, which write into one file of runs and no record.

    Raises:
        SystemExit: A part failed. The runs that ended are kept.
    """
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
    command = [sys.executable, "-m", "benchmarks.shift", *sys.argv[1:], "--at-once", "1"]
    parts = [
        subprocess.Popen([*command, f"--part={i}/{count}", "--record="], env=threads | os.environ)
        for i in range(count)
    ]
    failed = [part.returncode for part in parts if part.wait()]
    if failed:
        raise SystemExit(f"{len(failed)} of {count} parts failed; start again to do the rest.")


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
            tta: round(statistics.mean(main_score(s) for s in found["unseen"].values()), 3)
            for tta, found in scores.items()
        }
        print(key, f"{trained:.0f} s", brief, flush=True)


def _judged(
    net: Model, fold: Fold, options: argparse.Namespace, banks: Banks, seed: int
) -> dict[str, dict]:
    """Return the scores of a network: as it is, under each style TTA, and where that is advised."""
    found = {PLAIN: _scores(lambda part: net, fold, options)}
    for name in options.tta:
        stylizer, _, select = name.partition(":")
        select = select or "nearest"
        painter, bank = banks[stylizer]
        if select == "place":
            found[f"{stylizer}, {select}"] = _scores(
                _by_place(net, painter, fold.training), fold, options
            )
            continue
        tta = StyleTTA(net, painter, bank, VIEWS, select=select, seed=seed)
        aligned = found[f"{stylizer}, {select}"] = _scores(lambda part, tta=tta: tta, fold, options)
        if select == "nearest":
            said = {
                "held": _advice(tta, fold.held, options),
                "unseen": {d: _advice(tta, part, options) for d, part in fold.unseen.items()},
            }
            found[f"{stylizer}, as advised"] = as_advised(found[PLAIN], aligned, said)
    return found


def _scores(
    model: Callable[[Samples], Model], fold: Fold, options: argparse.Namespace
) -> dict[str, Any]:
    """Return the scores of the model of every place."""
    return {
        "held": judge(model(fold.held), fold.held, options.device),
        "unseen": {d: judge(model(part), part, options.device) for d, part in fold.unseen.items()},
    }


def _by_place(net: Model, painter: Stylizer, home: Samples) -> Callable[[Samples], Model]:
    """Return what makes a model for a place: one map takes all of its images to those of home.

    The map is that from the mean code of the place to the mean code of the training images; the
    prediction is the mean of that of the image and that of the mapped one.
    """
    painter = check_takes_content_code(painter)
    style = painter.encode_content(home.images, together=True)

    def model_of(place: Samples) -> Model:
        own = painter.encode_content(place.images, together=True)

        def model(images: torch.Tensor) -> torch.Tensor:
            mapped = painter.stylize(images.cpu(), style, content_code=own).to(images.device)
            return (net(images).softmax(1) + net(mapped).softmax(1)) / 2.0

        return model

    return model_of


def _advice(tta: StyleTTA, samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    """Return what some images say about aligning all of them, without their labels."""
    some = samples.images[:: max(1, len(samples.images) // ASKED)].to(options.device)
    return asdict(advise(tta, some.split(SHOWN)))


def _show(rows: list[dict]) -> None:
    columns = ("arm", "test", "unseen", "worst", "held", "gain", "standard error", "p", "runs")
    others = ("over strong jitter", "over as it is", "home over none")
    table = Table(*columns, *others, "minutes")
    for row in rows:
        plain = [str(row.get(name, "")) for name in columns]
        paired = [_shown(row.get(name, {})) for name in others]
        table.add_row(*plain, *paired, str(row.get("minutes", "")))
    Console(width=200).print(table)


def _shown(found: dict) -> str:
    """Return a difference with its interval, and the worst pair of domains."""
    if not found:
        return ""
    text = f"{found['mean']:+.3f}"
    if "p" in found:
        text += f" ({found['low']:+.3f} to {found['high']:+.3f}), p {found['p']:g}"
    worst = found.get("worst")
    return f"{text}; {worst} {found['pairs'][worst]:+.3f}" if worst else text


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
    parser.add_argument("task", choices=["classes", "masks"], nargs="?")
    parser.add_argument("--index", help="CSV: image, domain, and label or mask")
    parser.add_argument("--summarise", metavar="RUNS", help="file of runs; trains nothing")
    parser.add_argument("--short", action="store_true", help="about an hour on two cores")
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
    parser.add_argument("--at-once", type=int, default=1, help="networks trained at a time")
    parser.add_argument("--part", default="0/1")
    parser.add_argument("-o", "--out", default="shift.jsonl")
    parser.add_argument("--record", help="name of the record; without, none is written")
    add_device(parser)
    options = parser.parse_args()
    if not options.summarise and not (options.task and options.index):
        parser.error("name a task and its --index, or --summarise RUNS")
    if options.at_once > 1 and options.part != "0/1":
        parser.error("--at-once makes the parts itself: leave out --part")
    if options.short and options.task:
        parser.set_defaults(**BOTH, **SHORT[options.task])
        options = parser.parse_args()
    return options


if __name__ == "__main__":
    main()
