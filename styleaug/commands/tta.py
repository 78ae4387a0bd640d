"""``styleaug tta``: predict image files under several styles, with a saved model."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from styleaug._files import write_text
from styleaug.commands.jobs import check_no_input, check_output
from styleaug.commands.messages import complain, say
from styleaug.commands.model_inputs import normalisation, read_input
from styleaug.commands.models import load_model
from styleaug.commands.options import parse_window, pick_device, progress_bar
from styleaug.commands.painting import Reading, name_others
from styleaug.images.files import find_named
from styleaug.styles.bank import StyleBank
from styleaug.stylizers import create_stylizer
from styleaug.tta import KeepsEdges, StyleTTA


def run_tta(options: argparse.Namespace, console: Console) -> int:
    """Predict the files; returns the exit status: 1 if a file could not be read."""
    check_output("--out", options.out)
    out = Path(options.out)
    if options.batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, got {options.batch_size}.")
    reading = Reading(window=parse_window(options.bits, options.window))
    files = [pair for path in options.input for pair in find_named(path)]
    others = [options.bank, options.model, options.weights]
    check_no_input([out], [*(path for path, _ in files), *(Path(item) for item in others if item)])
    if out.exists() and not options.overwrite:
        raise FileExistsError(f"{options.out!r} exists. Pass --overwrite to replace it.")
    name_others(console, options.input)
    device = pick_device(options.device)
    bank = StyleBank.load(options.bank)
    tta = _build(options, bank, device)
    rows: list[list[object]] = []
    with progress_bar(console) as progress:
        task = progress.add_task("images", total=len(files))
        for names, images in _batches(files, options, console, reading):
            rows += _rows(names, *tta(images.to(device), ids=names))
            progress.update(task, completed=len(rows))
    if not rows:
        raise ValueError(f"--input must hold an image that can be read, got {options.input}.")
    write_text(out, _table(rows))
    broken = len(files) - len(rows)
    say(console, f"{len(rows)} images, written to {out.resolve()}")
    if broken:
        complain(console, f"{broken} files could not be read")
    return 1 if broken else 0


def _build(options: argparse.Namespace, bank: StyleBank, device: str) -> StyleTTA:
    name = options.stylizer or bank.code.stylizer
    region = bank.code.region if name == bank.code.stylizer else None
    stylizer = create_stylizer(name, weights=options.weights, region=region).to(device)
    guard = None if options.keep_edges is None else KeepsEdges(options.keep_edges)
    return StyleTTA(
        load_model(options.model, device),
        stylizer,
        bank,
        options.n,
        include_identity=not options.no_identity,
        select=options.select,
        merge=options.merge,
        activation=options.activation,
        alpha=options.alpha,
        preprocess=normalisation(options, device),
        accept=guard,
        max_batch=options.max_batch,
        return_stats=True,
        seed=options.seed,
    )


def _batches(
    files: Sequence[tuple[Path, Path]],
    options: argparse.Namespace,
    console: Console,
    reading: Reading,
) -> Iterator[tuple[list[str], Tensor]]:
    """Return batches of images of equal size, in order; broken files are named and left out."""
    names: list[str] = []
    images: list[Tensor] = []
    for path, name in files:
        image = read_input(path, options, console, reading)
        if image is None:
            continue
        if images and (len(images) == options.batch_size or image.shape != images[0].shape):
            yield names, torch.cat(images)
            names, images = [], []
        names.append(name.as_posix())
        images.append(image)
    if images:
        yield names, torch.cat(images)


def _rows(names: Sequence[str], output: Tensor, stats: Any) -> list[list[object]]:
    if not isinstance(output, Tensor) or output.ndim != 2:
        kind = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"--model must return scores (B, C) for a table, got {kind}.")
    softmax = stats.entropy.ndim == 1
    columns = [
        output.argmax(dim=1) if softmax else (output > 0.5).float().argmax(dim=1),
        stats.entropy if softmax else stats.entropy.mean(dim=1),
        stats.mutual_information if softmax else stats.mutual_information.mean(dim=1),
        stats.agreement if softmax else stats.agreement.mean(dim=1),
        (~stats.accepted).sum(dim=1),
    ]
    rows: list[list[object]] = []
    for index, name in enumerate(names):
        head = [_number(column[index]) for column in columns]
        rows.append([name, *head, *map(_number, output[index]), *map(_number, stats.std[index])])
    return rows


def _number(value: Tensor) -> float | int:
    return round(value.item(), 6)


def _table(rows: Sequence[Sequence[object]]) -> str:
    classes = range((len(rows[0]) - 6) // 2)
    head = ["file", "prediction", "entropy", "mutual_information", "agreement", "rejected"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, *(f"p{i}" for i in classes), *(f"std{i}" for i in classes)])
    writer.writerows(rows)
    return text.getvalue()
