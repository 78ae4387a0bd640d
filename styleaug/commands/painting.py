"""Reading, stylizing and writing image files; broken ones are named and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console

from styleaug.commands.jobs import Job
from styleaug.commands.messages import complain
from styleaug.images.batch import Images, as_images
from styleaug.images.files import ImageFile, read_image, write_image
from styleaug.styles.bank import StyleBank
from styleaug.stylizers.base import Stylizer
from styleaug.transform import StyleTransfer


@dataclass(frozen=True)
class Loaded:
    """An image file that was read and checked.

    Attributes:
        file: What its outputs are written like.
        images: Its pixels, resized if that was asked for.
    """

    file: ImageFile
    images: Images


class Painter:
    """Stylizes jobs batch by batch and remembers what could not be read.

    Args:
        transform: What stylizes; its styles are a bank.
        console: Where broken files are named.
        size: Longest side that contents are resized to; None keeps their size.
    """

    def __init__(
        self, transform: StyleTransfer, console: Console, *, size: int | None = None
    ) -> None:
        self.transform, self.console, self.size = transform, console, size
        self.broken: list[Path] = []

    def paint(self, jobs: Sequence[Job], batch_size: int, advance: Callable[[int], object]) -> None:
        """Write the outputs of all jobs; images of equal size that follow each other go together.

        Args:
            jobs: What to do.
            batch_size: Most images that go through at once.
            advance: Called with the number of contents that were dealt with.
        """
        for batch in _batches(self._loaded(jobs, advance), batch_size):
            self._paint_batch(batch)
            advance(len(batch))

    def _loaded(
        self, jobs: Sequence[Job], advance: Callable[[int], object]
    ) -> Iterator[tuple[Job, Loaded]]:
        for job in jobs:
            stylizer = self.transform.stylizer_on(self.transform.device or "cpu")
            loaded = load(job.source, self.console, size=self.size, stylizer=stylizer)
            if loaded is None:
                self.broken.append(job.source)
                advance(1)
            else:
                yield job, loaded

    def _paint_batch(self, batch: Sequence[tuple[Job, Loaded]]) -> None:
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
                write_image(job.targets[view_index], pixels, loaded.file)


def load(
    path: Path, console: Console, *, size: int | None = None, stylizer: Stylizer | None = None
) -> Loaded | None:
    """Return an image file that can be stylized, or name on the console what is wrong with it."""
    try:
        file = read_image(path)
        images = as_images(file.pixels)
        images = images if size is None else _resized(images, size)
        if stylizer is not None:
            images.check_sides(stylizer.least_side, stylizer.name)
        return Loaded(file, images)
    except (OSError, ValueError, TypeError) as error:
        complain(console, f"skipped {path}: {error}")
        return None


def encode_styles(
    paths: Sequence[Path], stylizer: Stylizer, console: Console, advance: Callable[[int], object]
) -> tuple[StyleBank, list[Path]]:
    """Return the bank of the style files that can be read, and those that cannot.

    Raises:
        ValueError: If none can be read.
    """
    codes, names, broken = [], [], []
    for path in paths:
        loaded = load(path, console, stylizer=stylizer)
        if loaded is None:
            broken.append(path)
        else:
            codes.append(StyleBank.from_images([loaded.images], stylizer))
            names.append(path.as_posix())
        advance(1)
    if not codes:
        raise ValueError(f"--style must hold an image that can be read, all {len(broken)} failed.")
    return StyleBank.cat(codes, names), broken


def _resized(images: Images, size: int) -> Images:
    batch = images.batch
    height, width = batch.shape[2:]
    scale = size / max(height, width)
    target = (max(32, round(height * scale)), max(32, round(width * scale)))
    top = 255.0 if batch.dtype == torch.uint8 else 65535.0
    smooth = F.interpolate(batch.to(torch.float32), target, mode="bicubic", antialias=True)
    return replace(images, batch=smooth.clamp_(0.0, top).round_().to(batch.dtype))


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
