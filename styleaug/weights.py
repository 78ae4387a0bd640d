"""Weights as data with provenance: records, safe reading and writing, and the Hub.

Only safetensors files, and local ``.pth`` files through ``torch.load(weights_only=True)``, are ever
read; nothing from outside is unpickled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from styleaug._files import replacing
from styleaug._records import read_record

_Config = TypeVar("_Config")
_PICKLED = (".pth", ".pt", ".tar", ".bin")
_WRAPPERS = ("model", "state_dict", "params")


@dataclass(frozen=True)
class Weights:
    """Where one file of weights comes from and what it is good for.

    Attributes:
        name: What ``weights=`` calls it.
        file: File name, in the repository or in this package.
        licence: Licence of the weights.
        data: What they were trained on.
        repository: ``owner/name`` on the Hugging Face Hub; None for files of this package.
        revision: Commit of the repository, or None for its main branch.
        url: Where a person can download the file; filled in for files on the Hub, None for
            files of this package.
        sha256: Digest of the file, checked before anything is loaded; None if not published.
        size: Bytes of the file, or None if not published.
        mean: Channel means that the images were normalised with, or None if not published.
        std: Channel standard deviations likewise.

    Example:
        >>> Weights("demo", "model.safetensors", "CC0", "nothing", repository="me/demo").url
        'https://huggingface.co/me/demo/resolve/main/model.safetensors'
    """

    name: str
    file: str
    licence: str
    data: str
    repository: str | None = None
    revision: str | None = None
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.repository is not None and self.url is None:
            object.__setattr__(self, "url", self._hub_address(self.file))

    def _hub_address(self, file: str) -> str:
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision or 'main'}/{file}"


@dataclass(frozen=True)
class LocatedWeights:
    """A file of weights on this machine, and what is known about it.

    Attributes:
        path: The file.
        record: Its provenance; None for a file of your own.
        config: The ``config.json`` beside it; empty if there is none.
    """

    path: Path
    record: Weights | None
    config: Mapping[str, Any]

    def read_config(self, kind: type[_Config]) -> _Config:
        """Return the configuration as a dataclass that checks itself.

        Raises:
            ValueError: If a key is unknown, or a value does not fit.
        """
        return read_record(kind, self.config, f"the config.json beside {str(self.path)!r}")


_ADDRESSES = ("https://", "file://")


def locate_weights(
    weights: str | Path, records: Sequence[Weights], aliases: Mapping[str, str] | None = None
) -> LocatedWeights:
    """Find the file that ``weights=`` stands for, downloading it once if need be.

    Args:
        weights: The name of a record, a file, ``"hf:owner/name@revision"``, or an ``https://`` or
            ``file://`` address.
        records: The published weights that fit.
        aliases: Other names of records.

    Raises:
        FileNotFoundError: If the file is not there and cannot be downloaded.
        ValueError: If the text is none of the three, or the file is not the published one.
    """
    text = str(weights)
    if text.startswith("hf:"):
        record = parse_hub_reference(text)
        return LocatedWeights(fetch(record), record, fetch_config(record))
    if text.startswith(_ADDRESSES):
        path = fetch_address(text)
        return LocatedWeights(path, None, read_config(path.parent))
    named = {record.name: record for record in records}
    name = (aliases or {}).get(text, text)
    if name in named:
        return LocatedWeights(fetch(named[name]), named[name], fetch_config(named[name]))
    path = Path(weights).expanduser()
    if path.is_file() or path.suffix in (".safetensors", *_PICKLED):
        return LocatedWeights(path, None, read_config(path.parent))
    raise ValueError(
        f"weights must be one of {sorted({*named, *(aliases or {})})}, a file, "
        f"'hf:owner/name@revision' or an https address, got {text!r}."
    )


def parse_hub_reference(text: str, file: str = "model.safetensors") -> Weights:
    """Return the record that ``hf:owner/name@revision`` stands for.

    Raises:
        ValueError: If the text does not have that form.

    Example:
        >>> parse_hub_reference("hf:me/demo@0123abc").revision
        '0123abc'
    """
    repository, _, revision = text.removeprefix("hf:").partition("@")
    if not text.startswith("hf:") or repository.count("/") != 1:
        raise ValueError(f"weights must look like 'hf:owner/name@revision', got {text!r}.")
    return Weights(
        text, file, "see the repository", "see the repository", repository, revision or None
    )


def fetch(weights: Weights) -> Path:
    """Return the file of a record: this package's, or the Hub's cache, downloading it once.

    ``HF_HUB_OFFLINE``, ``HF_HOME`` and the rest of the Hub's settings are honoured.

    Raises:
        FileNotFoundError: If it is not in the cache and cannot be downloaded; the message names
            the file, its address and the way without a network.
        ValueError: If the file is not the one that was published.
    """
    packaged = Path(__file__).parent / "stylizers" / "data" / weights.file
    path = packaged if weights.repository is None else Path(_hub_file(weights, weights.file))
    check_file(path, weights)
    if weights.sha256 is None:
        _check_blob(path)
    return path


def fetch_address(address: str) -> Path:
    """Return the file of an address from PyTorch's cache, downloading it once if need be.

    Raises:
        FileNotFoundError: If it is not in the cache and cannot be downloaded.
    """
    folder = Path(torch.hub.get_dir()) / "styleaug" / sha256(address.encode()).hexdigest()[:16]
    path = folder / address.rpartition("/")[2]
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(path), progress=False)
        except OSError as error:
            raise FileNotFoundError(
                f"{address!r} is not in the cache and cannot be downloaded ({error}). Without a "
                f"network, fetch the file elsewhere and put it at {str(path)!r}."
            ) from error
    return path


def fetch_config(weights: Weights) -> dict[str, Any]:
    """Return the ``config.json`` beside a file on the Hub; empty if there is none."""
    if weights.repository is None:
        return {}
    try:
        return read_config(Path(_hub_file(weights, "config.json")).parent)
    except FileNotFoundError:
        return {}


def read_config(folder: Path) -> dict[str, Any]:
    """Return the ``config.json`` of a folder as a dict; empty if there is none.

    Raises:
        ValueError: If the file is not a JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} must be a JSON file, {error}.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{str(path)!r} must hold a JSON object, got {type(config).__name__}.")
    return config


