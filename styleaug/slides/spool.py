"""The compressed tiles of an unfinished pyramid, one file each, so that work can resume."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from styleaug._files import replacing, write_text


class Spool:
    """A folder beside the output that holds its tiles until it is written.

    Args:
        output: The file to be written.
        settings: All settings that the tiles depend on.
        restart: Delete tiles of an earlier run with other settings.

    Raises:
        FileExistsError: If an earlier run had other settings.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     spool = Spool(Path(folder) / "out.tiff", {"tile": 256})
        ...     spool.write(0, 5, b"...", broken=False)
        ...     spool.has(0, 5), spool.has(0, 6), spool.read(0, 5)
        (True, False, b'...')
    """

    def __init__(self, output: Path, settings: Mapping[str, Any], *, restart: bool = False) -> None:
        self.folder = output.with_name(output.name + ".tiles")
        record, text = self.folder / "settings.json", json.dumps(dict(settings), indent=1)
        if self.folder.exists() and (not record.exists() or record.read_text() != text):
            if not restart and any(self.folder.iterdir()):
                raise FileExistsError(
                    f"{str(self.folder)!r} holds tiles of a run with other settings. Give the same "
                    "ones to go on, pass --overwrite to begin again, or remove it."
                )
            self.remove()
        if not record.exists():
            write_text(record, text)

    def has(self, level: int, index: int) -> bool:
        """Return whether a tile is done, and whole."""
        return self._path(level, index).exists()

    def write(self, level: int, index: int, data: bytes, *, broken: bool) -> None:
        """Save a tile; the next run tries broken ones again."""
        path = self._path(level, index, broken=broken)
        with replacing(path) as temporary:
            temporary.write_bytes(data)

    def read(self, level: int, index: int) -> bytes:
        """Return a tile."""
        path = self._path(level, index)
        return (path if path.exists() else self._path(level, index, broken=True)).read_bytes()

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _path(self, level: int, index: int, *, broken: bool = False) -> Path:
        return self.folder / str(level) / f"{index}{'.broken' if broken else '.tile'}"
