"""The study of contextual AdaIN on CT: segmentation across scanners, kernels and grey scales.

``python -m benchmarks.ct --index INDEX.csv`` trains a U-Net on the slices of one vendor and one
kind of reconstruction kernel and tests it on every other, as it is and with stylized training
slices. INDEX.csv has the columns ``image`` (a 16-bit file beside it), ``vendor``, ``kernel`` and
``patient``.

* Masks are made from the Hounsfield units: body, lung (under -400 HU inside the body) and bone
  (over 200 HU), after a blur of one pixel, so that noise of a sharp kernel is no bone. Gas of the
  bowel counts as lung, and a vessel full of contrast as bone. They are never stylized.
* The network sees windows: training slices ``--window``, unseen ones the same (the scanner differs
  alone) and ``--other-window`` (the grey scale, too, as in the paper).
* Styles are slices of half the patients of every unseen domain, without labels, in the window that
  is tested; the other half is tested on. No patient is on both sides of any split.
* Beside no augmentation: brightness and contrast at random (``jitter``), and changes of appearance
  of CT, kernels and windows, at random (``changes of appearance``). Neither sees unseen slices.
* ``--weights NAME=FILE`` brings weights: ``--weights contextual-adain=run/model.safetensors``;
  without, contextual-adain has its "ct". ``--no-detail`` builds stylizers with ``detail=False``.
  The record has both, and the `weights_id` of every stylizer. Runs are kept in a file and are not
  repeated, so that a slow stylizer may have fewer seeds than the others.

Xu, Li & Shin, HCIS 2020, Table 2: pixel accuracy and mean IoU of a U-Net, on spines of one
hospital.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.arms import Arm, bank_of
from benchmarks.built import build, named, weights_of
from benchmarks.domains import Samples
from benchmarks.learners import judge, train
from benchmarks.record import add_device, write_record
from styleaug import StyleTransfer, Stylizer
from styleaug.appearance import Appearance
from styleaug.images.window import CT_WINDOWS

CLASSES = ("outside", "body", "lung", "bone")
SHARP = r"BONE|LUNG|B[5-9]\d"
"""Kernels of Siemens and GE that keep edges and noise; the others are smooth."""
BODY, LUNG, BONE = -300.0, -400.0, 200.0
"""Hounsfield units where the body begins, under which lung is, and over which bone is."""
HELD = 0.2


@dataclass(frozen=True)
class Slices:
    """Slices of CT.

    Attributes:
        hounsfield: ``(N, S, S)``.
        masks: int64 ``(N, S, S)``, numbers of `CLASSES`.
        domains: Vendor and kind of kernel of every slice.
        patients: Patient of every slice.
    """

    hounsfield: Tensor
    masks: Tensor
    domains: tuple[str, ...]
    patients: tuple[str, ...]

    def take(self, rows: Sequence[int]) -> Slices:
        """Return some of the slices."""
        names = [tuple(of[row] for row in rows) for of in (self.domains, self.patients)]
        return Slices(self.hounsfield[list(rows)], self.masks[list(rows)], *names)

    def of(self, domain: str) -> Slices:
        """Return the slices of a domain."""
        return self.take([row for row, name in enumerate(self.domains) if name == domain])

    def split(self, share: float, seed: int) -> tuple[Slices, Slices]:
        """Return the slices of all patients but a share, and of that share."""
        names = sorted(set(self.patients))
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(names), generator=generator).tolist()
        held = {names[row] for row in order[: max(1, round(share * len(names)))]}
        rows = range(len(self.patients))
        return (
            self.take([row for row in rows if self.patients[row] not in held]),
            self.take([row for row in rows if self.patients[row] in held]),
        )

    def shown(self, window: str) -> Samples:
        """Return what a network sees of them."""
        low, high = CT_WINDOWS[window]
        grey = ((self.hounsfield - low) / (high - low)).clamp(0, 1)
        images = grey[:, None].expand(-1, 3, -1, -1).contiguous()
        return Samples(images, self.masks, self.domains, CLASSES)


def main() -> None:
    """Train and test every arm with every seed, print, and write the record."""
    options = _options()
    slices = read_slices(options.index, options.size, options.offset)
    painters = {
        name: build(name, options.weights, detail=options.detail) for name in options.stylizers
    }
    rows = _load(options.out)
    done = {(row["training"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for name, arm in {**plain_arms(options.p, seed), **painters}.items():
            if (name, seed) in done:
                continue
            row = {"training": name, "seed": seed, **run(slices, arm, seed, options)}
            rows.append(row)
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
    if not options.no_record:
        kept = ("source", "window", "other_window", "size", "steps", "seeds", "p")
        counts = {name: slices.domains.count(name) for name in dict.fromkeys(slices.domains)}
        settings = {key: getattr(options, key) for key in kept} | {"slices": counts}
        settings |= {"weights": named(options.weights), "detail": options.detail}
        table = {"table": mean_of(rows), "runs": rows}
        results = {"settings": settings, "weights": weights_of(painters), **table}
        print(write_record("ct", results, device=options.device))


def _load(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def plain_arms(p: float, seed: int) -> dict[str, Arm]:
    """Return the arms that see no unseen slice: none, and two that others and we offer.

    Args:
        p: Share of the training slices that are changed.
        seed: Of the draws of ours; jitter draws from PyTorch's generator.
    """
    jitter = v2.ColorJitter(brightness=0.5, contrast=0.5)
    changes = Appearance("ct", strength=(0.0, 1.0), p=p, image_p=1.0, seed=seed)
    return {
        "none": Arm(),
        "jitter": Arm(lambda images: torch.stack([_sometimes(jitter, x, p) for x in images])),
        "changes of appearance": Arm(changes),
    }


def _sometimes(change: Callable[[Tensor], Tensor], image: Tensor, p: float) -> Tensor:
    return change(image) if float(torch.rand(())) < p else image


def run(
    slices: Slices, trained: Arm | Stylizer, seed: int, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Return accuracy and mean IoU at home and on unseen domains, in both windows.

    A network is trained once, one with styles once per tested window, from which they are taken.
    """
    training, held = slices.of(options.source).split(HELD, 0)
    unseen = [name for name in dict.fromkeys(slices.domains) if name != options.source]
    halves = {name: slices.of(name).split(0.5, 0) for name in unseen}
    found: dict[str, dict[str, float]] = {}
    net = None
    windows = {"other scanner": options.window, "and window": options.other_window}
    for label, window in windows.items():
        if net is None or isinstance(trained, Stylizer):
            styles = [donors.shown(window) for donors, _ in halves.values()]
            arm = trained if isinstance(trained, Arm) else _arm(trained, styles, options, seed)
            net = train(training.shown(options.window), arm, options.steps, seed, options.device)
        parts = [judge(net, part.shown(window), options.device) for _, part in halves.values()]
        home = judge(net, held.shown(options.window), options.device)
        found[label] = _mean(parts) | {f"{key} at home": home[key] for key in _mean(parts)}
    return found


