"""NIfTI files, by nibabel: read as slices in radiological orientation, written bit for bit."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)

from styleaug._files import replacing
from styleaug.images.scan import Scan

_TORCH_KINDS = {"u1", "u2", "i1", "i2", "i4", "i8", "f2", "f4", "f8"}
_BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    nibabel.filebasedimages.ImageFileError,
    nibabel.spatialimages.HeaderDataError,
)


def read_nifti(path: Path) -> tuple[Scan, tuple[float, ...], Callable[[Path, np.ndarray], None]]:
    """Read a NIfTI file of up to four dimensions.

    If the file has an orientation, slices are axial, with the patient's left on the right and the
    back at the bottom; otherwise they are cut along the last axis. Points in time are further
    slices.

    Returns:
        The values as they are stored, the spacing of slices, rows and columns in the unit of the
        file, and a function that writes such values to another file with the same header, affine,
        extensions and data type, bit for bit.

    Raises:
        OSError: If the file is damaged.
        ValueError: If its data type or dimensions are not supported.
    """
    try:
        image: Any = nibabel.load(path)
        stored = np.asarray(image.dataobj.get_unscaled())
    except _BROKEN as error:
        raise OSError(f"cannot read {str(path)!r}: {error}") from error
    except ValueError as error:
        raise OSError(f"cannot read {str(path)!r}: it ends too early ({error})") from error
    to_slices, from_slices = _orientation(image, stored.shape, path)
    values = to_slices(_plain(stored, path))
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    ones = np.ones(len(values))
    scan = Scan(values, ones * slope, ones * intercept, storable=_storable(stored.dtype))

    def write(target: Path, painted: np.ndarray) -> None:
        _splice(path, target, image.dataobj.offset, _as_stored(from_slices(painted), stored.dtype))

    zooms = [float(zoom) for zoom in image.header.get_zooms()[:3]]
    return scan, tuple(reversed(zooms)), write


def _plain(stored: np.ndarray, path: Path) -> np.ndarray:
    """Return an array with a data type of PyTorch, in the byte order of this machine."""
    if stored.dtype.names == ("R", "G", "B"):
        return np.stack([stored[name] for name in "RGB"], axis=-1)
    kind = stored.dtype.str[1:]
    if kind == "u4":
        return stored.astype(np.int64)
    if kind not in _TORCH_KINDS:
        raise ValueError(f"{str(path)!r} must hold real numbers or RGB, got {stored.dtype}.")
    return stored.astype(stored.dtype.newbyteorder("="))


def _storable(dtype: np.dtype[Any]) -> tuple[int, int] | None:
    return (0, 2**32 - 1) if dtype.str[1:] == "u4" else None


def _as_stored(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype.names is None:
        return values.astype(dtype)
    out = np.empty(values.shape[:-1], dtype)
    for index, name in enumerate(dtype.names):
        out[name] = values[..., index]
    return out


def _orientation(
    image: Any, shape: tuple[int, ...], path: Path
) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """Return the functions to slices ``(D, H, W[, 3])`` and back to ``(x, y[, z[, t]][, 3])``."""
    full = (*shape, 1, 1)[:4] if len(shape) < 4 else shape
    if any(side != 1 for side in full[4:]) or 0 in shape:
        raise ValueError(f"{str(path)!r} must have up to four dimensions, got {shape}.")
    turn, undo = _turns(image, full[:3])
    turned = apply_orientation(np.empty(full[:3], np.uint8), turn).shape

    def to_slices(values: np.ndarray) -> np.ndarray:
        colors = values.shape[len(shape) :]
        lying: np.ndarray = apply_orientation(values.reshape(*full[:4], *colors), turn)
        return np.moveaxis(lying, (3, 2, 1, 0), (0, 1, 2, 3)).reshape(
            -1, turned[1], turned[0], *colors
        )

    def from_slices(slices: np.ndarray) -> np.ndarray:
        colors = slices.shape[3:]
        lying = slices.reshape(full[3], turned[2], turned[1], turned[0], *colors)
        lying = np.moveaxis(lying, (0, 1, 2, 3), (3, 2, 1, 0))
        turned_back: np.ndarray = apply_orientation(lying, undo)
        return turned_back.reshape(*shape, *colors)

    return to_slices, from_slices


def _turns(image: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the orientation transforms to axes left, back, head, and back."""
    placed = image.header["sform_code"] > 0 or image.header["qform_code"] > 0
    own = io_orientation(image.affine) if placed and np.isfinite(image.affine).all() else None
    if own is None or np.isnan(own).any():
        same = np.array([[0, 1], [1, 1], [2, 1]], dtype=float)
        return same, same
    lying = axcodes2ornt(("L", "P", "S"))
    return ornt_transform(own, lying), ornt_transform(lying, own)


def _splice(source: Path, target: Path, offset: int, values: np.ndarray) -> None:
    """Write the bytes of a file with other voxel values."""
    content = _bytes(source)
    numbers = values.tobytes(order="F")
    whole = content[:offset] + numbers + content[offset + len(numbers) :]
    with replacing(target) as temporary, temporary.open("wb") as file:
        if source.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                packed.write(whole)
        else:
            file.write(whole)


def _bytes(path: Path) -> bytes:
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as file:
            return file.read()
    return path.read_bytes()
