"""How long ``styleaug stylize`` takes for a folder: ``python -m benchmarks.folders``.

Reading and writing overlap with the stylizer, so a run should take little longer than the slower of
the two alone: ``files`` reads and writes the tiles by as many threads, ``stylizer`` paints the same
tiles in memory, ``command`` does both; in turns, and ``over the slower`` is the ratio of medians.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    parser.add_argument("--stylizers", nargs="+", default=["colorist", "reinhard", "appearance"])
    parser.add_argument("--no-record", action="store_true")
    add_device(parser)
    options = parser.parse_args()
    results: dict[str, object] = {"tiles": options.tiles, "workers": options.workers}
    with tempfile.TemporaryDirectory() as folder:
        tiles = write_tiles(Path(folder) / "tiles", options.tiles)
        for name in options.stylizers:
            runs = runs_of(name, tiles, options)
            times = time_in_turns(runs, repeats=options.repeats, warm_up=1, device=options.device)
            slower = max(times[part]["median"] for part in ("files", "stylizer"))
            ratio = round(times["command"]["median"] / slower, 2)
            results[name] = {"ms": times, "over the slower": ratio}
            print(name, json.dumps(results[name]), flush=True)
    if not options.no_record:
        print(write_record("folders", results, device=options.device))


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

    def copy(path: Path) -> None:
        file = read_image(path)
        write_image(out / path.name, file.pixels, file)

    def files() -> None:
        with ThreadPoolExecutor(options.workers) as pool:
            list(pool.map(copy, tiles))

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
