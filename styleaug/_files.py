"""Files that are written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, what a killed process left stays
    fcntl = None  # type: ignore[assignment]

_PART = re.compile(r"\..+\.[0-9a-f]{16}\.part")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, atomically; folders are made."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path``, which replaces ``path`` if nothing was raised.

    When a process writes to a folder for the first time, leftovers of killed processes are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent.resolve())
    temporary, file = _begin(path)
    try:
        with file:
            yield temporary
            if fcntl is None:
                file.close()  # Windows does not replace open files
            temporary.replace(path)  # while it is locked, or another thread may sweep it away
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _begin(path: Path) -> tuple[Path, BinaryIO]:
    """Return a new file beside ``path``, locked until it is closed or the process is no more.

    Between being made and being locked it looks like a leftover; if another thread or process
    swept it away then, another one is made.
    """
    while True:
        temporary = path.with_name(f".{path.stem[:50]}.{token_hex(8)}.part")
        file = temporary.open("xb")
        try:
            _lock(file.fileno())
            swept = not temporary.exists()
        except BlockingIOError:
            swept = True
        except OSError:
            swept = False  # some network drives have no locks: nobody sweeps there
        if not swept:
            return temporary, file
        file.close()


@cache
def _sweep(folder: Path) -> None:
    """Remove half-written files that nobody is writing any more."""
    if fcntl is None:
        return
    for path in folder.iterdir():
        if _PART.fullmatch(path.name):
            with suppress(OSError), path.open("rb") as file:
                _lock(file.fileno())  # fails while the writer lives
                path.unlink()


def _lock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
