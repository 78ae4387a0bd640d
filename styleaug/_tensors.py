"""Tensors in files: read safely, written whole, loaded strictly.

Only safetensors files, and local ``.pth`` files through ``torch.load(weights_only=True)``, are ever
read; nothing from outside is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from styleaug._files import replacing

PICKLED = (".pth", ".pt", ".tar", ".bin")
"""Suffixes of checkpoints of PyTorch."""
_WRAPPERS = ("model", "state_dict", "params")


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint file.

    ``.safetensors`` files, and local ``.pth``, ``.pt``, ``.tar`` and ``.bin`` files with
    ``weights_only=True``. One level of wrapping (``model``, ``state_dict``, ``params``) is taken
    off, and so is the prefix ``module.`` of distributed training.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, of another kind, or holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights must be a file that exists, got {str(path)!r}.")
    if path.suffix == ".safetensors":
        state = load_tensors(path)[0]
    elif path.suffix in PICKLED:
        state = _unwrapped(_load_pickled(path), path)
    else:
        raise ValueError(
            f"weights must be a .safetensors file or one of {PICKLED}, got {str(path)!r}."
        )
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and the strings of its header.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"file must exist, got {str(path)!r}.")
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{str(path)!r} must be a whole safetensors file: {error}.") from error


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file atomically: it is there whole, or not at all.

    Args:
        tensors: What to write; moved to the CPU.
        path: Where to; an existing file is replaced.
        metadata: Strings for the header.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with replacing(Path(path)) as temporary:
            save_file(plain, temporary, dict(metadata))
    except SafetensorError as error:  # its way to say that the disk is full
        raise OSError(f"{str(path)!r} cannot be written: {error}.") from error


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return 12 hexadecimal digits that differ between different weights.

    Example:
        >>> weights_digest({"a": torch.zeros(2)}) == weights_digest({"a": torch.ones(2)})
        False
    """
    digest = sha256()
    for name, tensor in sorted(state.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(plain.shape)}{plain.dtype}".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def load_strictly(module: torch.nn.Module, state: Mapping[str, Tensor], *, origin: str) -> None:
    """Load weights into a module; every key and shape must match.

    Args:
        module: What to load into.
        state: Tensors by name.
        origin: Where they come from, for the message.

    Raises:
        ValueError: If keys are missing or unexpected, or shapes differ; the message lists the first
            few of each.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    extra = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if missing or extra or shapes:
        raise ValueError(
            f"weights must fit {type(module).__name__}, {origin} does not: "
            f"missing {missing[:3]}, unexpected {extra[:3]}, wrong shape {shapes[:3]}."
        )
    module.load_state_dict(dict(state), strict=True)


def load_network(module: torch.nn.Module, state: Mapping[str, Tensor], *, origin: str) -> str:
    """Load weights of any precision into a module in float32; returns their `weights_digest`.

    Args:
        module: What to load into.
        state: Tensors by name; tensors of integers or booleans keep their data type.
        origin: Where they come from, for the message.

    Raises:
        ValueError: As `load_strictly`.
    """
    wide = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    load_strictly(module, wide, origin=origin)
    return weights_digest(wide)


def _load_pickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{str(path)!r} must be a checkpoint that holds tensors alone and is whole: {reason}"
        ) from error


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(
            f"{str(path)!r} must hold a dict of tensors, got {type(content).__name__} with "
            f"{list(content)[:5] if isinstance(content, dict) else 'no keys'}."
        )
    return content
