"""TIFF files: how a file was written, and writing another like it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

_DEFLATE: dict[int, str | None] = {
    tifffile.COMPRESSION.NONE: None,
    tifffile.COMPRESSION.ADOBE_DEFLATE: "zlib",
    tifffile.COMPRESSION.DEFLATE: "zlib",
}
"""Compressions that are kept; all others become deflate, which is lossless."""

_DESCRIPTION, _ICC, _SUBIFDS = 270, 34675, 330
_CARRIED = {
    269: "DocumentName",
    271: "Make",
    272: "Model",
    305: "Software",
    306: "DateTime",
    315: "Artist",
    316: "HostComputer",
    700: "XMP",
    33432: "Copyright",
}
# What the layout of the pixels asks for, and what is passed on by name.
_STRUCTURE = {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 274, 277, 278, 279, 280, 281, 282}
_STRUCTURE |= {283, 284, 292, 293, 296, 317, 318, 319, 320, 322, 323, 324, 325, 338, 339, 340, 341}
_STRUCTURE |= {347, 529, 530, 531, 532, _DESCRIPTION, _ICC, _SUBIFDS}


@dataclass(frozen=True)
class TiffKind:
    """How a TIFF file was written.

    Attributes:
        options: What `tifffile.imwrite` takes to write another like it.
        description: The image description, such as OME-XML; valid for images of this size.
        shape: Height and width.
        lost: What cannot be kept, in words.
    """

    options: dict[str, Any]
    description: bytes | None
    shape: tuple[int, int]
    lost: tuple[str, ...] = field(default=())


def read_tiff_kind(path: Path) -> TiffKind:
    """Return how a TIFF file was written.

    Raises:
        tifffile.TiffFileError: If it is no TIFF file.
    """
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        description = page.tags.get(_DESCRIPTION)
        text = None if description is None else _bytes(description.value)
        options = {
            "byteorder": file.byteorder,
            "bigtiff": file.is_bigtiff,
            "compression": _DEFLATE.get(page.compression, "zlib"),
            "tile": (page.tilelength, page.tilewidth) if page.is_tiled else None,
            "iccprofile": page.iccprofile,
            "extratags": tuple(_carried(page)),
            **_resolution(page),
        }
        return TiffKind(options, text, (page.shape[0], page.shape[1]), tuple(_lost(page)))


def write_tiff(path: Path, pixels: np.ndarray, kind: TiffKind) -> None:
    """Write 8 or 16-bit pixels, grey, grey with opacity or colour, as a TIFF file like another."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    same_size = pixels.shape[:2] == tuple(kind.shape)
    tifffile.imwrite(
        path,
        pixels,
        photometric="minisblack" if channels < 3 else "rgb",
        planarconfig="contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        description=kind.description if same_size else None,
        software=False,
        metadata=None,
        **kind.options,
    )


def _resolution(page: Any) -> dict[str, Any]:
    sides = [page.tags.get(code) for code in (282, 283)]
    if None in sides:
        return {}
    unit = page.tags.get(296)
    return {
        "resolution": tuple(side.value for side in sides),
        "resolutionunit": None if unit is None else unit.value,
    }


def _carried(page: Any) -> Iterator[tuple[int, int, int, Any, bool]]:
    for tag in page.tags:
        if tag.code in _CARRIED:
            yield tag.code, tag.dtype, tag.count, tag.value, True
        elif tag.code == 274:  # orientation: kept, not applied
            yield tag.code, tag.dtype, tag.count, int(tag.value), True


def _lost(page: Any) -> Iterator[str]:
    if page.compression not in _DEFLATE:
        yield f"{page.compression.name} compression becomes deflate"
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1:
        yield "planes of their own become interleaved"
    if _SUBIFDS in page.tags:
        yield "smaller copies (a pyramid) are left out"
    others = [tag.name for tag in page.tags if tag.code not in _STRUCTURE | set(_CARRIED)]
    if others:
        yield f"tags are left out: {', '.join(others)}"


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
