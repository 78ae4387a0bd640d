"""Memory and speed of whole slides: pyramids of 1 and 4 gigapixels, painted by the command line.

``python -m benchmarks.slides FOLDER`` writes tiled, pyramidal slides into FOLDER, which needs 3 GB
of free disk per gigapixel, from tiles made of the images that ship with the package, streaming.
Each is painted to an OME-TIFF by ``styleaug stylize`` in a process of its own.

* peak_gb: the greatest resident memory (VmHWM) of the process and its children, added up; it must
  stay below `BOUND_GB`, or the benchmark fails;
* seconds, megapixels_per_s: wall time of the command, its start included;
* cpu_seconds: what its threads worked, which a busy machine does not lengthen as much;
* resumed: whether a run that was stopped half-way and started again wrote the bytes of one that was
  not.

Everything that was written is removed again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image

from benchmarks.record import add_device, write_record
from styleaug.samples import sample_images
from styleaug.slides.codec import encode_tile, page_options

BOUND_GB = 2.0
TILE = 512
GLASS = (244, 242, 245)
KINDS = 48
"""How many different tiles a slide is made of."""
DISK_PER_GIGAPIXEL = 3.0e9
EVERY = 0.2


def main() -> None:
    """Write the slides, paint them, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where slides are written, and removed again")
    parser.add_argument(
        "--runs", nargs="*", default=["colorist:1", "colorist:4", "appearance:1"],
        help="stylizers and gigapixels (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--compression", choices=("jpeg", "deflate"), default="jpeg")
    parser.add_argument("--resume", type=float, default=0.1, help="gigapixels; 0: no check")
    parser.add_argument("--name", default="slides", help="of the record; empty for none")
    add_device(parser)
    options = parser.parse_args()
    runs = [(name, float(size)) for name, _, size in (run.partition(":") for run in options.runs)]
    options.folder.mkdir(parents=True, exist_ok=True)
    check_disk(options.folder, max([options.resume, *(size for _, size in runs)]))
    figures: dict[str, Mapping[str, float]] = {}
    results: dict[str, object] = {"workers": options.workers, "compression": options.compression}
    results |= {"bound_gb": BOUND_GB, "runs": figures}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if options.resume:
            slide = write_slide(folder / "resume.tiff", options.resume)
            results["resumed"] = resumes(slide, runs[0][0], options)
            slide.unlink()
        for stylizer, size in runs:
            slide = write_slide(folder / "slide.tiff", size)
            figures[f"{stylizer}, {size:g} gigapixels"] = painted(slide, stylizer, options)
            slide.unlink()
            print(json.dumps(results, indent=1), flush=True)
            if options.name:  # as it goes: a run takes its time
                write_record(options.name, results, device=options.device)
    over = [run for run, found in figures.items() if found["peak_gb"] > BOUND_GB]
    if over or not results.get("resumed", True):
        raise SystemExit(f"more than {BOUND_GB} GB: {over}; resumed: {results.get('resumed')}")


def check_disk(folder: Path, gigapixels: float) -> None:
    """Raise ``SystemExit`` unless the folder has room for a slide, its tiles and its output."""
    free, needed = shutil.disk_usage(folder).free, DISK_PER_GIGAPIXEL * gigapixels
    if free < needed:
        raise SystemExit(f"{folder} must have {needed / 1e9:.0f} GB free, it has {free / 1e9:.0f}.")


