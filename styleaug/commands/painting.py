"""Reading, stylizing and writing image files; broken ones are named and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console

from styleaug.commands.jobs import Job
from styleaug.commands.messages import complain
from styleaug.images.batch import as_batch
from styleaug.images.files import ImageFile, read_image, write_image
from styleaug.styles.bank import StyleBank
from styleaug.stylizers.base import Stylizer
from styleaug.transform import StyleTransfer

Loaded = tuple[Job, ImageFile]


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

    def _loaded(self, jobs: Sequence[Job], advance: Callable[[int], object]) -> Iterator[Loaded]:
        for job in jobs:
            loaded = load(job.source, self.console, size=self.size)
            if loaded is None:
                self.broken.append(job.source)
                advance(1)
            else:
                yield job, loaded

    def _paint_batch(self, batch: Sequence[Loaded]) -> None:
        pixels = np.stack([file.pixels for _, file in batch])
        images = torch.from_numpy(pixels.reshape(*pixels.shape[:3], -1)).permute(0, 3, 1, 2)
        names = [job.name.as_posix() for job, _ in batch]
        params = self.transform.draw_params(len(batch), ids=names)
        if len(batch[0][0].targets) == 1:
            views = [self.transform.apply_transform(images, params)]
        else:
            styles = range(len(batch[0][0].targets))
            grid = self.transform.stylize_grid(images, styles, alpha=params.alpha)
            views = list(grid.unbind(1))
        for view_index, view in enumerate(views):
            stylized = torch.as_tensor(view).permute(0, 2, 3, 1).numpy().reshape(pixels.shape)
            for (job, file), image in zip(batch, stylized, strict=True):
                write_image(job.targets[view_index], image, file)


def load(path: Path, console: Console, *, size: int | None = None) -> ImageFile | None:
    """Return an image file that can be stylized, or name on the console what is wrong with it."""
    try:
        file = read_image(path)
        as_batch(file.pixels)
        return file if size is None else _resized(file, size)
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
        file = load(path, console)
        if file is None:
            broken.append(path)
        else:
            codes.append(StyleBank.from_images([file.pixels], stylizer))
            names.append(path.as_posix())
        advance(1)
    if not codes:
        raise ValueError(f"--style must hold an image that can be read, all {len(broken)} failed.")
    return StyleBank.cat(codes, names), broken


def _resized(file: ImageFile, size: int) -> ImageFile:
    batch, _ = as_batch(file.pixels)
    height, width = batch.shape[2:]
    scale = size / max(height, width)
    target = (max(32, round(height * scale)), max(32, round(width * scale)))
    planes = batch.to(torch.float32)
    top = 255.0 if file.pixels.dtype == np.uint8 else 65535.0
    smooth = F.interpolate(planes, target, mode="bicubic", antialias=True).clamp_(0.0, top)
    pixels = smooth.round()[0].permute(1, 2, 0).numpy().astype(file.pixels.dtype)
    shaped = pixels[..., 0] if file.pixels.ndim == 2 else pixels
    return ImageFile(shaped, file.format, file.has_grey_opacity, file.info)


def _batches(loaded: Iterator[Loaded], batch_size: int) -> Iterator[list[Loaded]]:
    """Group neighbours of one shape and depth."""
    group: list[Loaded] = []
    for item in loaded:
        pixels = item[1].pixels
        if group and (
            len(group) == batch_size
            or (pixels.shape, pixels.dtype) != (group[0][1].pixels.shape, group[0][1].pixels.dtype)
        ):
            yield group
            group = []
        group.append(item)
    if group:
        yield group
