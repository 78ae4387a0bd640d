"""``styleaug bank``: encode style images once and save them."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from styleaug.commands.jobs import check_no_input
from styleaug.commands.messages import say
from styleaug.commands.options import parse_slices, parse_window, pick_device, progress_bar
from styleaug.commands.painting import encode_styles, name_others
from styleaug.images.files import find_images
from styleaug.styles.medoids import find_medoids
from styleaug.stylizers import create_stylizer


def run_bank(options: argparse.Namespace, console: Console) -> int:
    """Write the bank; returns the exit status: 1 if a file could not be read."""
    out = Path(options.output)
    if out.suffix != ".safetensors":
        raise ValueError(f"--output must be a .safetensors file, got {options.output!r}.")
    window = parse_window(options.bits, options.window)
    slices = parse_slices(options.slices)
    files = find_images(options.style)
    check_no_input([out], [*files, *([Path(options.weights)] if options.weights else [])])
    if out.exists() and not options.overwrite:
        raise FileExistsError(f"{options.output!r} exists. Pass --overwrite to replace it.")
    name_others(console, options.style)
    if options.count is not None and not 1 <= options.count <= len(files):
        raise ValueError(f"--count must be between 1 and {len(files)}, got {options.count}.")
    stylizer = create_stylizer(
        options.stylizer,
        weights=options.weights,
        precision=options.precision,
        region=options.region,
    ).to(pick_device(options.device))
    with progress_bar(console) as progress:
        task = progress.add_task("styles", total=len(files))
        bank, broken = encode_styles(
            files, stylizer, console, lambda n: progress.advance(task, n), window, slices
        )
    if options.count is not None and bank.statistics is not None:
        bank = bank[find_medoids(bank.statistics, min(options.count, len(bank)))]
    out.parent.mkdir(parents=True, exist_ok=True)
    bank.save(out)
    say(console, f"{len(bank)} styles, written to {out.resolve()}")
    return 1 if broken else 0
