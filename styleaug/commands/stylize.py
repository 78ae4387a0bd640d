"""``styleaug stylize``: repaint image files in the style of others."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from styleaug._checks import check_device
from styleaug.commands.jobs import Job, check_targets, plan_jobs, style_names, this_rank
from styleaug.commands.painting import Painter, encode_styles, load
from styleaug.images.files import find_images
from styleaug.images.sheet import contact_sheet, to_picture
from styleaug.styles.bank import StyleBank
from styleaug.stylizers import DEFAULT_STYLIZER, create_stylizer
from styleaug.transform import StyleTransfer

_GRID_LIMIT = 8

EPILOG = """examples:
  styleaug stylize scans/ --style reference.png -o stylized/
  styleaug stylize 'slides/*.tif' --style lab_a/ lab_b/ --alpha 0.3:1.0 --seed 1 -o out/
  styleaug stylize scans/ --style lab_a/ --each-style --grid grid.png -o out/
  torchrun --nproc-per-node 4 -m styleaug stylize scans/ --style lab_a/ -o out/ --skip-existing
"""


def add_stylize_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug stylize``."""
    add = parser.add_argument
    add("content", nargs="+", metavar="CONTENT", help="files, folders or glob patterns to repaint")
    add("--style", nargs="+", required=True, metavar="STYLE", help="style files, folders, patterns")
    add("--weights", help="weights of the stylizer: a name, a file or hf:owner/name@revision")
    add("--alpha", default="1.0", help="strength in [0, 1], or a range LOW:HIGH (default 1.0)")
    add("-o", "--output", default="stylized", metavar="DIR", help="output folder (stylized)")
    add("--grid", metavar="FILE", help="also write a contact sheet of the first 8 x 8")
    add(
        "--each-style",
        action="store_true",
        help="write every content in every style, to DIR/STYLE/",
    )
    add("--size", type=int, metavar="N", help="resize contents to a longest side of N pixels first")
    add("--batch-size", type=int, default=8, metavar="N", help="most images at once (8)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the draw of styles (0)")
    add("--overwrite", action="store_true", help="replace existing outputs")
    add("--skip-existing", action="store_true", help="leave out contents whose outputs exist")
    add_stylizer_arguments(parser)


def add_stylizer_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that choose a stylizer and where it runs."""
    add = parser.add_argument
    add(
        "--stylizer",
        default=DEFAULT_STYLIZER,
        metavar="NAME",
        help="see styleaug list (%(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto: cuda if there is one)")
    add("--precision", default="auto", choices=["auto", "fp32", "bf16", "fp16"])


def run_stylize(options: argparse.Namespace, console: Console) -> int:
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
        _write_grid(options, all_jobs, transform, bank, console)
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
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)


def _check_counts(options: argparse.Namespace) -> None:
    for name, least in (("batch_size", 1), ("size", 32)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {least}, got {value}.")


def _check_grid(options: argparse.Namespace, jobs: Sequence[Job]) -> None:
    if options.grid is None:
        return
    path = Path(options.grid)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"--grid must be a .png or .jpg file, got {options.grid!r}.")
    if path.exists() and not options.overwrite:
        raise FileExistsError(f"{options.grid!r} exists. Pass --overwrite to replace it.")


def _write_grid(
    options: argparse.Namespace,
    jobs: Sequence[Job],
    transform: StyleTransfer,
    bank: StyleBank,
    console: Console,
) -> None:
    """Write a sheet of the first contents (down) in the first styles (across)."""
    styles = range(min(len(bank), _GRID_LIMIT))
    rows, labels = [], []
    for job in jobs[:_GRID_LIMIT]:
        file = load(job.source, console, size=options.size)
        if file is None:
            continue
        views = transform.stylize_grid(file.pixels, styles, alpha=transform.alpha[1])[0]
        rows.append([to_picture(file.pixels), *map(_as_picture, views)])
        labels.append(job.name.stem)
    heads = ["content \\ style", *style_names(bank.names[index] for index in styles)]
    references = [None, *(_thumbnail(bank.names[index], console) for index in styles)]
    sheet = contact_sheet([references, *rows], ["", *labels], heads)
    Path(options.grid).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.grid)


def _as_picture(view: object) -> Image.Image:
    array = view.permute(1, 2, 0).cpu().numpy()  # type: ignore[attr-defined]
    return to_picture(array)


def _thumbnail(path: str, console: Console) -> Image.Image | None:
    file = load(Path(path), console)
    return None if file is None else to_picture(file.pixels)


def _report(
    output: str, done: int, broken: Sequence[Path], started: float, console: Console
) -> None:
    seconds = time.perf_counter() - started
    where = Path(output).resolve()
    console.print(f"{done} images in {seconds:.1f} s, written to {where}", soft_wrap=True)
    if broken:
        names = ", ".join(str(path) for path in broken[:5])
        console.print(f"[red]{len(broken)} files could not be read[/red]: {names}", soft_wrap=True)
