"""Do two pictures that were made alike have near codes, whatever they show?

``python -m benchmarks.codes --images DIR`` reads one subfolder of DIR per kind of image. Of every
kind, 32 appearances are drawn, which are new to training in part only (see
`benchmarks.answers.draw_change`); each is shown by one crop, and by another crop of another image
of the kind (where there is only one, of the same). For each first picture the nearest of the 32
second ones is looked for.

* retrieval: share of the first pictures whose nearest second one was made alike (chance 0.03);
* ratio: mean distance of pictures made alike, as a share of that of the others.

Compared: the code of the stylizer "appearance", means and deviations of L*a*b* (what banks use
unless told otherwise), histograms of R, G and B, and for X-rays StyleX.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.answers import distinct_crops, draw_change, kind_of
from benchmarks.domains import read_content
from benchmarks.record import add_device, write_record
from styleaug import create_stylizer
from styleaug.images import rgb_to_lab
from styleaug.stylex import StyleX

COUNT = 32
Describe = Callable[[Tensor], Tensor]


def main() -> None:
    """Read the arguments, run, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="a subfolder per kind")
    parser.add_argument("--weights", help="other weights of appearance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-record", action="store_true")
    add_device(parser)
    options = parser.parse_args()
    describes = descriptions(options.weights, options.device)
    results: dict[str, object] = {"appearances of each kind": COUNT, "seed": options.seed}
    for folder in sorted(path for path in options.images.iterdir() if path.is_dir()):
        first, second = pictures(folder, np.random.default_rng(options.seed))
        names = [n for n in describes if n != "StyleX" or kind_of(folder.name) == "xray"]
        found = {name: measure(first, second, describes[name]) for name in names}
        results[folder.name] = found
        print(folder.name, found, flush=True)
    if not options.no_record:
        print(write_record("codes", results, device=options.device))


def descriptions(weights: str | None, device: str = "cpu") -> Mapping[str, Describe]:
    """Return what turns an image ``(1, 3, H, W)`` into a vector ``(1, K)``."""
    stylizer = create_stylizer("appearance", weights=weights).to(device)
    stylex = StyleX().to(device)
    describes = {
        "appearance": stylizer.describe,
        "Lab moments": _lab_moments,
        "histograms": _histograms,
        "StyleX": stylex.embed,
    }
    return {name: placed(describe, device) for name, describe in describes.items()}


def placed(describe: Describe, device: str) -> Describe:
    """Return a function of images that works on a device, and gives the CPU what it finds."""
    return lambda images: describe(images.to(device)).cpu()


def pictures(folder: Path, rng: np.random.Generator) -> tuple[list[Tensor], list[Tensor]]:
    """Return two lists of pictures; those of one place were made alike."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    first, second = [], []
    for _ in range(COUNT):
        change = draw_change(kind_of(folder.name), rng)
        a, b = (files[int(i)] for i in rng.permutation(len(files))[[0, -1]])
        crop, other = distinct_crops(read_content(a), rng)
        if a != b:
            other = distinct_crops(read_content(b), rng)[1]
        first.append(change(crop))
        second.append(change(other))
    return first, second


def measure(first: list[Tensor], second: list[Tensor], describe: Describe) -> dict[str, float]:
    """Return how often the picture that was made alike is the nearest, and how near it is."""
    with torch.no_grad():
        a, b = (torch.cat([describe(p) for p in some]).double() for some in (first, second))
    scale = torch.cat([a, b]).std(dim=0).clamp_min(1e-6)
    distances = torch.cdist(a / scale, b / scale)
    alike = distances.diagonal().mean()
    others = (distances.sum() - distances.diagonal().sum()) / (len(a) * (len(a) - 1))
    hits = distances.argmin(dim=1) == torch.arange(len(a))
    return {
        "retrieval": round(float(hits.double().mean()), 3),
        "ratio": round(float(alike / others), 3),
    }


def _lab_moments(image: Tensor) -> Tensor:
    lab = rgb_to_lab(image).flatten(2)
    return torch.cat([lab.mean(dim=2), lab.std(dim=2)], dim=1)


def _histograms(image: Tensor) -> Tensor:
    counts = [torch.histc(channel, 16, 0.0, 1.0) / channel.numel() for channel in image[0]]
    return torch.cat(counts)[None]


if __name__ == "__main__":
    main()
