"""Pictures of a training run: ``python -m benchmarks.trained rast run/ --images held/ -o out``.

Writes ``out/rast.jpg``, a contact sheet of one content per folder of ``--images`` in the style of
one other image of each, and ``out/rast-losses.svg``, the losses of the run. Several runs that
continue each other may be given in their order.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
from PIL import Image

from benchmarks.record import add_device
from styleaug import create_stylizer
from styleaug.evaluation.scores import read_sized
from styleaug.images import contact_sheet, find_images, to_picture

SMOOTH = 10


def main() -> None:
    """Write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stylizer")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--images", required=True, type=Path, help="folders of held-out images")
    parser.add_argument("--kinds", nargs="+", help="folders to take, in this order")
    parser.add_argument("--weights", help="name or file; without, those of the last run")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("-o", "--out", type=Path, default=Path())
    add_device(parser)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sheet(options).save(options.out / f"{options.stylizer}.jpg", quality=90)
    curves(options.runs, options.out / f"{options.stylizer}-losses.svg")


def sheet(options: argparse.Namespace) -> Image.Image:
    """Return contents (rows) in styles (columns)."""
    weights = options.weights or options.runs[-1] / "model.safetensors"
    stylizer = create_stylizer(options.stylizer, weights=weights)
    stylizer = stylizer.to(options.device)
    stylizer.style_size = options.size
    kinds = options.kinds or sorted(path.name for path in options.images.iterdir())
    files = [find_images([options.images / kind]) for kind in kinds]
    contents = [_square(found[0], options.size) for found in files]
    styles = [_square(found[-1], options.size) for found in files]
    rows = [[None, *(to_picture(style[0]) for style in styles)]]
    for content in contents:
        given = content.to(options.device)
        codes = [stylizer.encode_style(style.to(options.device)) for style in styles]
        painted = [stylizer.stylize(given, code).cpu() for code in codes]
        rows.append([to_picture(image[0]) for image in (content, *painted)])
    return contact_sheet(rows, ["", *kinds], ["content \\ style", *kinds], cell=options.size)


def curves(runs: list[Path], path: Path) -> None:
    """Draw the losses of runs, medians of ten entries, each in units of its first value."""
    entries, start = [], 0.0
    for run in runs:
        found = json.loads((run / "history.json").read_text())
        entries += [{**entry, "step": entry["step"] + start} for entry in found]
        start = entries[-1]["step"]
    names = [name for name in entries[-1] if name not in ("step", "total")]
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    colors = plt.get_cmap("tab20").colors
    axes.set_prop_cycle(color=colors[::2] + colors[1::2])
    for name in names:
        pairs = [(entry["step"], entry[name]) for entry in entries if name in entry]
        steps, values = zip(*pairs, strict=True)
        smooth = [median(values[max(0, i - SMOOTH) : i + 1]) for i in range(len(values))]
        axes.plot(steps, [value / max(abs(smooth[0]), 1e-9) for value in smooth], label=name)
    axes.set(xlabel="step", ylabel="loss / first loss", yscale="log")
    axes.grid(alpha=0.3)
    figure.legend(fontsize=7, loc="outside right upper")
    figure.savefig(path)


def _square(path: Path, size: int):
    image = read_sized(path, 2 * size)
    top, left = ((side - size) // 2 for side in image.shape[2:])
    return image[..., max(top, 0) :, max(left, 0) :][..., :size, :size]


if __name__ == "__main__":
    main()
