"""TIFF files with several pages: stacks of slices or points in time, by tifffile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from styleaug._files import replacing
from styleaug.images.scan import Scan
from styleaug.images.tiff import read_tiff_kind
from styleaug.images.window import Window

_LARGE = 2**26
"""Pixels above which a pyramid is no picture that is read as a whole."""
_PHOTOMETRICS = ("MINISBLACK", "RGB", "YCBCR")
_GREY = ("u1", "u2", "i1", "i2", "i4", "f2", "f4", "f8")


def page_kind(path: Path) -> Literal["one", "stack", "slide", "mixed"]:
    """Return what the pages of a file are; those that are no TIFF have one.

    A slide is a tiled pyramid whose levels are pages, or any that is large; pages of different size
    or data type that are none are "mixed".
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return "one"
    try:
        with tifffile.TiffFile(path) as file:
            pages: Any = file.pages
            first = pages.first
            large = first.imagewidth * first.imagelength > _LARGE
            pyramid = first.is_tiled and len(file.series[0].levels) > 1
            if pyramid and (large or len(pages) > 1):
                return "slide"
            if len(pages) == 1:
                return "one"
            kinds = {(page.shape, page.dtype, page.photometric) for page in pages}
            return "stack" if len(kinds) == 1 else "mixed"
    except tifffile.TiffFileError:  # reading it says what is wrong
        return "one"


def read_stack(path: Path) -> tuple[Scan, tuple[str, ...], Callable[[Path, np.ndarray], None]]:
    """Read a TIFF file with pages of one size as slices, in the order of the file.

    Returns:
        The values, what is lost when it is written again, in words, and a function that writes
        such values to another file like it.

    Raises:
        OSError: If the file is damaged.
        ValueError: If its pages are channels, or neither grey nor RGB.
    """
    kind = read_tiff_kind(path)
    with tifffile.TiffFile(path) as file:
        axes = dict(zip(file.series[0].axes, file.series[0].shape, strict=True))
        if axes.get("C", 1) > 1:
            raise ValueError(
                f"{str(path)!r} must have grey or RGB pages, they are {axes['C']} channels (axes "
                f"{file.series[0].axes}). Save the channels as files of their own."
            )
        first: Any = file.pages.first
        photometric = first.photometric.name
        try:
            values = np.stack([page.asarray() for page in file.pages])
        except (ValueError, OSError, RuntimeError, tifffile.TiffFileError) as error:
            raise OSError(f"cannot read {str(path)!r}: {error}") from error
    grey = values.ndim == 3 and values.dtype.str[1:] in _GREY
    colors = values.shape[3:] == (3,) and values.dtype in (np.uint8, np.uint16)
    if photometric not in _PHOTOMETRICS or not (grey or colors):
        raise ValueError(
            f"{str(path)!r} must have grey pages, or RGB of 8 or 16 bits, got {photometric} pages "
            f"of {values.dtype} and shape {values.shape[1:]}."
        )
    values = values.astype(values.dtype.newbyteorder("="))
    ones = np.ones(len(values))

    def write(target: Path, painted: np.ndarray) -> None:
        with replacing(target) as temporary:
            tifffile.imwrite(
                temporary,
                painted,
                photometric="minisblack" if grey else "rgb",
                description=kind.description,
                software=False,
                metadata=None,
                **kind.options,
            )

    return Scan(values, ones, 0.0 * ones, own=_range(values.dtype)), kind.lost, write


def _range(dtype: np.dtype) -> Window | None:
    """Return black and white of a data type, as pictures have them; None for numbers of a unit."""
    return (0.0, float(np.iinfo(dtype).max)) if dtype.kind == "u" else None
