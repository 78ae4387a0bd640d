"""The folder of a run: one writer at a time, and files that stay complete if a run is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from styleaug._files import replacing, write_text
from styleaug.training.config import TrainConfig

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, two writers are not told apart
    fcntl = None  # type: ignore[assignment]

CHECKPOINT = "last.ckpt"
WEIGHTS = "model.safetensors"
_FIXED = (
    *("recipe", "batch_size", "accumulate", "size", "seed", "steps", "learning_rate", "weights"),
    *("start", "options"),
)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a folder; the lock ends with the process.

    Raises:
        FileExistsError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            if fcntl is not None:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise FileExistsError(
                f"output must be a folder that no other run writes to, another process writes to "
                f"{str(folder)!r} now. Wait for it, or choose another folder."
            ) from error
        yield


def check_folder(folder: Path, config: TrainConfig, resume: bool) -> None:
    """Raise unless a run may start, or resume, in a folder.

    Raises:
        FileExistsError: If there is a run that should not be resumed.
        ValueError: If the run had other settings.
    """
    path = folder / "config.toml"
    if not path.exists():
        return
    if not resume:
        raise FileExistsError(
            f"output {str(folder)!r} holds a run already. Pass resume=True (--resume) to go on "
            "with it, or choose another folder."
        )
    before = TrainConfig.from_file(path)
    changed = [name for name in _FIXED if getattr(before, name) != getattr(config, name)]
    if changed:
        raise ValueError(
            f"a resumed run must keep its settings, {changed} differ from {path}. "
            f"{_way_out(folder, before, config)}"
        )


def _way_out(folder: Path, before: TrainConfig, config: TrainConfig) -> str:
    if before.steps == config.steps:
        return "Give the settings of that file, or choose another folder."
    weights = folder / WEIGHTS
    if not weights.exists():
        return f"Its learning rate falls to zero at step {before.steps}: resume with that."
    return (
        f"It is finished after {before.steps} steps, its learning rate has fallen to zero. Begin "
        f"another run from its weights: start={str(weights)!r} (--start {weights}) and another "
        "output."
    )


def write_checkpoint(
    folder: Path, state: Mapping[str, Any], history: Sequence[Mapping[str, float]]
) -> None:
    """Write the history, then the checkpoint, each atomically.

    If the run is killed in between, the history is longer than needed, never shorter.

    Raises:
        OSError: If they cannot be written, for example on a full disk; old files are kept.
    """
    try:
        write_text(folder / "history.json", json.dumps(list(history)))
        with replacing(folder / CHECKPOINT) as temporary, temporary.open("wb") as file:
            torch.save(dict(state), file)
    except OSError as error:
        last = "The checkpoint before stays" if (folder / CHECKPOINT).exists() else "There is none"
        raise OSError(
            error.errno,
            f"the checkpoint of step {state['step']} cannot be written ({error.strerror}). {last}; "
            "make room and go on with resume=True (--resume)",
            str(folder),
        ) from error


def read_history(folder: Path, step: int) -> list[dict[str, float]]:
    """Return the losses that were logged up to a step."""
    path = folder / "history.json"
    if step == 0 or not path.exists():
        return []
    return [entry for entry in json.loads(path.read_text()) if entry["step"] <= step]
