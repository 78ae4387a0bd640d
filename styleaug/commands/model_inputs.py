"""Inputs of a model: image files in its size and channels, and its normalisation."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from styleaug.commands.messages import complain
from styleaug.commands.painting import Reading, load
from styleaug.images.batch import to_content


def normalisation(options: argparse.Namespace, device: str) -> Callable[[Tensor], Tensor] | None:
    """Return the normalisation by ``--mean`` and ``--std``; None if they are not given.

    Raises:
        ValueError: If one is given without the other.
    """
    if (options.mean is None) != (options.std is None):
        raise ValueError(f"--mean and --std go together, got {options.mean} and {options.std}.")
    if options.mean is None:
        return None
    mean = torch.tensor(options.mean, device=device).view(-1, 1, 1)
    std = torch.tensor(options.std, device=device).view(-1, 1, 1)
    return lambda views: (views - mean) / std


def read_input(
    path: Path, options: argparse.Namespace, console: Console, reading: Reading
) -> Tensor | None:
    """Return an image ``(1, C, H, W)`` in [0, 1] as ``--size`` and ``--grey`` ask for it.

    None if the file cannot be read; the console then names it.
    """
    loaded = load(path, console, reading)
    if loaded is None:
        return None
    if loaded.images.depth > 1:
        complain(console, f"skipped {path}: a model of images cannot take a volume.")
        return None
    image = to_content(loaded.images.batch)
    if options.size:
        size = tuple((options.size * 2)[:2])
        image = F.interpolate(image, size, mode="bilinear", antialias=True).clamp_(0.0, 1.0)
    return image.mean(dim=1, keepdim=True) if options.grey else image.contiguous()
