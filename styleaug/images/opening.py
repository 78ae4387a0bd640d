"""The single entry for files: pixels and their meaning, and a function that writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch

from styleaug.images.batch import Images, as_images, has_eight_bits
from styleaug.images.files import read_image, write_image
from styleaug.images.medical import check_readers, is_dicom, is_nifti, is_slide
from styleaug.images.scan import AnyWindow, check_file_window
from styleaug.images.slide import open_slide
from styleaug.images.slide_tissue import tissue_patches
from styleaug.images.tiff_stack import page_kind, read_stack
from styleaug.images.volume import as_volumes
from styleaug.images.window import Window, check_window

Source: TypeAlias = "tuple[Path, ...]"
"""One file, or the slices of a series in the order of their position."""

Prepare: TypeAlias = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Opened:
    """A file that was read and checked.

    Attributes:
        images: One image, or one volume as vertically stacked slices (`Images.depth`).
        write: Writes pixels that ``images.restore`` returned as files of the same kind: one path
            per file that was read, and a description of what was done.
        kind: "picture", "stack" (TIFF pages), "slide", a modality of DICOM such as "CT", or "" if
            a volume does not name it.
        window: Black and white in the unit of the file, such as Hounsfield units; None: those of
            its data type.
        spacing: Millimetres between slices, rows and columns, if the file gives them.
        profile: Its ICC colour profile.
        lost: What is lost when a file is written like this one, in words.
    """

    images: Images
    write: Callable[[Sequence[Path], np.ndarray, str], None]
    kind: str = "picture"
    window: Window | None = None
    spacing: tuple[float, ...] | None = None
    profile: bytes | None = None
    lost: tuple[str, ...] = ()


def open_image(
    source: str | Path | Sequence[str | Path],
    *,
    window: AnyWindow = None,
    prepare: Prepare | None = None,
) -> Opened:
    """Read an image file, a volume, the slices of a series, or a sample of a whole slide.

    A slide comes as patches of its tissue, like slices: as a style, or to look at. To paint it, see
    `styleaug.slides`.

    Args:
        source: PNG, JPEG, TIFF (pages of one size are slices), BMP, DICOM (``styleaug[dicom]``),
            NIfTI (``styleaug[nifti]``) or a slide (``styleaug[slide]``); several paths are the
            slices of one DICOM series, in order.
        window: Black and white of files with more than 8 bits, in the unit of the file: two
            numbers, "lung", "bone", "soft" or "brain" in Hounsfield units, or "percentile", the
            percentiles 0.5 and 99.5 of the volume. None: the range of the data type for pictures;
            the window of the file for DICOM, or "soft" for CT without one; "percentile" for MR and
            NIfTI.
        prepare: Function applied to the pixels of a picture before the checks, such as resizing.

    Raises:
        ImportError: If the library that reads such files is not installed.
        OSError: If a file is missing or damaged.
        TypeError: If its data type is not supported.
        ValueError: If its format is not supported, or the window does not fit it.

    Example:
        >>> from styleaug.samples import sample_images
        >>> opened = open_image(sample_images()[0])
        >>> opened.kind, opened.images.depth
        ('picture', 1)
    """
    given = (source,) if isinstance(source, str | Path) else tuple(source)
    paths = tuple(Path(path) for path in given)
    window = check_file_window("window", window)
    check_readers(paths)
    kind = kind_of(paths[0])
    if kind == "slide":
        return _open_slide(paths[0])
    if kind == "dicom":
        return _open_dicom(paths, window)
    if kind == "nifti":
        return _open_nifti(paths[0], window)
    if kind == "stack":
        return _open_stack(paths[0], window)
    return _open_picture(paths[0], window, prepare)


def kind_of(path: Path) -> Literal["slide", "nifti", "dicom", "stack", "picture"]:
    """Return how a file is read: by its name, or by its header where the name does not tell.

    Raises:
        OSError: If a file that must be looked into is missing or damaged.

    Example:
        >>> kind_of(Path("brain.nii.gz")), kind_of(Path("scan.png")), kind_of(Path("a.svs"))
        ('nifti', 'picture', 'slide')
    """
    if is_slide(path):
        return "slide"
    if is_nifti(path):
        return "nifti"
    if is_dicom(path):
        from styleaug.images.dicom import is_dicom_slide

        return "slide" if is_dicom_slide(path) else "dicom"
    pages = page_kind(path)
    return pages if pages in ("slide", "stack") else "picture"


def find_sources(files: Sequence[Path]) -> list[Source]:
    """Group files: the slices of a DICOM series together, all others alone.

    A series takes the place of its first file.
    """
    slices = [file for file in files if is_dicom(file)]
    if not slices:
        return [(file,) for file in files]
    from styleaug.images.dicom import dicom_series

    group = {file: series for series in dicom_series(slices) for file in series}
    sources = [group.get(file, (file,)) for file in files]
    return list(dict.fromkeys(sources))


def _open_picture(path: Path, window: AnyWindow, prepare: Prepare | None) -> Opened:
    file = read_image(path)
    pixels = file.pixels if prepare is None else prepare(file.pixels)
    if isinstance(window, str) and window == "percentile":
        window = None
    bounds = None if has_eight_bits(file.pixels) else check_window("window", window)

    def write(targets: Sequence[Path], pixels: np.ndarray, how: str) -> None:
        write_image(targets[0], pixels, file)

    images = as_images(pixels, value_range=bounds)
    profile = file.info.get("icc_profile")
    return Opened(images, write, window=bounds, profile=profile, lost=file.lost)


def _open_nifti(path: Path, window: AnyWindow) -> Opened:
    from styleaug.images.nifti import read_nifti

    scan, spacing, splice = read_nifti(path)

    def write(targets: Sequence[Path], pixels: np.ndarray, how: str) -> None:
        splice(targets[0], pixels)

    return Opened(scan.images(window), write, "", scan.window(window), spacing)


def _open_dicom(paths: Source, window: AnyWindow) -> Opened:
    from styleaug.images.dicom import read_dicom, write_dicom

    scan, spacing, profile = read_dicom(paths)

    def write(targets: Sequence[Path], pixels: np.ndarray, how: str) -> None:
        write_dicom(paths, targets, pixels, how)

    kind, bounds = scan.modality or "", scan.window(window)
    return Opened(scan.images(window), write, kind, bounds, spacing, profile)


def _open_stack(path: Path, window: AnyWindow) -> Opened:
    scan, lost, splice = read_stack(path)
    bounds = None if scan.values.dtype == np.uint8 else window

    def write(targets: Sequence[Path], pixels: np.ndarray, how: str) -> None:
        splice(targets[0], pixels)

    return Opened(scan.images(bounds), write, "stack", scan.window(bounds), lost=lost)


def _open_slide(path: Path) -> Opened:
    """Return patches of the tissue as slices: what a slide is as a style, or to look at."""
    slide = open_slide(path)
    try:
        patches, profile = tissue_patches(slide), slide.icc
    finally:
        slide.close()

    def write(targets: Sequence[Path], pixels: np.ndarray, how: str) -> None:
        raise ValueError(f"{str(path)!r} is a whole slide, which is written by stylize_slide.")

    images = as_volumes(torch.from_numpy(patches).permute(3, 1, 2, 0).unsqueeze(0))
    return Opened(images, write, "slide", profile=profile)
