"""``styleaug demo``: stylize the sample images that ship with the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from styleaug.commands.stylize import add_stylizer_arguments, run_stylize
from styleaug.samples import sample_images

EPILOG = """examples:
  styleaug demo
  styleaug demo --stylizer mkl -o mkl-demo
"""

_STYLES = ("nuclei-pink", "nuclei-purple-on-purple", "skin-vignette", "skin-cool")


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug demo``."""
    add = parser.add_argument
    add("-o", "--output", default="styleaug-demo", metavar="DIR", help="folder (%(default)s)")
    add("--alpha", default="1.0", help="strength in [0, 1] (default 1.0)")
    add_stylizer_arguments(parser)


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
    console.print(
        f"Contact sheet, contents down and styles across: {grid.resolve()}", soft_wrap=True
    )
    return status