def check_file(path: str | Path, weights: Weights) -> None:
    """Raise ``ValueError`` unless the file has the size and sha256 of the record, where known."""
    size = Path(path).stat().st_size
    if weights.size not in (None, size):
        raise ValueError(
            f"{str(path)!r} must have {weights.size} bytes, got {size}. It is truncated or "
            "another file: delete it and fetch it again."
        )
    digest = file_digest(path) if weights.sha256 else None
    if digest != weights.sha256:
        raise ValueError(
            f"{str(path)!r} must have sha256 {weights.sha256}, got {digest}. It is damaged or "
            "another file: delete it and fetch it again."
        )


def _check_blob(path: Path) -> None:
    """Raise ``ValueError`` unless a file of the Hub's cache has the digest that names it there."""
    named = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", named) and file_digest(path) != named:
        raise ValueError(
            f"{str(path)!r} must have sha256 {named}, as the Hub published it. It is damaged or "
            "another file: delete it and fetch it again."
        )


def file_digest(path: str | Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    digest = sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
    elif path.suffix in _PICKLED:
        state = _unwrapped(_load_pickled(path), path)
    else:
        raise ValueError(
            f"weights must be a .safetensors file or one of {_PICKLED}, got {str(path)!r}."
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
    """Load weights into a module, every key and shape fitting.

    Args:
        module: What to load into.
        state: Tensors by name.
        origin: Where they come from, for the message.

    Raises:
        ValueError: If keys are missing or too many, or shapes differ; lists the first of each.
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
        state: Tensors by name; numbers that are no floats stay what they are.
        origin: Where they come from, for the message.

    Raises:
        ValueError: As `load_strictly`.
    """
    wide = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    load_strictly(module, wide, origin=origin)
    return weights_digest(wide)


def load_published(module: torch.nn.Module, weights: str | Path, records: Sequence[Weights]) -> str:
    """Load what ``weights=`` stands for into a module in float32; returns its `weights_digest`.

    Args:
        module: What to load into.
        weights: As in `locate_weights`.
        records: The published weights that fit.

    Raises:
        FileNotFoundError: If the file is not there and cannot be downloaded.
        ValueError: As `locate_weights` and `load_strictly`.
    """
    path = locate_weights(weights, records).path
    return load_network(module, read_state_dict(path), origin=str(path))


def _hub_file(weights: Weights, file: str) -> str:
    if weights.repository is None:
        raise ValueError(f"weights {weights.name!r} must have a repository, got none.")
    try:
        return hf_hub_download(weights.repository, file, revision=weights.revision)
    except (LocalEntryNotFoundError, EntryNotFoundError, HfHubHTTPError, OSError) as error:
        url = weights._hub_address(file)
        raise FileNotFoundError(
            f"{file!r} of {weights.repository!r} must be in the Hub's cache or reachable, it is "
            f"neither ({type(error).__name__}). Without a network: download {url} elsewhere and "
            "pass its path as weights=, or copy the cache folder and set HF_HOME."
        ) from error


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
