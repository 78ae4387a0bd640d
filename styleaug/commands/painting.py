"""Reading, stylizing and writing image files; broken ones are named and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console

from styleaug.commands.jobs import Job
from styleaug.commands.messages import complain, say
from styleaug.commands.overlap import WriteBehind, read_ahead, threads
from styleaug.images.batch import Images, as_images, has_eight_bits
from styleaug.images.files import ImageFile, names_of, other_images, read_image, write_image
from styleaug.images.window import Window
from styleaug.styles.bank import StyleBank
from styleaug.stylizers.base import Stylizer
from styleaug.transform import StyleTransfer

UNREADABLE = (OSError, ValueError, TypeError)
"""What is wrong with a file that is named and left out."""


@dataclass(frozen=True)
class Loaded:
    """An image file that was read and checked.

    Attributes:
        file: What its outputs are written like.
        images: Its pixels, resized if that was asked for.
    """

    file: ImageFile
    images: Images


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
        size: Longest side that images are resized to; None keeps their size.
        window: Black and white of images of more than 8 bits; None: those of the data type.
        stylizer: Whose least side they must have.
    """

    size: int | None = None
    window: Window | None = None
    stylizer: Stylizer | None = None


class Painter:
    """Stylizes jobs batch by batch and remembers what could not be read.

    Args:
        transform: What stylizes; its styles are a bank.
        console: Where broken files are named, and what cannot be kept of the others.
        reading: How contents are read.
        workers: Threads that read and write while the stylizer works.
    """

    def __init__(
        self, transform: StyleTransfer, console: Console, reading: Reading, workers: int
    ) -> None:
        self.transform, self.console, self.reading = transform, console, reading
        self.workers = workers
        self.broken: list[Path] = []
        self._said: set[str] = set()

    def paint(self, jobs: Sequence[Job], batch_size: int, advance: Callable[[int], object]) -> None:
        """Write the outputs of all jobs; images of equal size that follow each other go together.

        Args:
            jobs: What to do.
            batch_size: Most images that go through at once.
            advance: Called with the number of contents that were dealt with.
        """
        with threads(self.workers) as pool:
            writes = WriteBehind(pool, batch_size + self.workers)
            reads = read_ahead(pool, self._open, jobs, batch_size + self.workers)
            for batch in _batches(self._loaded(reads, advance), batch_size):
                self._paint_batch(batch, writes)
                advance(len(batch))
            writes.finish()

    def _open(self, job: Job) -> Loaded:
        return open_image(job.source, self.reading)

    def _loaded(
        self, reads: Iterable[tuple[Job, Future[Loaded]]], advance: Callable[[int], object]
    ) -> Iterator[tuple[Job, Loaded]]:
        for job, future in reads:
            try:
                loaded = future.result()
            except UNREADABLE as error:
                complain(self.console, f"skipped {job.source}: {error}")
                self.broken.append(job.source)
                advance(1)
            else:
                self._say_what_is_lost(job.source, loaded.file)
                yield job, loaded

    def _say_what_is_lost(self, path: Path, file: ImageFile) -> None:
        for text in set(file.lost) - self._said:
            self._said.add(text)
            say(self.console, f"{path}: {text} (said once)")

    def _paint_batch(self, batch: Sequence[tuple[Job, Loaded]], writes: WriteBehind) -> None:
        images = Images.cat([loaded.images for _, loaded in batch])
        names = [job.name.as_posix() for job, _ in batch]
        params = self.transform.draw_params(len(batch), ids=names)
        if len(batch[0][0].targets) == 1:
            views = [self.transform.apply_transform(images, params)]
        else:
            styles = range(len(batch[0][0].targets))
            grid = self.transform.stylize_grid(images, styles, alpha=params.alpha)
            views = list(grid.unbind(1))
        for view_index, view in enumerate(views):
            for (job, loaded), row in zip(batch, torch.as_tensor(view).split(1), strict=True):
                pixels = np.asarray(loaded.images.restore(row))
                writes.submit(write_image, job.targets[view_index], pixels, loaded.file)


def open_image(path: Path, reading: Reading) -> Loaded:
    """Read and check an image file.

    Raises:
        OSError: If it cannot be read.
        TypeError: If it holds another kind of numbers.
        ValueError: If it is of another kind or too small.
    """
    file = read_image(path)
    pixels = file.pixels if reading.size is None else _resized(file.pixels, reading.size)
    window = None if has_eight_bits(pixels) else reading.window
    images = as_images(pixels, value_range=window)
    if reading.stylizer is not None:
        images.check_sides(reading.stylizer.least_side, reading.stylizer.name)
    return Loaded(file, images)


def load(path: Path, console: Console, reading: Reading) -> Loaded | None:
    """Return an image file that can be stylized, or name on the console what is wrong with it."""
    try:
        return open_image(path, reading)
    except UNREADABLE as error:
        complain(console, f"skipped {path}: {error}")
        return None


def name_others(console: Console, paths: Sequence[str]) -> None:
    """Name the image files in folders that are passed over."""
    if others := other_images(paths):
        complain(console, f"passed over {names_of(others)}")


def encode_styles(
    paths: Sequence[Path],
    stylizer: Stylizer,
    console: Console,
    advance: Callable[[int], object],
    window: Window | None = None,
) -> tuple[StyleBank, list[Path]]:
    """Return the bank of the style files that can be read, and those that cannot.

    Raises:
        ValueError: If none can be read.
    """
    reading = Reading(window=window, stylizer=stylizer)
    codes, names, broken = [], [], []
    for path in paths:
        loaded = load(path, console, reading)
        if loaded is None:
            broken.append(path)
        else:
            codes.append(StyleBank.from_images([loaded.images], stylizer))
            names.append(path.as_posix())
        advance(1)
    if not codes:
        raise ValueError(f"--style must hold an image that can be read, all {len(broken)} failed.")
    return StyleBank.cat(codes, names), broken


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    planes = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1).astype(np.float32))
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    target = (max(1, round(height * scale)), max(1, round(width * scale)))
    batch = planes.permute(2, 0, 1)[None]
    smooth = F.interpolate(batch, target, mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    top = np.iinfo(pixels.dtype).max
    whole = smooth.clamp_(0.0, top).round_().numpy().astype(pixels.dtype)
    return whole.reshape(*target, *pixels.shape[2:])


def _batches(
    loaded: Iterator[tuple[Job, Loaded]], batch_size: int
) -> Iterator[list[tuple[Job, Loaded]]]:
    """Group neighbours of one shape and depth."""
    group: list[tuple[Job, Loaded]] = []
    for item in loaded:
        full = len(group) == batch_size
        if group and (full or _kind(item) != _kind(group[0])):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _kind(item: tuple[Job, Loaded]) -> tuple[torch.Size, torch.dtype]:
    batch = item[1].images.batch
    return batch.shape, batch.dtype
