"""Sample images that ship with the package; all of them are in the public domain (CC0).

The nuclei are of BBBC038 (Data Science Bowl 2018), the skin lesions of the ISIC archive (UDA-1).
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def sample_images() -> list[Path]:
    """Return the paths of the sample images, by name.

    Example:
        >>> [path.stem for path in sample_images()][:2]
        ['nuclei-pink', 'nuclei-purple-on-purple']
    """
    return sorted(path for path in _FOLDER.iterdir() if path.suffix in (".png", ".jpg"))
