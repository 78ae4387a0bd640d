"""``styleaug train``: build the weights of a stylizer from folders of images."""

from __future__ import annotations

import argparse
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from styleaug.commands.messages import say
from styleaug.training.config import TrainConfig


def run_train(options: argparse.Namespace, console: Console) -> int:
    """Train; returns the exit status.

    Raises:
        ImportError: If the extra ``train`` is not installed.
    """
    config = _settings(options)
    try:
        trainer = import_module("styleaug.training.trainer")
    except ImportError as error:
        raise ImportError(
            f"styleaug train needs more packages: pip install 'styleaug[train]' ({error})."
        ) from error
    path = trainer.Trainer(config, resume=options.resume).run()
    say(console, f"Weights and card: {path.resolve().parent}")
    return 0


def _settings(options: argparse.Namespace) -> TrainConfig:
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