def write_slide(path: Path, gigapixels: float) -> Path:
    """Write a pyramid of about so many pixels, a tile in memory at a time, four-fold smaller."""
    tiles = tissue_tiles()
    across = max(4, round(gigapixels**0.5 * 1e9**0.5 / TILE))
    sides = [across]
    while sides[-1] > 4:
        sides.append(-(-sides[-1] // 4))
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level, side in enumerate(sides):
            file.write(
                level_tiles(tiles, across, level, side),
                shape=(side * TILE, side * TILE, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                subifds=len(sides) - 1 if level == 0 else None,
                subfiletype=int(level > 0),
                metadata=None,
                **page_options("jpeg"),
            )
    return path


def tissue_tiles() -> np.ndarray:
    """Return tiles of stained tissue in several brightnesses, and last one of glass."""
    nuclei = [path for path in sample_images() if path.stem.startswith("nuclei")]
    images = [np.asarray(Image.open(path).convert("RGB").resize((TILE, TILE))) for path in nuclei]
    rng = np.random.default_rng(0)
    tiles = []
    for index in range(KINDS):
        turned = np.rot90(images[index % len(images)], index // len(images) % 4)
        moved = np.roll(turned, rng.integers(TILE, size=2), (0, 1)).astype(np.float32)
        noisy = moved * rng.uniform(0.85, 1.1) + rng.normal(0.0, 2.0, moved.shape)
        tiles.append(noisy.round().clip(0, 255).astype(np.uint8))
    glass = np.array(GLASS) + rng.normal(0.0, 1.0, (TILE, TILE, 3))
    return np.stack([*tiles, glass.round().clip(0, 255).astype(np.uint8)])


def level_tiles(tiles: np.ndarray, across: int, level: int, side: int) -> Iterator[bytes]:
    """Yield the compressed tiles of a level, row by row."""
    scale = 4**level
    step = min(scale, TILE)
    small = tiles[:, step // 2 :: step, step // 2 :: step]
    if level == 0:
        ready = [encode_tile(tile, TILE, "jpeg") for tile in tiles]
        yield from (ready[which(y, x, across)] for y, x in product(range(side), repeat=2))
        return
    each = TILE // small.shape[1]
    for y, x in product(range(side), repeat=2):
        rows = [
            np.concatenate(
                [small[which(y * each + i, x * each + j, across)] for j in range(each)], axis=1
            )
            for i in range(each)
        ]
        yield encode_tile(np.concatenate(rows), TILE, "jpeg")


def which(row: int, column: int, across: int) -> int:
    """Return which tile lies somewhere on the finest level: tissue in a disc, glass around it."""
    away = ((row / across - 0.5) ** 2 + (column / across - 0.5) ** 2) ** 0.5
    return KINDS if away > 0.42 else (row * 31 + column * 7) % KINDS


def command(slide: Path, output: Path, stylizer: str, options: argparse.Namespace) -> list[str]:
    """Return the command line that paints a slide in the style of a sample."""
    style = next(path for path in sample_images() if path.stem == "nuclei-pink")
    return [
        *(sys.executable, "-m", "styleaug", "stylize", str(slide), "--style", str(style)),
        *("--stylizer", stylizer, "--compression", options.compression),
        *("--workers", str(options.workers), "--device", options.device, "-o", str(output)),
    ]


def painted(slide: Path, stylizer: str, options: argparse.Namespace) -> Mapping[str, float]:
    """Return the memory, time and pixels of one run; the output is removed again."""
    output = slide.with_name(f"{slide.stem}-{stylizer}.ome.tiff")
    started, busy, peaks = time.perf_counter(), worked(), dict[int, int]()
    with subprocess.Popen(command(slide, output, stylizer, options), env=environment()) as run:
        while run.poll() is None:
            peaks |= peaks_of(run.pid)
            time.sleep(EVERY)
    if run.returncode:
        raise SystemExit(f"{stylizer} on {slide.name} ended with {run.returncode}")
    seconds = time.perf_counter() - started
    with tifffile.TiffFile(output) as file:
        levels = file.series[0].levels
        pixels, count = levels[0].shape[0] * levels[0].shape[1], len(levels)
    size = output.stat().st_size
    output.unlink()
    return {
        "pixels": pixels,
        "levels": count,
        "peak_gb": round(sum(peaks.values()) / 1e9, 3),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(worked() - busy, 1),
        "megapixels_per_s": round(pixels / seconds / 1e6, 2),
        "output_gb": round(size / 1e9, 3),
    }


def resumes(slide: Path, stylizer: str, options: argparse.Namespace) -> bool:
    """Return whether a run that is stopped half-way and begun again writes the same bytes."""
    whole, twice = slide.with_name("whole.ome.tiff"), slide.with_name("twice.ome.tiff")
    subprocess.run(command(slide, whole, stylizer, options), env=environment(), check=True)
    finest = twice.with_name(twice.name + ".tiles") / "0"
    with tifffile.TiffFile(whole) as file:
        half = len(file.pages.first.dataoffsets) // 2
    with subprocess.Popen(command(slide, twice, stylizer, options), env=environment()) as run:
        while run.poll() is None and not (finest.exists() and len(list(finest.iterdir())) >= half):
            time.sleep(EVERY)
        run.send_signal(signal.SIGTERM)
    stopped = not twice.exists() and finest.exists()
    subprocess.run(command(slide, twice, stylizer, options), env=environment(), check=True)
    same = digest(whole) == digest(twice)
    whole.unlink()
    twice.unlink()
    return stopped and same


def environment() -> dict[str, str]:
    """Return the environment of a run: the tree and the threads of this one."""
    tree = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": tree, "OMP_NUM_THREADS": str(torch.get_num_threads())}


def worked() -> float:
    """Return the CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peaks_of(pid: int) -> dict[int, int]:
    """Return the greatest resident memory so far of a process and of its children, in bytes."""
    found: dict[int, int] = {}
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        peak = next((line for line in lines if line.startswith("VmHWM:")), None)
        if peak is not None:
            found[pid] = 1024 * int(peak.split()[1])
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= peaks_of(int(child))
    except OSError:  # it has ended meanwhile
        pass
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
