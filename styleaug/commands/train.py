"""``styleaug train``: build the weights of a stylizer from folders of images."""

from __future__ import annotations

import argparse
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from styleaug.training.config import PRECISIONS, TrainConfig

EPILOG = """examples:
  styleaug train micro --content slides/ skin/ --style slides/ photos/ -o run --steps 20000
  styleaug train micro --config run/config.toml -o run --resume
  torchrun --nproc-per-node 4 -m styleaug train micro --content slides/ -o run
  torchrun --nnodes 2 --nproc-per-node 8 --rdzv-endpoint HOST:29400 -m styleaug train micro ...
"""

_NUMBERS = {
    "steps": "optimiser steps",
    "batch_size": "images per device and step",
    "accumulate": "batches per step",
    "size": "side of the crops in pixels",
    "devices": "processes on this machine",
    "workers": "loader workers per process",
    "seed": "seed of everything",
    "checkpoint_every": "steps between checkpoints",
    "log_every": "steps between scalars",
    "images_every": "steps between image grids",
}


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug train``; what is not given keeps its default."""
    add = parser.add_argument
    add("recipe", metavar="RECIPE", help="what to train, such as micro")
    add(
        "--content", nargs="+", metavar="DIR", help="folders of content images, drawn equally often"
    )
    add("--style", nargs="+", metavar="DIR", help="folders of style images (the content folders)")
    add("--same-kind", type=float, metavar="P", help="share of pairs from one content folder")
    add("-o", "--output", required=True, metavar="DIR", help="folder of checkpoints and weights")
    add("--config", metavar="FILE", help="TOML file of settings; arguments take precedence")
    add("--resume", action="store_true", help="go on from the last checkpoint of the output folder")
    add("--precision", choices=PRECISIONS)
    add("--accelerator", choices=["auto", "cpu", "cuda"])
    add("--epochs", type=float, metavar="X", help="passes over the contents, in place of --steps")
    add("--learning-rate", type=float, metavar="X")
    add("--start", metavar="W", help="weights to start from: a file, or a published name")
    add("--features", metavar="FILE", help="weights of the perceptual backbone (torchvision's)")
    for name, text in _NUMBERS.items():
        add(f"--{name.replace('_', '-')}", type=int, metavar="N", help=text)


def run_train(options: argparse.Namespace, console: Console) -> int:
    """Train; returns the exit status.

    Raises:
        ImportError: If the extra ``train`` is not installed.
    """
    config = read_config(options)
    try:
        trainer = import_module("styleaug.training.trainer")
    except ImportError as error:
        raise ImportError(
            f"styleaug train needs more packages: pip install 'styleaug[train]' ({error})."
        ) from error
    path = trainer.Trainer(config, resume=options.resume).run()
    console.print(f"Weights and card: {path.resolve().parent}", soft_wrap=True)
    return 0


def read_config(options: argparse.Namespace) -> TrainConfig:
    """Return the settings that the arguments and the file stand for.

    Raises:
        ValueError: If neither names content folders, both steps and epochs are given, or the file
            has unknown keys.
    """
    if options.steps is not None and options.epochs is not None:
        raise ValueError(f"--steps or --epochs, got {options.steps} and {options.epochs}.")
    given: dict[str, Any] = {
        name: value
        for name, value in vars(options).items()
        if value is not None and name in {item.name for item in fields(TrainConfig)}
    }
    lists: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    if options.config is not None:
        return TrainConfig.from_file(Path(options.config), **lists)
    if options.content is None:
        raise ValueError(f"--content must name folders of images, got {options.content}.")
    return TrainConfig(**lists)
