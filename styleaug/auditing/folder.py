"""The folder of an audit: finished parts as JSON, so that a stopped run can continue."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from styleaug._files import write_text

_RUN = "run.json"
_PARTS = "parts"


class RunFolder:
    """Keeps the parts of an audit.

    Args:
        path: The folder; None keeps nothing.
        settings: Everything the figures depend on except the model. A folder with other settings
            is refused.

    Raises:
        FileExistsError: If the folder holds something that no audit wrote, or another audit.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path = path
        if path is None:
            return
        plain = json.loads(json.dumps(settings))
        check_folder(path)
        file = path / _RUN
        if file.exists():
            _check_same(path, _read(file), plain)
        else:
            write_text(file, json.dumps(plain, indent=1) + "\n")

    def part(self, key: str, make: Callable[[], str]) -> str:
        """Return a part as JSON: the one saved under the key, or a new one from ``make``."""
        if self.path is None:
            return make()
        digest = blake2b(key.encode(), digest_size=8).hexdigest()
        file = self.path / _PARTS / f"{digest}.json"
        if file.exists():
            record = _read(file)
            if isinstance(record, dict) and record.get("key") == key and "part" in record:
                return json.dumps(record["part"])
        text = make()
        write_text(file, json.dumps({"key": key, "part": json.loads(text)}))
        return text


def check_folder(path: Path | None) -> None:
    """Raise ``FileExistsError`` if a folder holds something that no audit wrote."""
    if path is None or not path.exists() or (path / _RUN).exists():
        return
    if not path.is_dir() or any(path.iterdir()):
        raise FileExistsError(
            f"{str(path)!r} exists and was not written by an audit. Choose another folder."
        )


def _check_same(path: Path, before: Any, now: Mapping[str, Any]) -> None:
    known = before if isinstance(before, dict) else {}
    other = sorted(key for key in {*known, *now} if known.get(key) != now.get(key))
    if other:
        raise FileExistsError(
            f"{str(path)!r} holds an audit with other {', '.join(other)}. Choose another folder, "
            "or delete this one to begin again."
        )


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return None
