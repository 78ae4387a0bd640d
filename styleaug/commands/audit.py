"""``styleaug audit``: how fragile a model is to the appearance of its images."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from styleaug.commands.jobs import check_no_input, check_output
from styleaug.commands.labels import Labels, read_labels, read_mask
from styleaug.commands.messages import complain, say
from styleaug.commands.model_inputs import normalisation, read_input
from styleaug.commands.models import load_model
from styleaug.commands.options import parse_window, pick_device, progress_bar
from styleaug.commands.painting import UNREADABLE, Reading, name_others
from styleaug.commands.style_inputs import StyleInputs
from styleaug.images.files import find_named
from styleaug.styles.bank import StyleBank
from styleaug.stylizers import create_stylizer
from styleaug.stylizers.base import Stylizer

UNDER = 3
"""Exit status where a score is under ``--fail-under``."""


def run_audit(options: argparse.Namespace, console: Console) -> int:
    """Audit and write the report; returns 3 if a score is too low, 1 if a file is unreadable."""
    try:
        auditing = importlib.import_module("styleaug.auditing")
    except ImportError as error:
        raise ImportError(f"styleaug audit: pip install 'styleaug[metrics]' ({error}).") from error
    _check(options)
    reading = Reading(window=parse_window(options.bits, options.window))
    files = _files(options)
    labels = read_labels(options.labels, files, options.classes) if options.labels else None
    styles = StyleInputs.find(options.style) if options.style else None
    _check_outputs(options, files, labels, styles, auditing)
    name_others(console, [*options.input, *(options.style or [])])
    device = pick_device(options.device)
    model = load_model(options.model, device)
    with progress_bar(console) as progress:
        bank, stylizer = _bank(options, styles, reading, device, console, progress)
        task = progress.add_task("images", total=len(files))
        batches = list(_batches(files, labels, options, console, reading))
        read = sum(len(batch["name"]) for batch in batches)
        progress.update(task, completed=len(files))
        if not read:
            raise ValueError(f"--input must hold an image that can be read, got {options.input}.")
        steps = progress.add_task("changes", total=None)
        found = auditing.audit(
            model,
            batches,
            options.kind,
            styles=bank,
            stylizer=stylizer,
            laboratories=options.laboratories,
            search=options.search,
            preprocess=normalisation(options, device),
            activation=None if options.activation == "none" else options.activation,
            classes=options.classes if labels is None else labels.classes,
            device=device,
            folder=options.output,
            seed=options.seed,
            advance=lambda done, total: progress.update(steps, completed=done, total=total),
            **({"trial": ()} if options.no_trial else {}),
        )
    found.save(options.output)
    return _status(found, len(files) - read, options, console)


def _status(found: Any, broken: int, options: argparse.Namespace, console: Console) -> int:
    """Print the result and its folder; returns the exit status."""
    kind, score = found.lowest
    say(console, f"{found.score}: {found.before['score']:.3f} as images are")
    say(console, f"lowest under a change: {score:.3f}, {kind}")
    say(console, f"{len(found.names)} images, written to {Path(options.output).resolve()}")
    if broken:
        complain(console, f"{broken} files could not be read")
    if options.fail_under is not None and min(score, found.before["score"]) < options.fail_under:
        complain(console, f"{min(score, found.before['score']):.3f} is under {options.fail_under}")
        return UNDER
    return 1 if broken else 0


def _check(options: argparse.Namespace) -> None:
    """Check the arguments, before anything is read."""
    check_output("--output", options.output)
    for name in ("batch_size", "count", "laboratories"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}.")
    if options.search < 0:
        raise ValueError(f"--search must be at least 0, got {options.search}.")
    if options.fail_under is not None and not 0.0 <= options.fail_under <= 1.0:
        raise ValueError(f"--fail-under must be in [0, 1], got {options.fail_under}.")


def _files(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Return the files and their names, evenly spaced if there are too many."""
    files = [pair for path in options.input for pair in find_named(path)]
    if options.count is None or len(files) <= options.count:
        return files
    return [files[place * len(files) // options.count] for place in range(options.count)]


def _check_outputs(
    options: argparse.Namespace,
    files: Sequence[tuple[Path, Path]],
    labels: Labels | None,
    styles: StyleInputs | None,
    auditing: Any,
) -> None:
    auditing.check_folder(Path(options.output))
    targets = [Path(options.output) / name for name in auditing.FILES]
    others = [Path(item) for item in (options.model, options.labels, options.weights) if item]
    masks = [item for item in (labels.targets.values() if labels else ()) if isinstance(item, Path)]
    inputs = [*(path for path, _ in files), *others, *masks, *(styles.inputs if styles else ())]
    check_no_input(targets, inputs)


def _bank(
    options: argparse.Namespace,
    styles: StyleInputs | None,
    reading: Reading,
    device: str,
    console: Console,
    progress: Progress,
) -> tuple[StyleBank | None, Stylizer | None]:
    """Return the bank of other styles, and the stylizer that paints them."""
    if styles is None:
        return None, None
    name = options.stylizer or styles.stylizer
    stylizer = create_stylizer(name, weights=options.weights).to(device)
    task = progress.add_task("styles", total=len(styles.files))
    bank, _ = styles.encoded(
        stylizer, console, lambda count: progress.advance(task, count), reading.window
    )
    return bank, stylizer


def _batches(
    files: Sequence[tuple[Path, Path]],
    labels: Labels | None,
    options: argparse.Namespace,
    console: Console,
    reading: Reading,
) -> Iterator[Mapping[str, Any]]:
    """Yield batches of images of one size, as `styleaug.audit` takes them."""
    group: list[tuple[Tensor, Path, Path]] = []
    for path, name in files:
        image = read_input(path, options, console, reading)
        if image is None:
            continue
        if group and (len(group) == options.batch_size or image.shape != group[0][0].shape):
            yield _batch(group, labels)
            group = []
        group.append((image, path, name))
    if group:
        yield _batch(group, labels)


def _batch(group: Sequence[tuple[Tensor, Path, Path]], labels: Labels | None) -> dict[str, Any]:
    images, paths, names = zip(*group, strict=True)
    batch: dict[str, Any] = {
        "image": torch.cat(images),
        "name": [name.as_posix() for name in names],
    }
    if labels is not None:
        targets = [
            _target(labels.targets[path], image) for path, image in zip(paths, images, strict=True)
        ]
        batch["label"] = torch.stack(targets)
        if labels.groups:
            batch["group"] = [labels.groups[path] for path in paths]
    return batch


def _target(target: int | Path, image: Tensor) -> Tensor:
    if isinstance(target, int):
        return torch.tensor(target)
    try:
        height, width = image.shape[2:]
        return read_mask(target, (height, width))
    except UNREADABLE as error:
        raise ValueError(f"--labels must name masks that can be read: {error}") from error
