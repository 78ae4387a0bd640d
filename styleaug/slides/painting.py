"""Stylize a slide as a stream, and write it as a pyramid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile

from styleaug._checks import check_choice, check_count
from styleaug._files import replacing
from styleaug.images.slide import Region, Slide
from styleaug.images.slide_tissue import grid
from styleaug.slides.codec import (
    COMPRESSIONS,
    QUALITY,
    check_codec,
    decode_tile,
    encode_tile,
    page_options,
)
from styleaug.slides.spool import Spool
from styleaug.slides.style import SlideStyle

SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif")


@dataclass
class SlidePainting:
    """The record of a written pyramid.

    Attributes:
        path: The pyramid.
        sizes: Width and height of its levels.
        broken: Regions of the slide that could not be read; they are white.
    """

    path: Path
    sizes: list[tuple[int, int]]
    broken: list[Region] = field(default_factory=list)


def stylize_slide(
    slide: Slide,
    output: str | Path,
    style: SlideStyle,
    *,
    tile: int = 1024,
    compression: str = "jpeg",
    quality: int = QUALITY,
    workers: int = 2,
    overwrite: bool = False,
    advance: Callable[[int, int], object] = lambda done, total: None,
) -> SlidePainting:
    """Paint a slide tile by tile and write a tiled, compressed pyramid.

    Memory does not grow with the slide. Finished tiles are kept in a folder beside the output,
    ``OUTPUT.tiles``; after an interruption the same call continues and writes the same bytes.

    Args:
        slide: The level to paint.
        output: A ``.tif``, ``.tiff`` or ``.ome.tiff`` file.
        style: The style that paints the tiles.
        tile: Side of the tiles in pixels, a multiple of 16.
        compression: "jpeg", or "deflate", which is lossless.
        quality: Quality of JPEG, 1 to 100.
        workers: Threads that read, paint and compress tiles.
        overwrite: Replace an existing output, and start again if the settings have changed.
        advance: Called with the numbers of finished tiles and of all tiles, over all levels.

    Returns:
        The record of the pyramid, which lists unreadable regions; these are white.

    Raises:
        FileExistsError: If the output exists, or tiles of other settings do.
        ImportError: If the library for the compression is not installed.
        OSError: If the disk is full; finished tiles are kept.
        ValueError: If an argument does not fit.

    Example:
        >>> stylize_slide(open_slide("slide.svs"), "out.ome.tiff", style)  # doctest: +SKIP
    """
    path = Path(output)
    _check(slide, path, tile, compression, quality, workers, overwrite)
    settings = _settings(slide, style, tile, compression, quality)
    spool = Spool(path, settings, restart=overwrite)
    work = _Pyramid(slide, style, spool, tile, compression, quality)
    broken = work.paint(workers, advance)
    with replacing(path) as temporary:
        work.write(temporary, ome=path.name.lower().endswith(SUFFIXES[:2]))
    spool.remove()
    return SlidePainting(path, work.sizes, sorted(broken, key=lambda r: (r[1], r[0])))


@dataclass
class _Pyramid:
    slide: Slide
    style: SlideStyle
    spool: Spool
    tile: int
    compression: str
    quality: int

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of the levels, down to one tile."""
        sizes = [self.slide.size]
        while max(sizes[-1]) > self.tile:
            width, height = sizes[-1]
            sizes.append(((width + 1) // 2, (height + 1) // 2))
        return sizes

    def paint(self, workers: int, advance: Callable[[int, int], object]) -> set[Region]:
        """Make all missing tiles, level by level; returns the unreadable regions."""
        levels = [grid(size, self.tile) for size in self.sizes]
        total, done = sum(map(len, levels)), 0
        broken: set[Region] = set()
        for level, regions in enumerate(levels):
            stale = level > 0 and bool(broken)  # below a tile that was tried again
            for found in self._in_threads(level, regions, workers, stale):
                broken.update(found)
                done += 1
                advance(done, total)
        return broken

    def _in_threads(
        self, level: int, regions: list[Region], workers: int, stale: bool
    ) -> Iterator[list[Region]]:
        left = iter(enumerate(regions))
        pool = ThreadPoolExecutor(workers)
        try:
            begun = {
                pool.submit(self._make, level, i, r, stale) for i, r in islice(left, 2 * workers)
            }
            while begun:
                finished, begun = wait(begun, return_when=FIRST_COMPLETED)
                more = islice(left, len(finished))
                begun |= {pool.submit(self._make, level, i, r, stale) for i, r in more}
                for future in finished:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, level: int, index: int, region: Region, stale: bool) -> list[Region]:
        if self.spool.has(level, index) and not stale:
            return []
        pixels, broken = self._painted(region) if level == 0 else (self._halved(level, region), [])
        data = encode_tile(pixels, self.tile, self.compression, self.quality)
        self.spool.write(level, index, data, broken=bool(broken) or stale)
        return broken

    def _painted(self, region: Region) -> tuple[np.ndarray, list[Region]]:
        (x, y, w, h), border = region, self.style.border
        left, top = max(0, x - border), max(0, y - border)
        right, low = (
            min(x + w + border, self.slide.size[0]),
            min(y + h + border, self.slide.size[1]),
        )
        pixels, broken = self.slide.read((left, top, right - left, low - top))
        painted = self.style(pixels)
        for bx, by, bw, bh in broken:
            painted[
                max(0, by - top) : max(0, by + bh - top), max(0, bx - left) : max(0, bx + bw - left)
            ] = 255
        return painted[y - top : y - top + h, x - left : x - left + w], broken

    def _halved(self, level: int, region: Region) -> np.ndarray:
        """Return a tile as means of four pixels of the level above."""
        width, height = self.sizes[level - 1]
        across = -(-width // self.tile)
        x, y, w, h = region
        above = np.zeros((2 * h, 2 * w, 3), np.uint8)
        for row, column in product(range(2), range(2)):
            left, top = 2 * x + column * self.tile, 2 * y + row * self.tile
            if left >= width or top >= height or left >= 2 * (x + w) or top >= 2 * (y + h):
                continue
            data = self.spool.read(level - 1, top // self.tile * across + left // self.tile)
            part = decode_tile(data, self.tile, self.compression)
            place = above[row * self.tile :, column * self.tile :][: self.tile, : self.tile]
            place[:] = part[: place.shape[0], : place.shape[1]]
        if 2 * (y + h) > height:
            above[-1] = above[-2]
        if 2 * (x + w) > width:
            above[:, -1] = above[:, -2]
        sums = above.reshape(h, 2, w, 2, 3).astype(np.uint16).sum(axis=(1, 3))
        means: np.ndarray = ((sums + 2) // 4).astype(np.uint8)
        return means

    def write(self, path: Path, *, ome: bool) -> None:
        """Write the file from the tiles."""
        sizes = self.sizes
        with tifffile.TiffWriter(path, bigtiff=True, ome=False) as file:
            for level, size in enumerate(sizes):
                first = level == 0
                file.write(
                    (self.spool.read(level, i) for i in range(len(grid(size, self.tile)))),
                    shape=(size[1], size[0], 3),
                    dtype=np.uint8,
                    tile=(self.tile, self.tile),
                    iccprofile=self.slide.icc,
                    description=_ome_xml(self.slide) if first and ome else None,
                    subifds=len(sizes) - 1 if first else None,
                    subfiletype=0 if first else 1,
                    software=False,
                    metadata=None,
                    **page_options(self.compression),
                    **_resolution(self.slide, 2**level),
                )


def _settings(
    slide: Slide, style: SlideStyle, tile: int, compression: str, quality: int
) -> dict[str, Any]:
    stat = slide.path.stat()
    return {
        "slide": [slide.path.name, stat.st_size, stat.st_mtime_ns],
        "level": slide.level,
        "tile": tile,
        "compression": [compression, quality if compression == "jpeg" else None],
        **style.settings(),
    }


def _resolution(slide: Slide, factor: int) -> dict[str, Any]:
    if slide.pixel_size is None:
        return {}
    x, y = (1e4 / (size * factor) for size in slide.pixel_size)
    return {"resolution": (x, y), "resolutionunit": "CENTIMETER"}


def _ome_xml(slide: Slide) -> bytes:
    (width, height), sizes = slide.size, ""
    if slide.pixel_size is not None:
        sizes = "".join(
            f' PhysicalSize{axis}="{size:.9g}" PhysicalSize{axis}Unit="µm"'
            for axis, size in zip("XY", slide.pixel_size, strict=True)
        )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0" Name={quoteattr(slide.path.stem)}><Pixels ID="Pixels:0" '
        'DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="{width}" SizeY="{height}" SizeC="3" SizeZ="1" SizeT="1"{sizes}>'
        '<Channel ID="Channel:0:0" SamplesPerPixel="3"/>'
        '<TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )
    return text.encode()


def _check(
    slide: Slide,
    path: Path,
    tile: int,
    compression: str,
    quality: int,
    workers: int,
    overwrite: bool,
) -> None:
    check_choice("compression", compression, COMPRESSIONS)
    check_count("workers", workers)
    check_count("tile", tile)
    if tile % 16:
        raise ValueError(f"tile must be a multiple of 16, got {tile}.")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be between 1 and 100, got {quality}.")
    if not path.name.lower().endswith(SUFFIXES):
        raise ValueError(f"output must be a .tiff or .ome.tiff file, got {str(path)!r}.")
    if path.exists() and path.samefile(slide.path):
        raise ValueError(f"output must be another file than the slide, got {str(path)!r}.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{str(path)!r} exists. Pass overwrite (--overwrite) to replace it.")
    check_codec(compression)
