"""Does the audit tell which networks will fail in other laboratories?

``python -m benchmarks.audit classes --index INDEX.csv --homes LABORATORY``, or ``masks`` for
segmentation, trains networks of several architectures with several augmentations on one laboratory,
audits each on images of that laboratory alone, and tests it on the others. The table gives the rank
correlation over networks of what was known at home with the true drop: of the audit, and of simple
predictors. With several seeds a second table ranks the means over seeds: which training holds, and
not which network, with less chance of the few images at home.

A network is trained on 60 % of the images at home. Of the rest one half is audited, the other half
gives the score at home that the true drop is counted from, so that the two share no image. Runs are
kept in a file beside the record and are not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import BasicUNet, SegResNet
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import Tensor, nn
from torchvision.transforms import v2

from benchmarks.arms import Arm, bank_of, hed_jitter, jittered
from benchmarks.domains import Samples, read_classes, read_masks
from benchmarks.learners import classifier, judge, segmenter, train
from benchmarks.record import add_device, write_record
from styleaug import StyleTransfer, audit, create_stylizer
from styleaug.appearance import Appearance
from styleaug.styles.medoids import color_statistics

HELD = 0.4
KIND = "stained"
TRUE = "true drop"
MAIN = "audit: drop in other laboratories"
TRAINING = ("home", "architecture", "arm")
AT_HOME = ("audit: score in other laboratories", "score at home", "confidence at home")
RESAMPLED = 2000
Run = dict[str, Any]


class Residual(nn.Module):
    """Two convolutions with instance normalisation, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(width, width, 3, padding=1), nn.InstanceNorm2d(width, affine=True)),
            *(nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape."""
        return torch.relu(maps + self.body(maps))


def residual(classes: int, mixstyle: bool) -> nn.Module:
    """Return a small residual network with instance normalisation."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), Residual(outputs)]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, classes))
    return nn.Sequential(*layers, *head)


def patches(classes: int, mixstyle: bool) -> nn.Module:
    """Return a small network of patches of 4 pixels, mixed by wide convolutions per channel."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 4, stride=4), nn.GELU(), nn.BatchNorm2d(64)]
    for _ in range(3):
        layers += [nn.Conv2d(64, 64, 7, padding=3, groups=64), nn.GELU(), nn.BatchNorm2d(64)]
        layers += [nn.Conv2d(64, 64, 1), nn.GELU(), nn.BatchNorm2d(64)]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, classes))
    return nn.Sequential(*layers, *head)


def basic_unet(classes: int, mixstyle: bool) -> nn.Module:
    """Return MONAI's U-Net without residual units, with batch normalisation."""
    return BasicUNet(2, 3, classes, features=(16, 16, 32, 64, 128, 16), norm="batch")


def segresnet(classes: int, mixstyle: bool) -> nn.Module:
    """Return MONAI's residual segmenter, with group normalisation."""
    return SegResNet(2, init_filters=8, in_channels=3, out_channels=classes)


ARCHITECTURES: Mapping[str, Mapping[str, Callable[[int, bool], nn.Module]]] = {
    "classes": {"plain": classifier, "residual": residual, "patches": patches},
    "masks": {"residual U-Net": segmenter, "U-Net": basic_unet, "SegResNet": segresnet},
}


def arms(training: Tensor, seed: int) -> dict[str, Callable[[], Arm]]:
    """Return the augmentations by name."""
    return {
        "none": Arm,
        "jitter": lambda: Arm(jitter(0.2, 0.02)),
        "strong jitter": lambda: Arm(jitter(0.5, 0.1)),
        "HED jitter": lambda: Arm(hed_jitter),
        "colorist": lambda: Arm(_recoloured(training, seed)),
        "appearance": lambda: Arm(Appearance(KIND, strength=(0.0, 1.0), image_p=1.0, seed=seed)),
    }


def main() -> None:
    """Run what is missing, and write and print the table."""
    options = _options()
    samples = _read(options)
    runs = Path(options.out)
    for home in options.homes:
        for seed in range(options.seeds):
            _run_home(samples, home, seed, options, runs)
    found = [run for run in load(runs) if run["home"] in options.homes]
    rows, means = summary(found), summary(averaged(found))
    _show(rows)
    _show(means)
    if options.record:
        settings = {k: v for k, v in vars(options).items() if k not in ("index", "out")}
        tables = {"table": rows, "means over seeds": means}
        results = {"settings": settings, **tables, "networks": found}
        print(write_record(options.record, results, device=options.device))


def _run_home(
    samples: Samples, home: str, seed: int, options: argparse.Namespace, runs: Path
) -> None:
    taught, held = samples.of([home]).split(HELD, seed)
    audited, tested = held.split(0.5, seed)
    others = {name: samples.of([name]) for name in dict.fromkeys(samples.domains) if name != home}
    done = {key(run) for run in load(runs)}
    for arm, make in arms(taught.images, seed).items():
        for name, build in ARCHITECTURES[options.task].items():
            run: Run = {"home": home, "seed": seed, "architecture": name, "arm": arm}
            if key(run) in done:
                continue
            start = time.perf_counter()
            net = train(taught, make(), options.steps, seed, options.device, build)
            run["seconds training"] = round(time.perf_counter() - start, 1)
            run |= known_at_home(net, audited, options.device)
            run["seconds"] = round(time.perf_counter() - start, 1)
            run |= true_drop(net, tested, others, options.device)
            with runs.open("a") as file:
                file.write(json.dumps(run) + "\n")
            print(key(run), {k: v for k, v in run.items() if isinstance(v, float)}, flush=True)


def true_drop(
    net: nn.Module, home: Samples, others: Mapping[str, Samples], device: str
) -> dict[str, float]:
    """Return balanced accuracy or Dice at home and elsewhere, and the difference."""
    here = _score(net, home, device)
    there = {name: _score(net, part, device) for name, part in others.items()}
    mean = sum(there.values()) / len(there)
    scores = {f"true score in {name}": round(value, 4) for name, value in there.items()}
    return {"true score at home": round(here, 4), **scores, TRUE: round(here - mean, 4)}


def known_at_home(net: nn.Module, images: Samples, device: str) -> dict[str, float]:
    """Return what can be known of a network from some images of its own laboratory.

    Distances of appearance are not needed here: colour statistics are the cheapest.
    """
    found = audit(
        net,
        list(zip(images.images.split(64), images.targets.split(64), strict=True)),
        KIND,
        strengths=(0.5, 1.0),
        laboratories=12,
        search=12,
        trial=(),
        describe=color_statistics,
        device=device,
    )
    kinds = {row["kind"]: row for row in found.kinds}
    single = [row for kind, row in kinds.items() if kind not in ("laboratory", "worst found")]
    drops = [row["drop"] for row in single]
    plain = found.before["score"]
    jittered = {
        f"drop under {name}": plain - _under(net, images, jitter(*amounts), device)
        for name, amounts in (("jitter", (0.2, 0.02)), ("strong jitter", (0.5, 0.1)))
    }
    known = {
        MAIN: kinds["laboratory"]["drop"],
        "audit: score in other laboratories": kinds["laboratory"]["score"],
        "audit: share flipped in other laboratories": kinds["laboratory"]["flipped"],
        "audit: mean drop of single changes": sum(drops) / len(drops),
        "audit: worst single change": max(drops),
        "audit: drop in the worst found": kinds["worst found"]["drop"],
        **jittered,
        "score at home": plain,
        "confidence at home": found.before["confidence"],
        "calibration error at home": found.before["calibration error"],
    }
    return {name: round(float(value), 4) for name, value in known.items() if value is not None}


def _under(
    net: nn.Module, images: Samples, change: Callable[[Tensor], Tensor], device: str
) -> float:
    """Return the score on images that are changed four times at random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        changed = torch.cat([change(images.images) for _ in range(4)])
    part = Samples(changed, torch.cat([images.targets] * 4), images.domains * 4, images.classes)
    return _score(net, part, device)


def _score(net: nn.Module, samples: Samples, device: str) -> float:
    return next(iter(judge(net, samples, device).values()))


def jitter(amount: float, hue: float) -> Callable[[Tensor], Tensor]:
    """Return torchvision's colour jitter, drawn for every image."""
    transform = v2.ColorJitter(amount, amount, amount, hue)
    return lambda images: torch.stack([transform(image) for image in images])


def summary(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the rank correlation of every predictor with the true drop, by home and of all.

    "all" is the mean over homes: networks of different homes are not ranked against each other. The
    interval is that of 95 % of resampled sets of trainings, each with all its seeds.
    """
    homes = list(dict.fromkeys(run["home"] for run in runs))
    names = [n for n in runs[0] if n.startswith(("audit", "drop under", *AT_HOME, "calibration"))]
    rows = []
    for name in names:
        row: dict[str, Any] = {"predictor": name}
        for home in homes:
            own = [run for run in runs if run["home"] == home]
            columns = [[float(run[column]) for run in own] for column in (name, TRUE)]
            row[home] = correlation(*columns, groups=[training(run) for run in own])
        found = [row[home]["spearman"] for home in homes]
        row["mean"] = round(sum(found) / len(found), 3)
        rows.append(row)
    return rows


def averaged(runs: Sequence[Run]) -> list[Run]:
    """Return one run for every training: its numbers are the means over seeds.

    Example:
        >>> averaged([{"home": "a", "seed": 0, "drop": 0.1}, {"home": "a", "seed": 1, "drop": 0.3}])
        [{'home': 'a', 'drop': 0.2}]
    """
    found: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        found.setdefault(training(run), []).append(run)
    return [
        {name: value for name, value in same[0].items() if name in TRAINING}
        | {
            name: sum(run[name] for run in same) / len(same)
            for name, value in same[0].items()
            if isinstance(value, float)
        }
        for same in found.values()
    ]


def training(run: Run) -> tuple[Any, ...]:
    """Return what trained a network, but its seed."""
    return tuple(run[name] for name in TRAINING if name in run)


def correlation(
    first: Sequence[float], second: Sequence[float], *, groups: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Return Spearman's correlation with its interval over resampled pairs.

    Args:
        first: Numbers.
        second: As many.
        groups: Of every pair, what it is drawn with; each is drawn alone by default.

    Example:
        >>> correlation([1, 2, 3, 4, 5], [2, 3, 5, 8, 9])["spearman"]
        1.0
    """
    pairs = torch.tensor([first, second], dtype=torch.float64).T
    members: dict[Any, list[int]] = {}
    for index in range(len(pairs)):
        members.setdefault(index if groups is None else groups[index], []).append(index)
    together = list(members.values())
    draws = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(RESAMPLED):
        chosen = torch.randint(len(members), (len(members),), generator=draws).tolist()
        some = pairs[[index for which in chosen for index in together[which]]]
        if all(len(column.unique()) > 1 for column in some.T):
            drawn.append(float(spearmanr(*some.T.tolist()).statistic))
    low, high = torch.tensor(drawn, dtype=torch.float64).quantile(
        torch.tensor([0.025, 0.975]).double()
    )
    whole = float(spearmanr(first, second).statistic)
    return {
        "spearman": round(whole, 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "networks": len(pairs),
    }


def key(run: Run) -> str:
    """Return what a run is known by."""
    return " | ".join(str(run[name]) for name in ("home", "seed", "architecture", "arm"))


def load(runs: Path) -> list[Run]:
    """Return the runs that are there."""
    if not runs.exists():
        return []
    return [json.loads(line) for line in runs.read_text().splitlines()]


def _read(options: argparse.Namespace) -> Samples:
    index, size = Path(options.index), options.size
    if options.task == "classes":
        samples = read_classes(index, size, leave_out=options.leave_out)
    else:
        samples = read_masks(index, size, classes=options.classes)
    return samples.of(options.domains) if options.domains else samples


def _recoloured(training: Tensor, seed: int) -> StyleTransfer:
    stylizer = create_stylizer("colorist")
    bank = bank_of(jittered(training, seed), stylizer)
    return StyleTransfer(stylizer, styles=bank, p=0.5, seed=seed)


def _show(rows: Sequence[dict[str, Any]]) -> None:
    homes = [name for name in rows[0] if name not in ("predictor", "mean")]
    table = Table("predictor", *homes, "mean")
    for row in rows:
        cells = [
            f"{row[h]['spearman']:.2f} ({row[h]['low']:.2f} to {row[h]['high']:.2f})" for h in homes
        ]
        table.add_row(row["predictor"], *cells, f"{row['mean']:.2f}")
    Console(width=140).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=list(ARCHITECTURES))
    parser.add_argument("--index", required=True, help="CSV: image, domain, and label or mask")
    parser.add_argument("--homes", nargs="+", required=True, help="laboratories to train on")
    parser.add_argument("--domains", nargs="+", help="laboratories that take part")
    parser.add_argument("--classes", nargs="+", default=["background", "nucleus"])
    parser.add_argument("--leave-out", nargs="+", default=[], help="labels that take no part")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("-o", "--out", default="audit.jsonl")
    parser.add_argument("--record", help="name of the record; without, none is written")
    add_device(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
