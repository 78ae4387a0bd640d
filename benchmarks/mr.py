"""How near stylizers come to a known answer on the MR that nibabel and pydicom carry.

``python -m benchmarks.mr`` makes pairs as `benchmarks.truth` does, content = F(slice), style =
G(another slice), truth = G(slice), from `FILES`, which are few and small. F and G are scanners:
gamma, tone curve and sharpness, the same for all slices of a volume, and a gain. Content, style and
truth are scaled by the percentiles of their volumes, as the files are read.

* mr: as said;
* mr, bias field: F and G have a bias field each;
* psnr in units of the scanner: of leaving the content as it is where nothing is scaled, so that the
  gain is left; and where it is scaled.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.answers import Case, Change, distinct_crops
from benchmarks.record import add_device, write_record
from benchmarks.truth import LEARNED, measure, own_painters, psnr, tabulate
from styleaug.appearance import Appearance, AppearanceParams, change_appearance
from styleaug.images import open_image
from styleaug.images.volume import PERCENTILES

FILES = {
    "nibabel, example4d.nii.gz": ("nibabel", "tests/data/example4d.nii.gz", range(5, 20, 3)),
    "nibabel, anatomical.nii": ("nibabel", "tests/data/anatomical.nii", range(2, 25, 5)),
    "pydicom, examples_overlay.dcm": ("pydicom", "data/test_files/examples_overlay.dcm", None),
    "pydicom, MR_small.dcm": ("pydicom", "data/test_files/MR_small.dcm", None),
}
"""Package, file and slices; a file of one slice gives two crops of it."""
LEAST = 128
"""Slices of a shorter side are scaled up to it."""
PLAIN, BIAS = "mr", "mr, bias field"
NAMES = ("appearance", "micro", "colorist", "reinhard", "mkl", "histogram")
ROWS = ("nothing", *NAMES, *(f"{name}, alpha .5" for name in LEARNED), "colorist, tissue-on-black")
TONES = ("gamma", "tone-curve", "point-spread", "sharpening")


def main() -> None:
    """Read the arguments, run, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1, help="pairs of scanners for every slice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="mr", help="of the record; empty for none")
    add_device(parser)
    options = parser.parse_args()
    volumes = {name: read_slices(*source) for name, source in FILES.items()}
    painters = own_painters(NAMES, None, options.device, ("tissue-on-black",))
    painters = {name: painters[name] for name in ROWS}
    cases = list(scanner_cases(volumes, options.draws, options.seed))
    rows = [row for number, case in enumerate(cases) for row in measure(case, painters, number)]
    groups = tabulate(rows)["groups"]
    results = {
        "cases": len(cases),
        "seed": options.seed,
        "slices": {name: len(slices) for name, slices in volumes.items()},
        "psnr of nothing": scaling(volumes, 8 * options.draws, options.seed),
        "groups": {name: table for name, table in groups.items() if name.startswith(PLAIN)},
    }
    print(json.dumps(results, indent=1))
    if options.name:
        print(write_record(options.name, results, device=options.device))


def read_slices(package: str, name: str, chosen: range | None) -> Tensor:
    """Return slices of a file that a package carries, ``(N, 3, H, W)``, scaled by percentiles."""
    volume = open_image(Path(str(files(package) / name)), window="percentile").images
    slices = volume.sliced().batch.expand(-1, 3, -1, -1)
    if chosen is None:
        return torch.cat(distinct_crops(slices[:1], np.random.default_rng(0)))
    slices = slices[list(chosen)]
    scale = max(1.0, LEAST / min(slices.shape[2:]))
    size = [round(scale * side) for side in slices.shape[2:]]
    return F.interpolate(slices, size, mode="bicubic", antialias=True).clamp(0, 1)


def scanner_cases(volumes: Mapping[str, Tensor], draws: int, seed: int) -> Iterator[Case]:
    """Yield the cases of every slice: styles of the same file and of another."""
    rng = np.random.default_rng(seed)
    for name, slices in volumes.items():
        others = [other for other in volumes if other != name]
        for index in range(draws * len(slices)):
            row, another = index % len(slices), volumes[others[int(rng.integers(len(others)))]]
            near = int(rng.integers(1, len(slices)) + row) % len(slices)
            far = int(rng.integers(len(another)))
            for kind in (PLAIN, BIAS):
                first, second = (draw_scanner(kind, rng) for _ in range(2))
                content = by_percentiles(first(slices))[row, None]
                truth = by_percentiles(second(slices))
                yield Case(kind, "same", content, truth[near, None], truth[row, None])
                style = by_percentiles(second(another))[far, None]
                yield Case(kind, "another", content, style, truth[row, None])


def scaling(volumes: Mapping[str, Tensor], draws: int, seed: int) -> dict[str, float]:
    """Return how near two scans are as they come, and scaled by percentiles: PSNR, dB."""
    rng = np.random.default_rng(seed)
    raw, scaled = [], []
    for slices in volumes.values():
        for _ in range(draws):
            a, b = (draw_scanner(PLAIN, rng)(slices) for _ in range(2))
            raw.append(psnr(a, b))
            scaled.append(psnr(by_percentiles(a), by_percentiles(b)))
    return {
        "in units of the scanner": round(float(np.mean(raw)), 2),
        "scaled by percentiles": round(float(np.mean(scaled)), 2),
    }


def draw_scanner(kind: str, rng: np.random.Generator) -> Change:
    """Return what a scanner does to the slices of a volume.

    Tones and bias field are drawn from ranges 1.6 to 2 times as wide as the usual ones, the gain
    from 0.4 to 1.
    """
    values = _wide("xray", 0.6, TONES, rng)
    if kind == BIAS:
        values |= _wide("photograph", 1.0, ("illumination",), rng)
    gain = float(rng.uniform(0.4, 1.0))

    def change(slices: Tensor) -> Tensor:
        rows = {name: value * len(slices) for name, value in values.items()}
        return gain * change_appearance(slices, AppearanceParams(rows))

    return change


def by_percentiles(slices: Tensor) -> Tensor:
    """Return slices whose percentiles over the whole volume are black and white."""
    low, high = np.percentile(slices.numpy(), PERCENTILES)
    return ((slices - float(low)) / float(high - low)).clamp(0, 1)


def _wide(
    kind: str, p: float, names: tuple[str, ...], rng: np.random.Generator
) -> dict[str, tuple[tuple[float, ...], ...]]:
    """Draw some effects of a kind of images, far from neutral."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    drawn = Appearance(kind, strength=(1.6, 2.0), p=p, image_p=1.0).draw_params(1, generator)
    return {name: drawn.values[name] for name in names}


if __name__ == "__main__":
    main()
