"""Compressed tiles of TIFF files."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

COMPRESSIONS = ("jpeg", "deflate")
QUALITY = 90


def encode_tile(pixels: np.ndarray, tile: int, compression: str, quality: int = QUALITY) -> bytes:
    """Compress uint8 ``(H, W, 3)``; the outermost pixels are repeated to fill a square tile.

    Example:
        >>> pixels = np.full((20, 32, 3), 7, np.uint8)
        >>> decode_tile(encode_tile(pixels, 32, "deflate"), 32, "deflate")[31, 31].tolist()
        [7, 7, 7]
    """
    height, width = pixels.shape[:2]
    if (height, width) != (tile, tile):
        pixels = np.pad(pixels, ((0, tile - height), (0, tile - width), (0, 0)), mode="edge")
    if compression == "jpeg":
        data: bytes = _imagecodecs().jpeg8_encode(
            np.ascontiguousarray(pixels),
            level=quality,
            colorspace="RGB",
            outcolorspace="YCBCR",
            subsampling="444",
        )
        return data
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]
    return zlib.compress(differences.tobytes(), 6)


def decode_tile(data: bytes, tile: int, compression: str) -> np.ndarray:
    """Return the pixels of a compressed tile, uint8 ``(tile, tile, 3)``."""
    if compression == "jpeg":
        pixels: np.ndarray = _imagecodecs().jpeg8_decode(
            data, colorspace="YCBCR", outcolorspace="RGB"
        )
        return pixels
    differences = np.frombuffer(zlib.decompress(data), np.uint8).reshape(tile, tile, 3)
    return np.cumsum(differences, axis=1, dtype=np.uint8)


def page_options(compression: str) -> dict[str, Any]:
    """Return the arguments of tifffile for a page of such tiles."""
    if compression == "jpeg":
        return {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (1, 1)}
    return {"compression": "zlib", "photometric": "rgb", "predictor": 2}


def check_codec(compression: str) -> None:
    """Raise ``ImportError`` if the library for this compression is not installed."""
    if compression == "jpeg":
        _imagecodecs()


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise ImportError("JPEG tiles need imagecodecs: pip install 'styleaug[slide]'") from error
    return imagecodecs
