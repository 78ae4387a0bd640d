"""``styleaug demo``: stylize the sample images that ship with the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from styleaug.commands.messages import say
from styleaug.commands.stylize import StylizeOptions, stylize_files
from styleaug.samples import sample_images

_STYLES = ("nuclei-pink", "nuclei-purple-on-purple", "skin-vignette", "skin-cool")


def run_demo(options: argparse.Namespace, console: Console) -> int:
    """Stylize every sample in four styles and draw the contact sheet; returns the exit status."""
    samples = sample_images()
    grid = Path(options.output) / "grid.png"
    asked = StylizeOptions(
        content=[str(path) for path in samples],
        style=[str(path) for path in samples if path.stem in _STYLES],
        output=options.output,
        stylizer=options.stylizer,
        device=options.device,
        precision=options.precision,
        alpha=options.alpha,
        grid=str(grid),
        each_style=True,
        overwrite=True,
    )
    status = stylize_files(asked, console)
    say(console, f"Contact sheet, contents down and styles across: {grid.resolve()}")
    return status
