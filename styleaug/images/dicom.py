"""DICOM files, by pydicom: read as stored values, written as derived images.

Messages never repeat a value from a file, because it could be the name of a patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    VLWholeSlideMicroscopyImageStorage,
    generate_uid,
)

from styleaug import __version__
from styleaug._files import replacing
from styleaug.images.scan import Scan
from styleaug.images.window import Window

_STALE = ("IconImageSequence", "DigitalSignaturesSequence", "MACParametersSequence")
"""Elements that would still show, or vouch for, the old pixels."""
_PALETTE = ("Red", "Green", "Blue")
_SHARED = (
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "BitsStored",
    "PixelRepresentation",
    "PhotometricInterpretation",
)
_SLIDE = ("SOPClassUID", "TotalPixelMatrixColumns")
_PLACE = ("ImageOrientationPatient", "ImagePositionPatient", "InstanceNumber", "NumberOfFrames")


def dicom_series(files: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Group files by series, the slices sorted by their position along its normal.

    Slices are grouped if they share series, size, orientation and storage and give a position. Two
    X-ray views of one series therefore stay two images. The levels of a slide are one group, the
    finest first.
    """
    groups: dict[Any, list[tuple[Any, Path]]] = {}
    for file in files:
        key, place = _place(file)
        groups.setdefault(key, []).append((place, file))
    ordered = (sorted(group, key=lambda item: item[0]) for group in groups.values())
    return [tuple(file for _, file in group) for group in ordered]


def is_dicom_slide(file: Path) -> bool:
    """Return whether a DICOM file is a level of a whole slide."""
    data = _read(file, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    return bool(data.get("SOPClassUID") == VLWholeSlideMicroscopyImageStorage)


def read_dicom(files: Sequence[Path]) -> tuple[Scan, tuple[float, ...] | None, bytes | None]:
    """Read one file, of one or more frames, or the slices of a series.

    Returns:
        The values as they are stored, the spacing of slices, rows and columns in millimetres if the
        file gives it, and the colour profile.

    Raises:
        OSError: If a file is damaged, or its decoder is not installed.
        ValueError: If a file holds no image of 8 or 16 bits.
    """
    sets = [_read(file) for file in files]
    stacks = [_frames(data, file) for data, file in zip(sets, files, strict=True)]
    first = sets[0]
    pairs = [
        _rescale(data, frame)
        for data, stack in zip(sets, stacks, strict=True)
        for frame in range(len(stack))
    ]
    slopes, intercepts = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    if (slopes == 0).any():
        raise ValueError(f"{str(files[0])!r} must have a rescale slope other than 0.")
    scan = Scan(
        np.concatenate(stacks),
        slopes,
        intercepts,
        str(first.get("Modality", "")),
        _window(first, slopes[0], intercepts[0]),
        first.PhotometricInterpretation == "MONOCHROME1",
        _storable(first),
    )
    profile = first.get("ICCProfile")
    return scan, _spacing(first), None if profile is None else bytes(profile)


def write_dicom(
    sources: Sequence[Path], targets: Sequence[Path], painted: np.ndarray, how: str
) -> None:
    """Write painted values as derived images of the files they came from.

    All elements are kept except pixels and those that describe them. UIDs of images and series are
    new; they depend on the pixels only, so a repeated run gives the same ones.

    Args:
        sources: The files that were read, in that order.
        targets: The files to write, one for each source.
        painted: Values of all frames, in the order of `read_dicom`.
        how: What was done, for the derivation description.
    """
    digest = sha256(painted.tobytes()).hexdigest()
    start = 0
    for source, target in zip(sources, targets, strict=True):
        data = _read(source)
        count = int(data.get("NumberOfFrames") or 1)
        frames = painted[start : start + count]
        start += count
        _derive(data, digest, sha256(frames.tobytes()).hexdigest(), how)
        _put_pixels(data, frames)
        with replacing(target) as temporary:
            data.save_as(temporary, enforce_file_format=True)


def _read(file: Path, **how: Any) -> Dataset:
    try:
        return pydicom.dcmread(file, **how)
    except Exception as error:  # whatever the first wrong byte leads to
        raise OSError(
            f"cannot read {str(file)!r}: no DICOM file, or damaged ({type(error).__name__})."
        ) from None


def _frames(data: Dataset, file: Path) -> np.ndarray:
    """Return ``(D, H, W)`` or ``(D, H, W, 3)``."""
    if "PixelData" not in data or data.get("BitsAllocated") not in (8, 16):
        raise ValueError(
            f"{str(file)!r} must hold an image of 8 or 16 bits; it is "
            f"{data.get('Modality', 'of no modality')}, with {data.get('BitsAllocated', 'no')} "
            "bits."
        )
    if "TransferSyntaxUID" not in data.file_meta:
        raise OSError(f"cannot read {str(file)!r}: it does not say its transfer syntax.")
    try:
        pixels = pixel_array(data)
    except Exception as error:  # of the decoders, which see pixels alone
        raise OSError(f"cannot read {str(file)!r}: {_reason(data, error)}") from None
    if data.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, data)
        pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    stack = pixels if int(data.get("NumberOfFrames") or 1) > 1 else pixels[None]
    return stack.astype(stack.dtype.newbyteorder("="))


