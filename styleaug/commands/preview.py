"""``styleaug preview``: a page that shows what ``styleaug stylize`` would do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console

from styleaug._files import write_text
from styleaug.commands.jobs import Job, check_no_input, check_output, plan_jobs
from styleaug.commands.messages import say
from styleaug.commands.options import parse_alpha, parse_window, pick_device, progress_bar
from styleaug.commands.painting import Reading, load, name_others, thumbnail
from styleaug.commands.style_inputs import StyleInputs
from styleaug.functional import edge_correlation, ssim
from styleaug.images.batch import Images, to_content
from styleaug.images.comparison import comparison_sheet
from styleaug.images.page import html_page, picture, wide_table
from styleaug.images.sheet import to_picture
from styleaug.styles.bank import StyleBank
from styleaug.transform import StyleTransfer

_CELL = 320
_HELP = (
    "Difference: half the change of every channel around mid-grey. Histograms of red, green and "
    "blue, of content, style and result from above. SSIM and edges compare the result with its "
    "content, 1 is the same; change is the mean difference of 255."
)
_HEAD = "<th>content</th><th>style</th><th>alpha</th><th>SSIM</th><th>edges</th><th>change</th>"


@dataclass(frozen=True)
class _Shown:
    """One content of the page."""

    name: str
    style: str
    alpha: float
    ssim: float
    edges: float
    change: float
    sheet: Image.Image

    def row(self) -> str:
        texts = (escape(self.name), escape(Path(self.style).name), f"{self.alpha:.2f}")
        figures = (f"{self.ssim:.3f}", f"{self.edges:.3f}", f"{self.change:.1f}")
        return f"<tr>{''.join(f'<td>{text}</td>' for text in (*texts, *figures))}</tr>"


def run_preview(options: argparse.Namespace, console: Console) -> int:
    """Write the page; returns 1 if a file could not be read."""
    _check_counts(options)
    alpha, window = parse_alpha(options.alpha), parse_window(options.bits, options.window)
    styles = StyleInputs.find(options.style)
    jobs = plan_jobs(options.content, Path(), [])
    _check_page(options, [*(file for job in jobs for file in job.files), *styles.inputs])
    name_others(console, [*options.content, *options.style])
    device = pick_device(options.device)
    stylizer = styles.create(
        options.stylizer,
        region=options.region,
        weights=options.weights,
        precision=options.precision,
    ).to(device)
    reading = Reading(options.size, window, stylizer)
    chosen = evenly(jobs, options.count)
    with progress_bar(console) as progress:
        task = progress.add_task("styles", total=len(styles.files))
        bank, broken = styles.encoded(
            stylizer, console, lambda n: progress.advance(task, n), window
        )
        transform = StyleTransfer(
            stylizer, styles=bank, alpha=alpha, p=1.0, seed=options.seed, device=device
        )
        shown = []
        for job in progress.track(chosen, description="contents"):
            one = _shown(job, transform, bank, reading, styles.files, console)
            shown += [one] if one else []
    if not shown:
        raise ValueError(f"CONTENT must hold an image that can be read, all {len(chosen)} failed.")
    notes = [
        f"{len(shown)} of {len(jobs)} contents, {len(bank)} styles, stylizer {stylizer.name}, "
        f"alpha {options.alpha}, seed {options.seed}.",
        _HELP,
    ]
    write_text(options.output, _page(shown, notes))
    say(console, f"{len(shown)} contents shown in {Path(options.output).resolve()}")
    return 1 if broken or len(shown) < len(chosen) else 0


def evenly(jobs: Sequence[Job], count: int) -> list[Job]:
    """Return at most ``count`` jobs, evenly spread, the first among them."""
    if len(jobs) <= count:
        return list(jobs)
    return [jobs[index * len(jobs) // count] for index in range(count)]


def _check_counts(options: argparse.Namespace) -> None:
    for name in ("count", "size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} must be at least 1, got {value}.")


def _check_page(options: argparse.Namespace, inputs: Sequence[Path]) -> None:
    check_output("--output", options.output)
    path = Path(options.output)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--output must be a .html file, got {options.output!r}.")
    weights = [Path(options.weights)] if options.weights else []
    check_no_input([path], [*inputs, *weights])
    if path.exists() and not options.overwrite:
        raise FileExistsError(f"{options.output!r} exists. Pass --overwrite to replace it.")


def _shown(
    job: Job,
    transform: StyleTransfer,
    bank: StyleBank,
    reading: Reading,
    style_files: Sequence[Path],
    console: Console,
) -> _Shown | None:
    """Stylize a content as ``styleaug stylize`` would, and put before and after side by side."""
    loaded = load(job.files, console, reading)
    if loaded is None:
        return None
    content = Images.cat([loaded.images]).middle()
    params = transform.draw_params(1, ids=[job.name.as_posix()])
    result = torch.as_tensor(transform.apply_transform(content, params))
    before, after = (to_content(batch) for batch in (content.batch, result))
    name, alpha = bank.names[params.style[0]], params.alpha[0]
    files = {file.as_posix(): file for file in style_files}  # the images of a bank are not at hand
    style = thumbnail(files.get(name), console, replace(reading, size=None))
    views = [to_picture(replace(content, batch=batch)) for batch in (content.batch, result)]
    label = f"alpha {alpha:.2f}"
    return _Shown(
        job.name.as_posix(),
        name,
        alpha,
        float(ssim(after, before)),
        float(edge_correlation(after, before)),
        255.0 * float((after - before).abs().mean()),
        comparison_sheet([(views[0], style, views[1])], [label], cell=_CELL),
    )


def _page(shown: Sequence[_Shown], notes: Sequence[str]) -> str:
    parts = [wide_table(_HEAD, [one.row() for one in shown])]
    for one in shown:
        parts += [
            f"<h2>{escape(one.name)}</h2>",
            picture(one.sheet, f"{one.name}, before and after"),
        ]
    return html_page("Before and after", notes, parts)
