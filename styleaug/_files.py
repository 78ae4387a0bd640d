"""Files that are written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from secrets import token_hex

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
    temporary = path.with_name(f".{path.stem[:50]}.{token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            with suppress(OSError):  # some network drives have no locks
                _lock(file.fileno())  # until it is closed, or the process is no more
            yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
