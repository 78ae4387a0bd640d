"""Read, stylize and write image files; unreadable ones are named and skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from rich.console import Console

from styleaug.commands.jobs import Job
from styleaug.commands.messages import complain, say
from styleaug.commands.overlap import WriteBehind, read_ahead, threads
from styleaug.images.batch import AnyImage, Images
from styleaug.images.files import names_of, other_images
from styleaug.images.medical import is_nifti
from styleaug.images.opening import Opened, find_sources, kind_of, open_image
from styleaug.images.scan import AnyWindow
from styleaug.images.sheet import to_picture
from styleaug.params import StyleParams
from styleaug.styles.bank import StyleBank
from styleaug.styles.volumes import Slices
from styleaug.stylizers.base import Stylizer
from styleaug.transform import StyleTransfer

UNREADABLE = (OSError, ValueError, TypeError)
"""Errors after which a file is named and skipped."""


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
        size: Longest side that images are resized to; None keeps their size.
        window: Black and white of images with more than 8 bits, as in `open_image`.
        stylizer: The stylizer, whose smallest side images must have.
    """

    size: int | None = None
    window: AnyWindow = None
    stylizer: Stylizer | None = None


class Painter:
    """Stylizes jobs batch by batch and remembers what could not be read.

    Args:
        transform: The transform; its styles are a bank.
        console: Where unreadable files are named, and metadata that cannot be kept.
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
        """Write the outputs of all jobs; consecutive images of equal size form batches.

        Args:
            jobs: The jobs.
            batch_size: Largest number of images in a batch.
            advance: Called with the number of finished contents.
        """
        # of series and NIfTI, which are large, one is read while one is painted
        large = any(len(job.files) > 1 or is_nifti(job.files[0]) for job in jobs)
        ahead = 1 if large else batch_size + self.workers
        with threads(self.workers) as pool:
            writes = WriteBehind(pool, ahead)
            reads = read_ahead(pool, self._open, jobs, ahead)
            for batch in _batches(self._loaded(reads, advance), batch_size):
                self._paint_batch(batch, writes)
                advance(len(batch))
            writes.finish()

    def _open(self, job: Job) -> Opened:
        if kind_of(job.files[0]) == "slide":  # before it is read
            raise ValueError("is a whole slide: name a file for it, -o OUT.ome.tiff.")
        return open_files(job.files, self.reading)

    def _loaded(
        self, reads: Iterable[tuple[Job, Future[Opened]]], advance: Callable[[int], object]
    ) -> Iterator[tuple[Job, Opened]]:
        for job, future in reads:
            try:
                loaded = future.result()
            except UNREADABLE as error:
                complain(self.console, f"skipped {job}: {error}")
                self.broken.append(job.files[0])
                advance(1)
            else:
                self._say_what_is_lost(job.files[0], loaded)
                yield job, loaded

    def _say_what_is_lost(self, path: Path, file: Opened) -> None:
        for text in set(file.lost) - self._said:
            self._said.add(text)
            say(self.console, f"{path}: {text} (said once)")

    def _paint_batch(self, batch: Sequence[tuple[Job, Opened]], writes: WriteBehind) -> None:
        images = Images.cat([loaded.images for _, loaded in batch])
        names = [job.name.as_posix() for job, _ in batch]
        params = self.transform.draw_params(len(batch), ids=names)
        for view_index, view in enumerate(self._views(images, params, len(batch[0][0].views))):
            rows = torch.as_tensor(view).split(1)
            for (job, opened), row, alpha in zip(batch, rows, params.alpha, strict=True):
                pixels = np.asarray(opened.images.restore(row))
                how = _description(self.transform, alpha, opened)
                writes.submit(opened.write, job.views[view_index], pixels, how)

    def _views(self, images: Images, params: StyleParams, count: int) -> Iterable[AnyImage]:
        """Return the images in the styles that were drawn, or in each of ``count`` styles."""
        if count == 1:
            return [self.transform.apply_transform(images, params)]
        if images.depth == 1:
            return self.transform.stylize_grid(images, range(count), alpha=params.alpha).unbind(1)
        styles = (replace(params, style=(style,) * len(params)) for style in range(count))
        return (self.transform.apply_transform(images, each) for each in styles)


def _description(transform: StyleTransfer, alpha: float, opened: Opened) -> str:
    """Return a description of what was done, without file names, for formats that store it."""
    name = transform.stylizer_on(transform.device or "cpu").name
    window = "all values" if opened.window is None else "values from {:g} to {:g}"
    return f"style transfer by {name}, alpha {alpha:.3g}, of " + window.format(
        *(opened.window or ())
    )


def open_files(files: Sequence[Path], reading: Reading) -> Opened:
    """Read and check an image file, or the slices of a series; pictures are resized.

    Raises:
        OSError: If it cannot be read.
        TypeError: If its data type is not supported.
        ValueError: If its format is not supported, it is too small, or it is a scan that would be
            resized.
    """
    size = reading.size
    prepare = None if size is None else partial(_resized, size=size)
    opened = open_image(files, window=reading.window, prepare=prepare)
    if size is not None and opened.kind != "picture":
        raise ValueError(
            f"--size={size} is for pictures: a scan whose pixels have a size in millimetres keeps "
            "it. Leave --size out."
        )
    if reading.stylizer is not None:
        opened.images.check_sides(reading.stylizer.least_side, reading.stylizer.name)
    return opened


def load(files: Path | Sequence[Path], console: Console, reading: Reading) -> Opened | None:
    """Return the loaded images, or print what is wrong with the file."""
    paths = (files,) if isinstance(files, Path) else files
    try:
        return open_files(paths, reading)
    except UNREADABLE as error:
        complain(console, f"skipped {paths[0]}: {error}")
        return None


def name_others(console: Console, paths: Sequence[str]) -> None:
    """Print the names of image files in folders that are skipped."""
    if others := other_images(paths):
        complain(console, f"passed over {names_of(others)}")


def encode_styles(
    paths: Sequence[Path],
    stylizer: Stylizer,
    console: Console,
    advance: Callable[[int], object],
    window: AnyWindow = None,
    slices: Slices = None,
    seed: int = 0,
) -> tuple[StyleBank, list[Path]]:
    """Return the bank of all readable style files, and the list of the others.

    Volumes are styles as in `StyleBank.from_files`.

    Raises:
        ValueError: If none can be read.
    """
    reading = Reading(window=window, stylizer=stylizer)
    banks: list[StyleBank] = []
    broken: list[Path] = []
    for files in find_sources(paths):
        opened = load(files, console, reading)
        if opened is None:
            broken += files
        else:
            banks.append(
                StyleBank.from_volume(opened.images, stylizer, files[0], slices=slices, seed=seed)
            )
        advance(len(files))
    if not banks:
        raise ValueError(f"--style must hold an image that can be read, all {len(broken)} failed.")
    return StyleBank.cat(banks), broken


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
    loaded: Iterator[tuple[Job, Opened]], batch_size: int
) -> Iterator[list[tuple[Job, Opened]]]:
    """Group neighbours of one shape and depth."""
    group: list[tuple[Job, Opened]] = []
    for item in loaded:
        full = len(group) == batch_size or item[1].images.depth > 1
        if group and (full or _kind(item) != _kind(group[0])):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _kind(item: tuple[Job, Opened]) -> tuple[torch.Size, torch.dtype, int]:
    batch = item[1].images.batch
    return batch.shape, batch.dtype, item[1].images.depth


def thumbnail(path: Path | None, console: Console, reading: Reading) -> Image.Image | None:
    """Return the picture of a file, or None where there is no file or it cannot be read."""
    loaded = None if path is None else load(path, console, reading)
    return None if loaded is None else to_picture(Images.cat([loaded.images]).middle())
