"""PIL images of every mode as arrays, and back in their mode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

_DIRECT = ("L", "RGB", "RGBA", "I;16", "I", "F")
_SIXTEEN = ("I;16B", "I;16L", "I;16N")
_CONVERTED = {
    "1": "L",
    "P": "RGB",
    "LA": "RGBA",
    "La": "LA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}


def pil_array(image: Image.Image) -> tuple[np.ndarray, Callable[[np.ndarray], Image.Image]]:
    """Return the pixels of a PIL image as grey, RGB or RGBA, and a function that undoes it.

    Unchanged pixels give a copy of the image in its mode: palettes and inks are not recomputed.
    Painted palette images get a new palette.

    Raises:
        ValueError: If the mode cannot be converted.

    Example:
        >>> array, restore = pil_array(Image.new("HSV", (40, 30), (0, 255, 255)))
        >>> array.shape, array[0, 0].tolist(), restore(array).mode
        ((30, 40, 3), [255, 0, 0], 'HSV')
    """
    plain = _plain(image)
    array = np.asarray(plain).astype(np.uint16) if image.mode in _SIXTEEN else np.array(plain)

    def restore(painted: np.ndarray) -> Image.Image:
        if painted.shape == array.shape and np.array_equal(painted, array):
            return image.copy()
        return _in_mode(Image.fromarray(painted), image.mode)

    return array, restore


def _plain(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    if mode == "La":
        return image.convert("LA").convert("RGBA")
    if mode in _CONVERTED:
        return image.convert(_CONVERTED[mode])
    if mode in _DIRECT or mode in _SIXTEEN:
        return image
    raise ValueError(
        f"image must be of a mode that converts to RGB, got PIL mode {mode!r}. Convert it first; "
        "for LAB by ImageCms.profileToProfile."
    )


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode in ("P", "PA"):
        indexed = image.quantize()
        return indexed if mode == "P" else indexed.convert("PA")
    if mode == "1":
        return image.convert("1", dither=Image.Dither.NONE)
    if mode == "La":
        return image.convert("LA").convert("La")
    if mode == "I;16B":
        return Image.frombytes(mode, image.size, np.asarray(image).astype(">u2").tobytes())
    return image.convert(mode) if mode in _CONVERTED else image
