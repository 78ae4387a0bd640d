"""``styleaug export``: a stylizer as one file for deployment."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from styleaug._checks import check_choice
from styleaug.commands.jobs import check_no_input
from styleaug.commands.messages import say
from styleaug.commands.painting import encode_styles, name_others
from styleaug.export import SUFFIXES, export_stylizer
from styleaug.images.files import find_images
from styleaug.styles.bank import StyleBank
from styleaug.stylizers import DEFAULT_STYLIZER, create_stylizer


def run_export(options: argparse.Namespace, console: Console) -> int:
    """Write program and styles; returns the exit status: 1 if a style could not be read."""
    out = Path(options.output)
    check_choice("--output", out.suffix, SUFFIXES)
    targets = (out, out.with_suffix(".npz"))
    saved = [Path(style) for style in options.style if style.endswith(".safetensors")]
    if saved and len(options.style) > 1:
        raise ValueError(f"--style must be one bank or images, got {options.style}.")
    files = saved or find_images(options.style)
    check_no_input(targets, [*files, *([Path(options.weights)] if options.weights else [])])
    for target in targets:
        if target.exists() and not options.overwrite:
            raise FileExistsError(f"{str(target)!r} exists. Pass --overwrite to replace it.")
    bank = StyleBank.load(saved[0]) if saved else None
    name = options.stylizer or (bank.code.stylizer if bank else DEFAULT_STYLIZER)
    region = bank.code.region if bank and name == bank.code.stylizer else None
    stylizer = create_stylizer(name, weights=options.weights, region=region).freeze()
    broken: list[Path] = []
    if bank is None:
        name_others(console, options.style)
        bank, broken = encode_styles(files, stylizer, console, lambda n: None)
    program, styles = export_stylizer(stylizer, bank, out)
    say(console, f"{stylizer.name}, written to {program.resolve()}")
    say(console, f"{len(bank)} styles, written to {styles.resolve()}")
    return 1 if broken else 0
