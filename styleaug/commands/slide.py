"""``styleaug stylize SLIDE -o OUT.ome.tiff``: a whole slide, streamed."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console

from styleaug.commands.jobs import check_no_input
from styleaug.commands.messages import complain, say
from styleaug.commands.options import (
    parse_alpha,
    parse_slices,
    parse_window,
    pick_device,
    progress_bar,
)
from styleaug.commands.style_inputs import StyleInputs
from styleaug.slides import Slide, SlideStyle, open_slide, stylize_slide
from styleaug.styles.bank import StyleBank
from styleaug.stylizers.base import Stylizer
from styleaug.stylizers.code import StyleCode
from styleaug.stylizers.content_code import check_takes_content_code
from styleaug.transform import StyleTransfer

_STYLIZER = "appearance"
_NOT_FOR_SLIDES = ("grid", "size", "each_style", "bits", "window")


def run_slide(options: argparse.Namespace, console: Console) -> int:
    """Paint a slide; returns the exit status: 1 if a part of it could not be read."""
    started = time.perf_counter()
    given, output = StyleInputs.find(options.style), Path(options.output)
    _check(options, given)
    if output.exists() and options.skip_existing:
        say(console, f"{output} exists, left as it is")
        return 0
    if output.exists() and not options.overwrite:
        raise FileExistsError(f"{options.output!r} exists. Pass --overwrite to replace it.")
    slide = open_slide(options.content[0], options.level or 0)
    try:
        style, broken_styles = _style(options, given, slide, console)
        with progress_bar(console) as progress:
            task = progress.add_task("tiles", total=None)
            painting = stylize_slide(
                slide,
                output,
                style,
                tile=options.tile or 1024,
                compression=options.compression or "jpeg",
                workers=options.workers,
                overwrite=options.overwrite,
                advance=lambda done, total: progress.update(task, completed=done, total=total),
            )
    finally:
        slide.close()
    for region in painting.broken:
        complain(console, f"{slide.path}: broken at {region} (left, top, width, height): white")
    took = time.perf_counter() - started
    say(console, f"{len(painting.sizes)} levels in {took:.1f} s, written to {output.resolve()}")
    return 1 if painting.broken or broken_styles else 0


def _check(options: argparse.Namespace, given: StyleInputs) -> None:
    """Refuse arguments that are not for slides, and an output that is one of the inputs."""
    for name in _NOT_FOR_SLIDES:
        if getattr(options, name):
            raise ValueError(f"--{name.replace('_', '-')} is not for slides, leave it out.")
    if len(options.content) != 1:
        raise ValueError(f"--output FILE takes one slide, got {len(options.content)} contents.")
    weights = [Path(options.weights)] if options.weights else []
    slide, output = Path(options.content[0]), Path(options.output)
    check_no_input([output], [slide, *given.inputs, *weights])


def _style(
    options: argparse.Namespace, given: StyleInputs, slide: Slide, console: Console
) -> tuple[SlideStyle, list[Path]]:
    """Return the style that is drawn for the slide, and the style files that cannot be read."""
    window, slices = parse_window(None, None), parse_slices(options.slices)
    device = pick_device(options.device)
    stylizer = given.create(
        options.stylizer or (None if given.banks else _STYLIZER),
        region=options.region,
        weights=options.weights,
        precision=options.precision,
    ).to(device)
    check_takes_content_code(stylizer)
    bank, broken = given.encoded(stylizer, console, lambda n: None, window, slices, options.seed)
    code, alpha, name = _drawn(options, stylizer, bank, slide.path.name)
    say(console, f"{slide.path}: {slide.size[0]} x {slide.size[1]} in the style of {name}")
    return SlideStyle.of_slide(slide, stylizer, code, alpha, device), broken


def _drawn(
    options: argparse.Namespace, stylizer: Stylizer, bank: StyleBank, name: str
) -> tuple[StyleCode, float, str]:
    """Return the code, strength and name of the style that is drawn for the slide."""
    alpha = parse_alpha(options.alpha)
    transform = StyleTransfer(stylizer, styles=bank, alpha=alpha, p=1.0, seed=options.seed)
    params = transform.draw_params(1, ids=[name])
    index = params.style[0]
    return bank.code[index], params.alpha[0], bank.names[index]
