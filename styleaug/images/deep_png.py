"""PNG files of 16 bits a channel in colour, which Pillow would cut to 8."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import png

_MODES = {2: "LA;16", 3: "RGB;16", 4: "RGBA;16"}
_INCH = 0.0254
"""One inch in metres: PNG gives the resolution in pixels per metre."""


def read_deep_png(path: Path) -> np.ndarray:
    """Return uint16 pixels ``(H, W, C)`` of a PNG file of 16 bits.

    Raises:
        png.Error: If it is damaged.
    """
    with path.open("rb") as file:
        width, height, rows, header = png.Reader(file=file).read()
        flat = np.vstack([np.asarray(row, dtype=np.uint16) for row in rows])
    return flat.reshape(height, width, header["planes"])


def write_deep_png(path: Path, pixels: np.ndarray, info: Mapping[str, Any]) -> None:
    """Write uint16 pixels ``(H, W, 2)``, ``(H, W, 3)`` or ``(H, W, 4)`` as a PNG file.

    Args:
        path: The file to write.
        pixels: Grey with opacity, RGB or RGBA.
        info: Metadata to write: ``icc_profile``, ``exif`` and ``dpi``, as Pillow reads them.
    """
    rows = pixels.reshape(len(pixels), -1)
    encoded = io.BytesIO()
    png.from_array(rows, _MODES[pixels.shape[2]]).write(encoded)
    header, *data = png.Reader(bytes=encoded.getvalue()).chunks()
    with path.open("wb") as file:
        png.write_chunks(file, [header, *_chunks(info), *data])


def _chunks(info: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """Return the chunks between header and pixels; PNG, third edition, section 11.3."""
    if profile := info.get("icc_profile"):
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)
    if dpi := info.get("dpi"):
        yield b"pHYs", struct.pack("!IIB", *(round(side / _INCH) for side in dpi), 1)
    if exif := info.get("exif"):
        yield b"eXIf", exif.removeprefix(b"Exif\0\0")
