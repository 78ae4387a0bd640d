"""``styleaug stylize``: repaint image files in the style of others."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from styleaug._checks import check_device
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
from styleaug.commands.painting import Painter, Reading, encode_styles, load, name_others
from styleaug.images.batch import Images
from styleaug.images.files import find_images
from styleaug.images.scan import AnyWindow
from styleaug.images.sheet import contact_sheet, to_picture
from styleaug.images.window import CT_WINDOWS, check_window
from styleaug.styles.bank import StyleBank
from styleaug.styles.volumes import Slices
from styleaug.stylizers import DEFAULT_STYLIZER, create_stylizer
from styleaug.stylizers.base import Precision, Stylizer
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
        from styleaug.commands.slide import run_slide

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
    name_others(console, [*options.content, *options.style])
    device = pick_device(options.device)
    stylizer = create_stylizer(
        options.stylizer or given.stylizer, weights=options.weights, precision=options.precision
    ).to(device)
    reading = Reading(options.size, window, stylizer)
    with progress_bar(console) as progress:
        task = progress.add_task("styles", total=len(given.files))
        bank, broken_styles = given.encoded(
            stylizer,
            console,
            lambda n: progress.advance(task, n),
            window,
            slices,
            options.seed,
        )
        if options.each_style and len(bank) != len(folders) and not broken_styles:
            raise ValueError(
                f"--each-style needs a style per file, got {len(bank)} of {len(folders)} files. "
                "Encode volumes and series first: styleaug bank."
            )
        if broken_styles and options.each_style:
            raise ValueError(
                f"--each-style needs styles that can be read, got {broken_styles[:3]}."
            )
        transform = StyleTransfer(
            stylizer, styles=bank, alpha=alpha, p=1.0, seed=options.seed, device=device
        )
        painter = Painter(transform, console, reading, options.workers)
        task = progress.add_task("contents", total=len(jobs))
        painter.paint(jobs, options.batch_size, lambda n: progress.advance(task, n))
    if options.grid:
        _write_grid(options.grid, reading, all_jobs, transform, bank, given.files, console)
    broken = painter.broken + broken_styles
    _report(options.output, len(jobs) - len(painter.broken), broken, started, console)
    return 1 if broken else 0


@dataclass(frozen=True)
class StyleInputs:
    """What ``--style`` names: image files, and banks that were encoded before."""

    files: list[Path]
    banks: list[StyleBank]
    inputs: list[Path]

    @classmethod
    def find(cls, paths: Sequence[str]) -> StyleInputs:
        """Return the files and banks that paths name."""
        saved = [path for path in paths if path.endswith(".safetensors")]
        others = [path for path in paths if path not in saved]
        files = find_images(others) if others else []
        return cls(files, [StyleBank.load(path) for path in saved], [*files, *map(Path, saved)])

    @property
    def stylizer(self) -> str:
        """Name of what encoded the banks, or the default."""
        return self.banks[0].code.stylizer if self.banks else DEFAULT_STYLIZER

    def encoded(
        self,
        stylizer: Stylizer,
        console: Console,
        advance: Callable[[int], object],
        window: AnyWindow,
        slices: Slices = None,
        seed: int = 0,
    ) -> tuple[StyleBank, list[Path]]:
        """Return one bank of all styles, and the files that cannot be read."""
        for bank in self.banks:
            bank.check_fits(stylizer)
        if not self.files:
            return StyleBank.cat(self.banks), []
        bank, broken = encode_styles(self.files, stylizer, console, advance, window, slices, seed)
        return StyleBank.cat([bank, *self.banks]), broken


def parse_window(bits: int | None, window: str | None) -> AnyWindow:
    """Return black and white of 16-bit files, as ``--bits`` or ``--window`` says.

    Raises:
        ValueError: If both are given, or one is not what it should be.

    Example:
        >>> parse_window(12, None), parse_window(None, "100:3000")
        ((0.0, 4095.0), (100.0, 3000.0))
    """
    if bits is not None and window is not None:
        raise ValueError(f"--bits or --window, got {bits} and {window!r}.")
    if bits is not None:
        if not 1 <= bits <= 16:
            raise ValueError(f"--bits must be between 1 and 16, got {bits}.")
        return 0.0, 2.0**bits - 1
    if window is None or window in (*CT_WINDOWS, "percentile"):
        return window
    low, _, high = window.partition(":")
    try:
        return check_window("--window", (float(low), float(high)))
    except ValueError as error:
        raise ValueError(
            f"--window must be LOW:HIGH, low below high, or one of {[*CT_WINDOWS, 'percentile']}, "
            f"got {window!r}."
        ) from error


def parse_slices(text: str | None) -> Slices:
    """Return how many slices of a volume are styles, as ``--slices`` says.

    Raises:
        ValueError: If it is neither a number nor "all".

    Example:
        >>> parse_slices("8"), parse_slices("all"), parse_slices(None)
        (8, 'all', None)
    """
    if text is None or text == "all":
        return text  # type: ignore[return-value]
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"--slices must be a number from 1 on, or all, got {text!r}.")
    return int(text)


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


def thumbnail(path: Path | None, console: Console, reading: Reading) -> Image.Image | None:
    """Return the picture of a file, or None where there is no file or it cannot be read."""
    loaded = None if path is None else load(path, console, reading)
    return None if loaded is None else to_picture(Images.cat([loaded.images]).middle())


def _report(
    output: str, done: int, broken: Sequence[Path], started: float, console: Console
) -> None:
    seconds = time.perf_counter() - started
    where = Path(output).resolve()
    say(console, f"{done} images in {seconds:.1f} s, written to {where}")
    if broken:
        names = ", ".join(str(path) for path in broken[:5])
        complain(console, f"{len(broken)} files could not be read: {names}")
