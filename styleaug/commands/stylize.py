"""``styleaug stylize``: repaint image files in the style of others."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from styleaug._files import replacing
from styleaug.commands.jobs import (
    Job,
    check_no_input,
    check_output,
    check_targets,
    plan_jobs,
    style_names,
    this_rank,
)
from styleaug.commands.messages import complain, say
from styleaug.commands.options import (
    parse_alpha,
    parse_slices,
    parse_window,
    pick_device,
    progress_bar,
)
from styleaug.commands.painting import Painter, Reading, load, name_others, thumbnail
from styleaug.commands.slide import run_slide
from styleaug.commands.style_inputs import StyleInputs
from styleaug.images.batch import Images
from styleaug.images.sheet import contact_sheet, to_picture
from styleaug.styles.bank import StyleBank
from styleaug.stylizers.base import Precision
from styleaug.transform import StyleTransfer

_GRID_LIMIT = 8


@dataclass(frozen=True)
class StylizeOptions:
    """What ``styleaug stylize`` is asked for; the help of its arguments says what they mean."""

    content: Sequence[str]
    style: Sequence[str]
    output: str
    stylizer: str | None
    device: str = "auto"
    precision: Precision = "auto"
    weights: str | None = None
    region: str | None = None
    alpha: str = "1.0"
    grid: str | None = None
    each_style: bool = False
    size: int | None = None
    batch_size: int = 8
    workers: int = 4
    bits: int | None = None
    window: str | None = None
    slices: str | None = None
    seed: int = 0
    overwrite: bool = False
    skip_existing: bool = False


def run_stylize(options: argparse.Namespace, console: Console) -> int:
    """Stylize the files; returns the exit status: 1 if a file could not be read."""
    if options.output.lower().endswith((".tif", ".tiff")):
        return run_slide(options, console)
    for name in ("level", "tile", "compression"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} is for a slide: name a .tiff file as --output.")
    given = {field.name: getattr(options, field.name) for field in fields(StylizeOptions)}
    return stylize_files(StylizeOptions(**given), console)


def stylize_files(options: StylizeOptions, console: Console) -> int:
    """Stylize the files; returns the exit status: 1 if a file could not be read."""
    started = time.perf_counter()
    _check_counts(options)
    check_output("--output", options.output)
    alpha, window = parse_alpha(options.alpha), parse_window(options.bits, options.window)
    slices = parse_slices(options.slices)
    given = StyleInputs.find(options.style)
    names = [*map(str, given.files), *(name for bank in given.banks for name in bank.names)]
    folders = style_names(names) if options.each_style else []
    all_jobs = plan_jobs(options.content, Path(options.output), folders)
    jobs = _left_to_do(options, all_jobs, given)
    name_others(console, [*options.content, *options.style])
    device = pick_device(options.device)
    stylizer = given.create(
        options.stylizer,
        region=options.region,
        weights=options.weights,
        precision=options.precision,
    ).to(device)
    reading = Reading(options.size, window, stylizer)
    with progress_bar(console) as progress:
        task = progress.add_task("styles", total=len(given.files))
        advance = partial(progress.advance, task)
        bank, broken = given.encoded(stylizer, console, advance, window, slices, options.seed)
        if options.each_style:
            _check_each_style(bank, folders, broken)
        transform = StyleTransfer(
            stylizer, styles=bank, alpha=alpha, p=1.0, seed=options.seed, device=device
        )
        painter = Painter(transform, console, reading, options.workers)
        task = progress.add_task("contents", total=len(jobs))
        painter.paint(jobs, options.batch_size, partial(progress.advance, task))
    if options.grid:
        _write_grid(options.grid, reading, all_jobs, transform, bank, given.files, console)
    done, broken = len(jobs) - len(painter.broken), painter.broken + broken
    _report(options.output, done, broken, started, console)
    return 1 if broken else 0


def _left_to_do(options: StylizeOptions, all_jobs: Sequence[Job], given: StyleInputs) -> list[Job]:
    """Return the jobs that this process has to do, or refuse before anything is written."""
    inputs = [*(file for job in all_jobs for file in job.files), *given.inputs]
    inputs += [Path(options.weights)] if options.weights else []
    # the share first: what other ranks have written meanwhile must not shift it
    jobs = check_targets(
        this_rank(all_jobs),
        inputs,
        overwrite=options.overwrite,
        skip_existing=options.skip_existing,
    )
    _check_grid(options, all_jobs, inputs)
    return jobs


def _check_each_style(bank: StyleBank, folders: Sequence[str], broken: Sequence[Path]) -> None:
    """Raise ``ValueError`` unless every style of the bank has a folder of its own."""
    if broken:
        raise ValueError(f"--each-style needs styles that can be read, got {broken[:3]}.")
    if len(bank) != len(folders):
        raise ValueError(
            f"--each-style needs a style per file, got {len(bank)} of {len(folders)} files. "
            "Encode volumes and series first: styleaug bank."
        )


def _check_counts(options: StylizeOptions) -> None:
    for name, least in (("batch_size", 1), ("size", 1), ("workers", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {least}, got {value}.")


def _check_grid(options: StylizeOptions, jobs: Sequence[Job], inputs: Sequence[Path]) -> None:
    if options.grid is None:
        return
    path = Path(options.grid)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"--grid must be a .png or .jpg file, got {options.grid!r}.")
    check_no_input([path], [*inputs, *(target for job in jobs for target in job.targets)])
    if path.exists() and not options.overwrite:
        raise FileExistsError(f"{options.grid!r} exists. Pass --overwrite to replace it.")


def _write_grid(
    path: str,
    reading: Reading,
    jobs: Sequence[Job],
    transform: StyleTransfer,
    bank: StyleBank,
    style_files: Sequence[Path],
    console: Console,
) -> None:
    """Write a sheet of the first contents (down) in the first styles (across)."""
    styles = range(min(len(bank), _GRID_LIMIT))
    rows, labels = [], []
    for job in jobs[:_GRID_LIMIT]:
        loaded = load(job.files, console, reading)
        if loaded is None:
            continue
        content = Images.cat([loaded.images]).middle()
        views = transform.stylize_grid(content, styles, alpha=transform.alpha[1])[0]
        shown = [replace(content, batch=view) for view in views.cpu().split(1)]
        rows.append([to_picture(images) for images in (content, *shown)])
        labels.append(job.name.stem)
    heads = ["content \\ style", *style_names(bank.names[index] for index in styles)]
    files = {file.as_posix(): file for file in style_files}  # the images of a bank are not at hand
    seen = replace(reading, size=None)
    references = [thumbnail(files.get(bank.names[index]), console, seen) for index in styles]
    sheet = contact_sheet([[None, *references], *rows], ["", *labels], heads)
    with replacing(Path(path)) as temporary:
        sheet.save(temporary, format="PNG" if path.lower().endswith(".png") else "JPEG")


def _report(
    output: str, done: int, broken: Sequence[Path], started: float, console: Console
) -> None:
    seconds = time.perf_counter() - started
    where = Path(output).resolve()
    say(console, f"{done} images in {seconds:.1f} s, written to {where}")
    if broken:
        names = ", ".join(str(path) for path in broken[:5])
        complain(console, f"{len(broken)} files could not be read: {names}")
