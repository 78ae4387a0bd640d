"""Readers of slides: one level, region by region."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

Region = tuple[int, int, int, int]
"""Left, top, width and height in pixels of a level."""

WHITE = 255
_WHOLE = 2**26
"""Largest number of pixels of a strip, for images without tiles."""


class Slide:
    """One level of a slide; it can be used from several threads and pickled.

    Args:
        path: The file.
        level: 0 is the finest.

    Attributes:
        size: Width and height in pixels.
        pixel_size: Micrometres per pixel, horizontally and vertically; None if unknown.
        icc: Colour profile, or None.
        levels: Number of levels of the file.
    """

    size: tuple[int, int]
    pixel_size: tuple[float, float] | None
    icc: bytes | None
    levels: int

    def __init__(self, path: str | Path, level: int = 0) -> None:
        self.path, self.level = Path(path), level

    def read(self, region: Region) -> tuple[np.ndarray, list[Region]]:
        """Return the pixels of a region of the level, and its unreadable parts.

        Args:
            region: Left, top, width and height.

        Returns:
            uint8 ``(H, W, 3)`` with unreadable parts in white, and the list of their regions.
        """
        raise NotImplementedError

    def smallest(self) -> Slide:
        """Return the coarsest level."""
        return open_slide(self.path, self.levels - 1)

    def close(self) -> None:
        """Close the file."""

    def _check_level(self, levels: int) -> None:
        if not 0 <= self.level < levels:
            raise ValueError(
                f"level must be between 0 and {levels - 1} for {str(self.path)!r}, "
                f"got {self.level}."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.level)


class TiffSlide(Slide):
    """A tiled TIFF file: SVS, OME-TIFF, pyramids as pages or sub-images."""

    def __init__(self, path: str | Path, level: int = 0) -> None:
        super().__init__(path, level)
        self._page: Any
        with tifffile.TiffFile(self.path) as file:
            pyramid = file.series[0].levels
            self.levels = len(pyramid)
            self._check_level(self.levels)
            first: Any = pyramid[0].keyframe
            page: Any = pyramid[level].pages[0]
            self._page, self._decode = page, page.decode
            self._check_page()
            finest, self.icc = _pixel_size(first), first.iccprofile
            self._tables = page.jpegtables
        self.size = (int(page.imagewidth), int(page.imagelength))
        scale = (first.imagewidth / self.size[0], first.imagelength / self.size[1])
        self.pixel_size = finest and (finest[0] * scale[0], finest[1] * scale[1])

    def _check_page(self) -> None:
        page = self._page
        if (
            page.dtype != np.uint8
            or page.samplesperpixel not in (1, 3, 4)
            or page.planarconfig != 1
        ):
            raise ValueError(
                f"{str(self.path)!r} must hold 8-bit grey or RGB pixels, it holds {page.dtype} "
                f"with {page.samplesperpixel} samples. Convert it first."
            )
        side = page.tilelength if page.is_tiled else page.rowsperstrip
        if page.imagewidth * min(side, page.imagelength) > _WHOLE and not page.is_tiled:
            raise ValueError(
                f"{str(self.path)!r} must be in tiles: its strips do not fit into memory. Write it "
                "in tiles first (vips tiffsave --tile)."
            )

    def read(self, region: Region) -> tuple[np.ndarray, list[Region]]:
        """See `Slide.read`."""
        left, top, width, height = region
        out = np.full((height, width, 3), WHITE, np.uint8)
        broken = []
        for index, place in self._segments(region):
            x, y, w, h = place
            to = (
                slice(max(y, top) - top, min(y + h, top + height) - top),
                slice(max(x, left) - left, min(x + w, left + width) - left),
            )
            try:
                pixels = self._segment(index)
            except Exception:  # decoders raise errors of many kinds
                broken.append(place)
                continue
            if pixels is not None:
                y0, x0 = max(top - y, 0), max(left - x, 0)
                out[to] = pixels[y0 : y0 + out[to].shape[0], x0 : x0 + out[to].shape[1]]
        return out, broken

    def _segments(self, region: Region) -> Iterator[tuple[int, Region]]:
        page, (left, top, width, height) = self._page, region
        w = page.tilewidth if page.is_tiled else self.size[0]
        h = page.tilelength if page.is_tiled else page.rowsperstrip
        across = -(-self.size[0] // w)
        rows = range(top // h, -(-(top + height) // h))
        for row, column in product(rows, range(left // w, -(-(left + width) // w))):
            yield row * across + column, (column * w, row * h, w, h)

    def _segment(self, index: int) -> np.ndarray | None:
        """Return the pixels of a tile, or None if the file does not store it."""
        page = self._page
        count = page.databytecounts[index]
        if count == 0:
            return None
        with self.path.open("rb") as file:  # its own: processes that were forked share no place
            file.seek(page.dataoffsets[index])
            data = file.read(count)
        if len(data) != count:
            raise ValueError("the file ends too early")
        pixels = self._decode(data, index, jpegtables=self._tables)[0]
        if pixels is None:
            return None
        first: np.ndarray = pixels[0]
        return first[..., :3] if first.shape[2] > 1 else first.repeat(3, axis=2)


class OpenSlideSlide(Slide):
    """A slide in a vendor format, such as MRXS, NDPI or DICOM, read by OpenSlide."""

    def __init__(self, path: str | Path, level: int = 0) -> None:
        super().__init__(path, level)
        self._open()
        self.levels = self._slide.level_count
        self._check_level(self.levels)
        self.size = self._slide.level_dimensions[level]
        self._scale = self._slide.level_downsamples[level]
        self._lock = threading.Lock()
        sizes = [self._slide.properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
        x, y = (None if size is None else float(size) * self._scale for size in sizes)
        self.pixel_size = None if x is None or y is None else (x, y)
        profile: Any = self._slide.color_profile
        self.icc = None if profile is None else profile.tobytes()

    def _open(self) -> None:
        import openslide

        self._slide: Any = openslide.OpenSlide(self.path)

    def read(self, region: Region) -> tuple[np.ndarray, list[Region]]:
        """See `Slide.read`."""
        left, top, width, height = region
        place = (round(left * self._scale), round(top * self._scale))
        try:
            rgba = np.asarray(self._slide.read_region(place, self.level, (width, height)))
        except Exception:  # OpenSlide gives nothing more after an error
            with self._lock:
                self._open()
            return np.full((height, width, 3), WHITE, np.uint8), [region]
        opacity = rgba[..., 3:].astype(np.uint16)
        blended = (rgba[..., :3] * opacity + WHITE * (255 - opacity) + 127) // 255
        return blended.astype(np.uint8), []

    def close(self) -> None:
        """See `Slide.close`."""
        self._slide.close()


def open_slide(path: str | Path, level: int = 0) -> Slide:
    """Open one level of a slide.

    Args:
        path: A tiled TIFF file (SVS, OME-TIFF), read by tifffile, or a format of OpenSlide.
        level: 0 is the finest.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the library that reads it is not installed.
        ValueError: If it is not a slide, or has no such level.

    Example:
        >>> open_slide("missing.svs")
        Traceback (most recent call last):
        FileNotFoundError: 'missing.svs' does not exist.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist.")
    try:
        with tifffile.TiffFile(path) as file:
            tiff = file.pages.first.is_tiled
    except (tifffile.TiffFileError, OSError):
        tiff = False
    if tiff:
        return TiffSlide(path, level)
    try:
        import openslide
    except ImportError as error:
        raise ImportError("Slides need OpenSlide: pip install 'styleaug[slide]'") from error
    try:
        return OpenSlideSlide(path, level)
    except openslide.OpenSlideError as error:
        if Path(path).suffix.lower() in (".tif", ".tiff", ".svs"):
            return TiffSlide(path, level)
        raise ValueError(f"{str(path)!r} must be a slide that OpenSlide reads: {error}") from error


def _pixel_size(page: Any) -> tuple[float, float] | None:
    """Return micrometres per pixel from OME-XML, Aperio's text or the tags of the finest level."""
    text = page.description or ""
    found = [re.search(rf'PhysicalSize{axis}="([\d.eE+-]+)"', text) for axis in "XY"]
    unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
    if found[0] and found[1] and (unit is None or unit[1] in ("µm", "um")):
        return float(found[0][1]), float(found[1][1])
    if aperio := re.search(r"MPP\s*=\s*([\d.]+)", text):
        return float(aperio[1]), float(aperio[1])
    tag = page.tags.valueof(296, 2)
    sides = [page.tags.valueof(code) for code in (282, 283)]
    if tag not in (2, 3) or not all(side and side[0] and side[1] for side in sides):
        return None
    length = 25400.0 if tag == 2 else 10000.0
    x, y = (length * side[1] / side[0] for side in sides)
    return (x, y) if max(x, y) < 50.0 else None  # 72 dots per inch are no microscope's
