"""How long ``styleaug stylize`` takes for a folder: ``python -m benchmarks.folders``.

Reading and writing overlap with the stylizer, so a run should take little longer than the slower of
the two alone: ``files`` reads tiles and writes painted ones by as many threads, ``stylizer`` paints
the tiles in memory, ``command`` does both; in turns. ``over the slower`` is the ratio of medians.
Where both keep all cores busy, no program can reach that: ``over the cores`` is the ratio to the
seconds that the cores worked for both, shared out evenly, or to the slower where that is more.

``OMP_WAIT_POLICY=PASSIVE`` is set, as by the command; ``ACTIVE`` shows what that saves.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.record import add_device, time_in_turns, write_record
from styleaug import StyleTransfer
from styleaug.cli import main as styleaug
from styleaug.images import read_image, write_image
from styleaug.samples import sample_images

SIDE, BATCH = 256, 8


def main() -> None:
    """Time and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--stylizers", nargs="+", default=["colorist", "appearance", "micro"])
    parser.add_argument("--no-record", action="store_true")
    add_device(parser)
    options = parser.parse_args()
    results: dict[str, object] = {"tiles": options.tiles, "workers": options.workers}
    with tempfile.TemporaryDirectory() as folder:
        tiles = write_tiles(Path(folder) / "tiles", options.tiles)
        for name in options.stylizers:
            runs = runs_of(name, tiles, options)
            times = time_in_turns(runs, repeats=options.repeats, warm_up=1, device=options.device)
            results[name] = {"ms": times, **ratios(times, runs)}
            print(name, json.dumps(results[name]), flush=True)
    if not options.no_record:
        print(write_record("folders", results, device=options.device))


def ratios(
    times: Mapping[str, Mapping[str, float]], runs: Mapping[str, Callable[[], object]]
) -> dict[str, float]:
    """Return how much longer the command took than its slower part, and than the cores needed."""
    parts = ("files", "stylizer")
    slower = max(times[part]["median"] for part in parts)
    work = sum(work_of(runs[part]) for part in parts) * 1e3
    least = max(slower, work / (os.cpu_count() or 1))
    whole = times["command"]["median"]
    return {
        "ms of work": round(work, 1),
        "over the slower": round(whole / slower, 2),
        "over the cores": round(whole / least, 2),
    }


def work_of(run: Callable[[], object]) -> float:
    """Return how many seconds the cores worked for one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def write_tiles(folder: Path, count: int) -> list[Path]:
    """Write crops of the sample images, each with its own noise, as PNG."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = [np.asarray(read_image(path).pixels)[..., :3] for path in sample_images()]
    paths = [folder / f"{number:04d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        image = images[number % len(images)]
        times = [-(-SIDE // side) for side in image.shape[:2]]
        tile = np.tile(image, (*times, 1))[:SIDE, :SIDE].astype(np.int16)
        noisy = tile + rng.integers(-4, 5, tile.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return paths


def runs_of(
    name: str, tiles: list[Path], options: argparse.Namespace
) -> dict[str, Callable[[], object]]:
    """Return the folder's files alone, its painting alone, and the command."""
    styles, out = sample_images(), tiles[0].parent.parent / "out"
    transform = StyleTransfer(name, styles=styles, p=1.0, device=options.device)
    pixels = np.stack([read_image(path).pixels for path in tiles[:BATCH]])
    batches = [torch.from_numpy(pixels).permute(0, 3, 1, 2)] * (len(tiles) // BATCH)

    painted = cycle(np.ascontiguousarray(transform(batches[0]).permute(0, 2, 3, 1).numpy()))

    def copy(path: Path, pixels: np.ndarray) -> None:
        write_image(out / path.name, pixels, read_image(path))

    def files() -> None:
        with ThreadPoolExecutor(options.workers) as pool:
            list(pool.map(copy, tiles, islice(painted, len(tiles))))

    def paint() -> None:
        for batch in batches:
            transform(batch)

    def command() -> None:
        arguments = ["stylize", str(tiles[0].parent), "--style", *map(str, styles)]
        arguments += ["--stylizer", name, "-o", str(out), "--workers", str(options.workers)]
        arguments += ["--device", options.device, "--overwrite"]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if styleaug(arguments):
                raise RuntimeError("styleaug stylize must succeed")

    out.mkdir(exist_ok=True)
    return {"files": files, "stylizer": paint, "command": command}


if __name__ == "__main__":
    main()
