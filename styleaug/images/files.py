"""Find, read and write image files; name, size, bit depth and channels are kept."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import png
import tifffile
from PIL import ExifTags, Image

from styleaug._files import replacing
from styleaug.images.deep_png import read_deep_png, write_deep_png
from styleaug.images.medical import (
    DICOM_SUFFIXES,
    NIFTI_SUFFIXES,
    SLIDE_SUFFIXES,
    check_readers,
    is_medical,
)
from styleaug.images.tiff import TiffKind, read_tiff_kind, write_tiff

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
SUFFIXES = (*PICTURES, *DICOM_SUFFIXES, *NIFTI_SUFFIXES, *SLIDE_SUFFIXES)
"""Suffixes that folders are searched for; DICOM files without a suffix are found as well."""

OTHERS = (".webp", ".gif", ".jp2", ".j2k", ".jpx", ".avif", ".heic")
"""Suffixes of image files that are skipped in folders, with a warning."""

_DIRECT_MODES = ("L", "RGB", "RGBA", "LA", "I;16")
_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""The transposition that undoes each EXIF orientation."""
_PNG_EFFORT = 4
"""How hard PNG is compressed, 0 to 9: files of the size that 6, the default, gives (up to 4 % more
with an old zlib), in 0.2 to 0.9 of its time, by picture and zlib."""
_CONVERTED_MODES = {"1": "L", "P": "RGB", "PA": "RGBA"}


@dataclass(frozen=True)
class ImageFile:
    """An image file, and everything needed to write another file like it.

    Attributes:
        pixels: uint8 or uint16 ``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA.
        format: "PNG", "JPEG", "TIFF" or "BMP".
        has_grey_opacity: Whether the file is grey with opacity; its pixels are RGBA here.
        info: Colour profile, EXIF and resolution to carry over.
        is_cmyk: Whether the file is a JPEG in printing colours; its pixels are RGB here.
        tiff: How the file was written, if it is a TIFF file.
    """

    pixels: np.ndarray
    format: str
    has_grey_opacity: bool = False
    info: dict[str, Any] = field(default_factory=dict)
    is_cmyk: bool = False
    tiff: TiffKind | None = None

    @property
    def lost(self) -> tuple[str, ...]:
        """What is lost when a file is written like this one, in words."""
        return () if self.tiff is None else self.tiff.lost


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """Return the image files that paths refer to, in a fixed order.

    Args:
        paths: Files, folders (searched with their subfolders) or glob patterns.

    Raises:
        FileNotFoundError: If a path does not exist or a pattern matches nothing.
        ImportError: If what reads one of the files is not installed.
        ValueError: If there is no path, or a folder holds no image.
    """
    if not paths:
        raise ValueError(f"paths must hold at least one file or folder, got {list(paths)}.")
    return [file for path in paths for file, _ in find_named(path)]


def find_named(path: str | Path) -> list[tuple[Path, Path]]:
    """Return the image files of one path, each with its name relative to the folder given.

    Raises:
        FileNotFoundError: If the path does not exist or the pattern matches nothing.
        ImportError: If what reads one of the files is not installed.
        ValueError: If the path is empty, or a folder holds no image.
    """
    named = _named(path)
    check_readers(file for file, _ in named)
    return named


def _named(path: str | Path) -> list[tuple[Path, Path]]:
    if not str(path).strip():
        raise ValueError(f"path must name a file, a folder or a pattern, got {str(path)!r}.")
    root = Path(path)
    if root.is_dir():
        files = sorted(file for file in root.rglob("*") if _is_image(file))
        if not files:
            others = f" It holds {names_of(found)}" if (found := other_images([path])) else ""
            raise ValueError(
                f"folder must hold images {SUFFIXES}, {str(path)!r} holds none.{others}"
            )
        return [(file, file.relative_to(root)) for file in files]
    if root.exists():
        return [(root, Path(root.name))]
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
    files = [match for match in matches if match.is_file()]
    if not files:
        raise FileNotFoundError(f"no such file or folder, and no match: {str(path)!r}.")
    return [(file, Path(file.name)) for file in files]


def other_images(paths: Sequence[str | Path]) -> list[Path]:
    """Return the image files in folders that are skipped because their format is not read."""
    folders = [Path(path) for path in paths if Path(path).is_dir()]
    return sorted(
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.name.lower().endswith(OTHERS) and file.is_file()
    )


def names_of(others: Sequence[Path]) -> str:
    """Return a sentence about files that are skipped.

    Example:
        >>> names_of([Path("a.webp"), Path("b.gif")])
        '2 images of kinds that are not read, such as a.webp; convert them to PNG or TIFF.'
    """
    return (
        f"{len(others)} images of kinds that are not read, such as {others[0].name}; convert them "
        "to PNG or TIFF."
    )


