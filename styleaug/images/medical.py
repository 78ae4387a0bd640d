"""DICOM, NIfTI and slides: how they are recognised, and what has to be installed to read them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

DICOM_SUFFIXES = (".dcm", ".dicom")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
SLIDE_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu")
"""Of scanners; slides that are DICOM or plain TIFF show it when they are opened."""
_PREAMBLE = slice(128, 132)
"""Bytes of a DICOM file that identify it (PS3.10, 7.1)."""


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM, judged by its suffix or, if it has none, by its preamble."""
    name = path.name.lower()
    if name.endswith(DICOM_SUFFIXES):
        return True
    bare = path.suffix == "" or path.suffix[1:].isdigit()  # such as IM0001 and 1.2.840.113619
    if not bare or name == "dicomdir":
        return False
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE.stop)[_PREAMBLE] == b"DICM"
    except OSError:
        return False


def is_nifti(path: Path) -> bool:
    """Return whether a file is NIfTI, judged by its suffix."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def is_slide(path: Path) -> bool:
    """Return whether a file is a whole slide of a scanner, judged by its suffix."""
    return path.suffix.lower() in SLIDE_SUFFIXES


def is_medical(path: Path) -> bool:
    """Return whether a file is DICOM, NIfTI or a slide."""
    return is_nifti(path) or is_slide(path) or is_dicom(path)


def check_readers(files: Iterable[Path]) -> None:
    """Raise ``ImportError`` if the library that reads one of the files is not installed."""
    readers = (
        (is_nifti, "nibabel", "nifti"),
        (is_dicom, "pydicom", "dicom"),
        (is_slide, "openslide", "slide"),
    )
    missing = [reader for reader in readers if find_spec(reader[1]) is None]
    for file in files if missing else ():
        for belongs, library, extra in missing:
            if belongs(file):
                raise ImportError(
                    f"{str(file)!r} needs {library}: pip install 'styleaug[{extra}]'."
                )
