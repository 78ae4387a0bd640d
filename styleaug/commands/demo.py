"""``styleaug demo``: stylize the sample images that ship with the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from styleaug.commands.messages import say
from styleaug.commands.stylize import run_stylize
from styleaug.samples import sample_images

_STYLES = ("nuclei-pink", "nuclei-purple-on-purple", "skin-vignette", "skin-cool")


def run_demo(options: argparse.Namespace, console: Console) -> int:
    """Stylize every sample in four styles and draw the contact sheet; returns the exit status."""
    samples = sample_images()
    grid = Path(options.output) / "grid.png"
    status = run_stylize(
        argparse.Namespace(
            **vars(options)
            | {
                "content": [str(path) for path in samples],
                "style": [str(path) for path in samples if path.stem in _STYLES],
                "weights": None,
                "grid": str(grid),
                "each_style": True,
                "size": None,
                "batch_size": 8,
                "seed": 0,
                "overwrite": True,
                "skip_existing": False,
            }
        ),
        console,
    )
    say(console, f"Contact sheet, contents down and styles across: {grid.resolve()}")
    return status