def read_image(path: str | Path) -> ImageFile:
    """Read a PNG, JPEG, TIFF or BMP file of 8 or 16 bits.

    Palette images become RGB or RGBA, bilevel images become grey. A JPEG in CMYK is converted to
    RGB, and back to CMYK when it is written. Orientation flags are kept, not applied.

    Raises:
        OSError: If the file cannot be read or is damaged.
        ValueError: If it is an image of another kind; the message says which.
    """
    try:
        with Image.open(path) as image:
            return _read_opened(image, Path(path))
    except (SyntaxError, png.Error, tifffile.TiffFileError, Image.DecompressionBombError) as error:
        raise OSError(f"cannot read {str(path)!r}: {error}") from error


def write_image(path: str | Path, pixels: np.ndarray, like: ImageFile) -> None:
    """Write pixels as a file like ``like``, atomically; folders are created.

    Args:
        path: The file to write; an existing one is replaced.
        pixels: In the data type and channels of ``like.pixels``, of any size.
        like: The file whose format, depth, opacity and colour profile to keep.
    """
    if like.has_grey_opacity:
        grey = pixels[..., :3].mean(axis=-1).round().astype(pixels.dtype)
        pixels = np.stack([grey, pixels[..., 3]], axis=-1)
    with replacing(Path(path)) as temporary:
        _encode(temporary, np.ascontiguousarray(pixels), like)


def _is_image(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    return path.suffix.lower() in PICTURES or is_medical(path)


def _read_opened(image: Image.Image, path: Path) -> ImageFile:
    if image.format not in ("PNG", "JPEG", "TIFF", "BMP"):
        raise ValueError(f"{str(path)!r} must be PNG, JPEG, TIFF or BMP, got {image.format}.")
    if getattr(image, "n_frames", 1) > 1:
        frames = getattr(image, "n_frames", 1)
        raise ValueError(f"{str(path)!r} must hold one image, got {frames}. Split it first.")
    keep = ("icc_profile", "exif", "dpi")
    info = {key: image.info[key] for key in keep if image.info.get(key)}
    is_cmyk = image.format == "JPEG" and image.mode == "CMYK"
    pixels = _sixteen_bit_color(image, path)
    if pixels is None:
        pixels = _pillow_pixels(image.convert("RGB") if is_cmyk else _as_stored(image), path)
    tiff = read_tiff_kind(path) if image.format == "TIFF" else None
    grey_opacity = pixels.ndim == 3 and pixels.shape[2] == 2
    if grey_opacity:
        pixels = pixels[..., [0, 0, 0, 1]]
    return ImageFile(pixels, str(image.format), grey_opacity, info, is_cmyk, tiff)


def _as_stored(image: Any) -> Any:
    """Return an image as stored: Pillow rotates TIFF by its flag, which is written again later."""
    if image.format != "TIFF":
        return image
    back = _BACK.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    if back is None:
        return image
    image.filename = ""  # without a name there is no memory map, which Pillow lays out wrongly here
    return image.transpose(back)


def _sixteen_bit_color(image: Image.Image, path: Path) -> np.ndarray | None:
    """Return the pixels of files that Pillow would cut to 8 bits; None for all others."""
    if image.format == "PNG" and path.read_bytes()[24:25] == b"\x10" and image.mode != "I;16":
        return read_deep_png(path)
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        if len(bits) > 1 and max(bits) > 8:
            return _tiff_pixels(path)
    return None


def _tiff_pixels(path: Path) -> np.ndarray:
    pixels = tifffile.imread(path)
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4) and pixels.shape[2] not in (3, 4):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] not in (2, 3, 4):
        raise ValueError(
            f"{str(path)!r} must be grey, RGB or RGBA of 8 or 16 bits, got {pixels.dtype} of shape "
            f"{pixels.shape}."
        )
    return pixels


def _pillow_pixels(image: Image.Image, path: Path) -> np.ndarray:
    mode = image.mode
    if mode == "P" and "transparency" in image.info:
        return np.array(image.convert("RGBA"))
    if mode in _CONVERTED_MODES:
        return np.array(image.convert(_CONVERTED_MODES[mode]))
    if mode == "I;16B":
        return np.array(image).astype(np.uint16)
    if mode not in _DIRECT_MODES:
        raise ValueError(
            f"{str(path)!r} must be grey, RGB or RGBA of 8 or 16 bits, got mode {mode!r}. Convert "
            "it first."
        )
    return np.array(image)


def _encode(path: Path, pixels: np.ndarray, like: ImageFile) -> None:
    deep_color = pixels.dtype == np.uint16 and pixels.ndim == 3
    if deep_color and like.format == "PNG":
        write_deep_png(path, pixels, like.info)
    elif like.tiff is not None:
        write_tiff(path, pixels, like.tiff)
    else:
        options: dict[str, Any] = dict(like.info)
        if like.format == "JPEG":
            options |= {"quality": 95, "subsampling": 0}
        if like.format == "PNG":
            options |= {"compress_level": _PNG_EFFORT}
        image = Image.fromarray(pixels)
        image = image.convert("CMYK") if like.is_cmyk else image
        image.save(path, format=like.format, **options)
