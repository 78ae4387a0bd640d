"""``styleaug stylize``: repaint image files in the style of others."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from styleaug._checks import check_device
from styleaug.commands.jobs import Job, check_targets, plan_jobs, style_names, this_rank
from styleaug.commands.messages import complain, say
from styleaug.commands.painting import Painter, encode_styles, load
from styleaug.images.files import find_images
from styleaug.images.sheet import contact_sheet, to_picture
from styleaug.styles.bank import StyleBank
from styleaug.stylizers import create_stylizer
from styleaug.stylizers.base import Precision
from styleaug.transform import StyleTransfer

_GRID_LIMIT = 8


@dataclass(frozen=True)
class StylizeOptions:
    """What ``styleaug stylize`` is asked for; the help of its arguments says what they mean."""

    content: Sequence[str]
    style: Sequence[str]
    output: str
    stylizer: str
    device: str = "auto"
    precision: Precision = "auto"
    weights: str | None = None
    alpha: str = "1.0"
    grid: str | None = None
    each_style: bool = False
    size: int | None = None
    batch_size: int = 8
    seed: int = 0
    overwrite: bool = False
    skip_existing: bool = False


def run_stylize(options: argparse.Namespace, console: Console) -> int:
    """Stylize the files; returns the exit status: 1 if a file could not be read."""
    given = {field.name: getattr(options, field.name) for field in fields(StylizeOptions)}
    return stylize_files(StylizeOptions(**given), console)


def stylize_files(options: StylizeOptions, console: Console) -> int:
    """Stylize the files; returns the exit status: 1 if a file could not be read."""
    started = time.perf_counter()
    _check_counts(options)
    alpha = parse_alpha(options.alpha)
    style_files = find_images(options.style)
    folders = style_names(map(str, style_files)) if options.each_style else []
    all_jobs = plan_jobs(options.content, Path(options.output), folders)
    # the share first: what other ranks have written meanwhile must not shift it
    jobs = check_targets(
        this_rank(all_jobs), overwrite=options.overwrite, skip_existing=options.skip_existing
    )
    _check_grid(options, all_jobs)
    device = pick_device(options.device)
    stylizer = create_stylizer(
        options.stylizer, weights=options.weights, precision=options.precision
    ).to(device)
    with progress_bar(console) as progress:
        task = progress.add_task("styles", total=len(style_files))
        bank, broken_styles = encode_styles(
            style_files, stylizer, console, lambda n: progress.advance(task, n)
        )
        if broken_styles and options.each_style:
            raise ValueError(
                f"--each-style needs styles that can be read, got {broken_styles[:3]}."
            )
        transform = StyleTransfer(
            stylizer, styles=bank, alpha=alpha, p=1.0, seed=options.seed, device=device
        )
        painter = Painter(transform, console, size=options.size)
        task = progress.add_task("contents", total=len(jobs))
        painter.paint(jobs, options.batch_size, lambda n: progress.advance(task, n))
    if options.grid:
        _write_grid(options.grid, options.size, all_jobs, transform, bank, console)
    broken = painter.broken + broken_styles
    _report(options.output, len(jobs) - len(painter.broken), broken, started, console)
    return 1 if broken else 0


def parse_alpha(text: str) -> tuple[float, float]:
    """Return the range that ``0.7`` or ``0.3:1.0`` stands for.

    Raises:
        ValueError: If the text is neither.

    Example:
        >>> parse_alpha("0.3:1.0")
        (0.3, 1.0)
    """
    low, _, high = text.partition(":")
    try:
        return float(low), float(high or low)
    except ValueError as error:
        raise ValueError(f"--alpha must be a number or LOW:HIGH, got {text!r}.") from error


def pick_device(name: str) -> str:
    """Return the device that a name stands for; "auto" is CUDA where there is one.

    Raises:
        ValueError: If the device does not exist.
    """
    if name != "auto":
        return str(check_device(name))
    try:
        return str(check_device("cuda"))
    except ValueError:
        return "cpu"


def progress_bar(console: Console) -> Progress:
    """Return the progress bar that all commands show."""
    columns = (
        TextColumn("{task.description:>10}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
    )
    return Progress(*columns, TimeRemainingColumn(), console=console)


def _check_counts(options: StylizeOptions) -> None:
    for name, least in (("batch_size", 1), ("size", 32)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {least}, got {value}.")


def _check_grid(options: StylizeOptions, jobs: Sequence[Job]) -> None:
    if options.grid is None:
        return
    path = Path(options.grid)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"--grid must be a .png or .jpg file, got {options.grid!r}.")
    if path.exists() and not options.overwrite:
        raise FileExistsError(f"{options.grid!r} exists. Pass --overwrite to replace it.")


def _write_grid(
    path: str,
    size: int | None,
    jobs: Sequence[Job],
    transform: StyleTransfer,
    bank: StyleBank,
    console: Console,
) -> None:
    """Write a sheet of the first contents (down) in the first styles (across)."""
    styles = range(min(len(bank), _GRID_LIMIT))
    rows, labels = [], []
    for job in jobs[:_GRID_LIMIT]:
        loaded = load(job.source, console, size=size)
        if loaded is None:
            continue
        views = transform.stylize_grid(loaded.images, styles, alpha=transform.alpha[1])[0]
        shown = [replace(loaded.images, batch=view) for view in views.cpu().split(1)]
        rows.append([to_picture(images) for images in (loaded.images, *shown)])
        labels.append(job.name.stem)
    heads = ["content \\ style", *style_names(bank.names[index] for index in styles)]
    references = [None, *(_thumbnail(bank.names[index], console) for index in styles)]
    sheet = contact_sheet([references, *rows], ["", *labels], heads)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _thumbnail(path: str, console: Console) -> Image.Image | None:
    loaded = load(Path(path), console)
    return None if loaded is None else to_picture(loaded.images)


def _report(
    output: str, done: int, broken: Sequence[Path], started: float, console: Console
) -> None:
    seconds = time.perf_counter() - started
    where = Path(output).resolve()
    say(console, f"{done} images in {seconds:.1f} s, written to {where}")
    if broken:
        names = ", ".join(str(path) for path in broken[:5])
        complain(console, f"{len(broken)} files could not be read: {names}")