def mean_of(rows: Sequence[Mapping[str, object]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the means over seeds by training and by what was tested."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for name in dict.fromkeys(str(row["training"]) for row in rows):
        runs = [row for row in rows if row["training"] == name]
        labels = [key for key, value in runs[0].items() if isinstance(value, Mapping)]
        table[name] = {
            label: {
                key: round(float(np.mean([run[label][key] for run in runs])), 4)
                for key in runs[0][label]
            }
            for label in labels
        }
    return table


def read_slices(index: Path, size: int, offset: float) -> Slices:
    """Read slices of 16 bits whose values and ``offset`` make Hounsfield units, and their masks."""
    with index.open(newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = [_read(index.parent / row["image"], size, offset) for row in rows]
    grey, masks = (torch.stack(part) for part in zip(*pairs, strict=True))
    kinds = ["sharp" if re.search(SHARP, row["kernel"]) else "smooth" for row in rows]
    domains = tuple(f"{row['vendor']} {kind}" for row, kind in zip(rows, kinds, strict=True))
    return Slices(grey, masks, domains, tuple(row["patient"] for row in rows))


def tissue(hounsfield: np.ndarray) -> np.ndarray:
    """Return the numbers of `CLASSES` of a slice, uint8 ``(H, W)``.

    The body is the largest piece over `BODY`, with all that it encloses.
    """
    smooth = ndimage.gaussian_filter(hounsfield.astype(np.float32), 1.0)
    pieces, count = ndimage.label(smooth > BODY)
    if count == 0:
        return np.zeros(hounsfield.shape, np.uint8)
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    inside = ndimage.binary_fill_holes(pieces == largest)
    lung, bone = inside & (smooth < LUNG), inside & (smooth > BONE)
    return inside.astype(np.uint8) + lung + np.uint8(2) * bone


def _read(path: Path, size: int, offset: float) -> tuple[Tensor, Tensor]:
    with Image.open(path) as picture:
        values = np.asarray(picture).astype(np.float32) + offset
    mask = Image.fromarray(tissue(values)).resize((size, size), Image.Resampling.NEAREST)
    small = Image.fromarray(values, mode="F").resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)), torch.from_numpy(np.array(mask)).long()


def _arm(stylizer: Stylizer, styles: list[Samples], options: argparse.Namespace, seed: int) -> Arm:
    bank = bank_of(torch.cat([part.images for part in styles]), stylizer)
    return Arm(StyleTransfer(stylizer, styles=bank, p=options.p, seed=seed))


def _mean(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    keys = ("pixel accuracy", "miou")
    return {key: float(np.mean([part[key] for part in parts])) for key in keys}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--index", type=Path, required=True, help="CSV: image, vendor, kernel, patient")
    add("--source", default="siemens smooth", help='vendor, and "smooth" or "sharp"')
    add("--window", default="bone", choices=list(CT_WINDOWS), help="of training")
    add("--other-window", default="soft", choices=list(CT_WINDOWS), help="of testing")
    add("--offset", type=float, default=-1024.0, help="from values to Hounsfield units")
    add("--stylizers", nargs="*", default=["colorist", "appearance", "contextual-adain"])
    add("--weights", nargs="*", default=["contextual-adain=ct"], metavar="NAME=FILE")
    add("--no-detail", dest="detail", action="store_false", help="stylize with detail=False")
    add("--p", type=float, default=0.5, help="share of stylized training slices")
    add("--size", type=int, default=128)
    add("--steps", type=int, default=400)
    add("--seeds", type=int, default=2)
    add("-o", "--out", type=Path, default=Path("ct.jsonl"), help="runs, which are not repeated")
    add("--no-record", action="store_true")
    add_device(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