def _reason(data: Dataset, error: Exception) -> str:
    name = data.file_meta.TransferSyntaxUID.name
    if isinstance(error, RuntimeError):
        return (
            f"its compression, {name}, needs a decoder that is not there, or it is damaged: pip "
            "install pylibjpeg-libjpeg (GPL-3.0) for lossless and 12-bit JPEG, or decompress it."
        )
    return f"its pixels, {name}, end too early or do not fit its header."


def _place(file: Path) -> tuple[Any, Any]:
    """Return what a slice shares with its series, and its position in it."""
    try:
        tags = [*_SHARED, *_PLACE, *_SLIDE]
        data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
        if data.get("SOPClassUID") == VLWholeSlideMicroscopyImageStorage:
            finest = -int(data.get("TotalPixelMatrixColumns") or 0)
            return str(data.SeriesInstanceUID), (finest, file.name)
        turn = np.array(data.ImageOrientationPatient, dtype=float).reshape(2, 3)
        point = np.array(data.ImagePositionPatient, dtype=float)
        if int(data.get("NumberOfFrames") or 1) > 1:
            return file, 0
        shared = [str(data.get(name)) for name in _SHARED]
        place = float(np.cross(*turn) @ point)
        number = int(data.get("InstanceNumber") or 0)
        return (*shared, *turn.flatten().round(3).tolist()), (place, number, file.name)
    except Exception:  # not a slice: an image of its own, or damaged, which reading it says
        return file, 0


def _rescale(data: Dataset, frame: int) -> tuple[float, float]:
    """Return slope and intercept of a frame; enhanced images keep them in functional groups."""
    places = [data]
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = data.get(groups) or []
        row = frame if groups.startswith("PerFrame") else 0
        if row < len(items):
            places += items[row].get("PixelValueTransformationSequence") or []
    found = [place for place in places if place.get("RescaleSlope") is not None]
    if not found:
        return 1.0, 0.0
    return float(found[-1].RescaleSlope), float(found[-1].RescaleIntercept)


def _window(data: Dataset, slope: float, intercept: float) -> Window | None:
    """Return black and white as PS3.3, C.11.2.1.2 defines them, or the full range of an X-ray."""
    center, width = data.get("WindowCenter"), data.get("WindowWidth")
    if center not in (None, "") and width not in (None, ""):
        middle, span = (
            float(item if isinstance(item, float | int) else np.atleast_1d(item)[0])
            for item in (center, width)
        )
        if span > 1:
            return middle - 0.5 - (span - 1) / 2, middle - 0.5 + (span - 1) / 2
    if data.get("Modality") in ("CT", "MR", "PT", "NM"):
        return None
    low, high = sorted(level * slope + intercept for level in _storable(data))
    return low, high


def _storable(data: Dataset) -> tuple[int, int]:
    bits = int(data.BitsStored)
    return (
        (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if data.PixelRepresentation else (0, 2**bits - 1)
    )


def _spacing(data: Dataset) -> tuple[float, ...] | None:
    if data.get("PixelSpacing") is None:
        return None
    between = data.get("SpacingBetweenSlices") or data.get("SliceThickness") or 1.0
    return (float(between), *map(float, data.PixelSpacing))


def _derive(data: Dataset, series: str, pixels: str, how: str) -> None:
    """Turn an image into a derived one."""
    source = Dataset()
    source.ReferencedSOPClassUID = data.SOPClassUID
    source.ReferencedSOPInstanceUID = data.SOPInstanceUID
    data.SourceImageSequence = Items([source])
    data.SOPInstanceUID = generate_uid(entropy_srcs=[str(data.SOPInstanceUID), pixels])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[str(data.get("SeriesInstanceUID")), series])
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    kind = data.get("ImageType") or []
    data.ImageType = ["DERIVED", "SECONDARY", *([] if isinstance(kind, str) else kind[2:])]
    data.DerivationDescription = f"styleaug {__version__}: {how}"
    for name in _STALE:
        if name in data:
            delattr(data, name)


def _put_pixels(data: Dataset, frames: np.ndarray) -> None:
    syntax = data.file_meta.TransferSyntaxUID
    if syntax.is_compressed:
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    order: Literal[">", "<"] = ">" if syntax == ExplicitVRBigEndian else "<"
    if frames.ndim == 4:
        data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
        data.PlanarConfiguration = 0
        data.BitsAllocated = 8 * frames.dtype.itemsize
        data.BitsStored = min(int(data.BitsStored), int(data.BitsAllocated))
        data.HighBit = data.BitsStored - 1
        for color in _PALETTE:
            for part in ("Descriptor", "Data"):
                name = f"{color}PaletteColorLookupTable{part}"
                if name in data:
                    delattr(data, name)
    for name, value in (("Smallest", frames.min()), ("Largest", frames.max())):
        if f"{name}ImagePixelValue" in data:
            setattr(data, f"{name}ImagePixelValue", int(value))
    content = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
    content += b"\0" * (len(content) % 2)
    data.add_new("PixelData", "OW" if frames.dtype.itemsize > 1 else "OB", content)
    data["PixelData"].is_undefined_length = False
