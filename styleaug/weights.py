"""Weights and their provenance: records, files, and downloads from the Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from styleaug._records import read_record
from styleaug._tensors import (
    PICKLED,
    load_network,
    load_strictly,
    load_tensors,
    read_state_dict,
    save_tensors,
    weights_digest,
)

__all__ = [
    "LocatedWeights",
    "Weights",
    "at_hand",
    "check_file",
    "fetch",
    "fetch_address",
    "fetch_config",
    "file_digest",
    "load_network",
    "load_published",
    "load_strictly",
    "load_tensors",
    "locate_weights",
    "parse_hub_reference",
    "read_state_dict",
    "save_tensors",
    "weights_digest",
]

_Config = TypeVar("_Config")


DATA = "styleaug.stylizers.data"
"""Where weights of up to 2 MB are: in the core."""

EXTRA = "styleaug_weights"
"""Where larger ones are: in the distribution ``styleaug-weights``, the extra ``weights``."""


@dataclass(frozen=True)
class Weights:
    """The record of one file of weights: its origin and purpose.

    Attributes:
        name: Its name for ``weights=``.
        file: File name, in the repository or in the package.
        licence: Licence of the weights.
        data: Their training data.
        repository: ``owner/name`` on the Hugging Face Hub; None for files that are installed.
        revision: Commit of the repository, or None for its main branch.
        url: Address for a manual download; set for files on the Hub, None for installed files.
        sha256: Digest of the file, checked before anything is loaded; None if not published.
        size: Bytes of the file, or None if not published.
        mean: Channel means that the images were normalised with, or None if not published.
        std: Channel standard deviations likewise.
        package: The package that holds a file that is installed: this one's `DATA`, or `EXTRA`.
        config: Settings of the network of an installed file: what ``config.json`` holds otherwise.

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
    package: str = DATA
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.repository is not None and self.url is None:
            object.__setattr__(self, "url", self._hub_address(self.file))

    def _hub_address(self, file: str) -> str:
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision or 'main'}/{file}"


@dataclass(frozen=True)
class LocatedWeights:
    """A file of weights on this machine, and its record.

    Attributes:
        path: The file.
        record: Its provenance; None for a file of your own.
        config: That of the record, or the ``config.json`` beside the file; empty if there is none.
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
    """Return the file that ``weights=`` refers to, downloading it once if necessary.

    Args:
        weights: The name of a record, a file, ``"hf:owner/name@revision"``, or an ``https://`` or
            ``file://`` address.
        records: The published weights that fit.
        aliases: Other names of records.

    Raises:
        FileNotFoundError: If the file is not there and cannot be downloaded.
        ValueError: If the text is none of these, or the file is not the published one.
    """
    text = str(weights)
    if text.startswith("hf:"):
        record = parse_hub_reference(text)
        return LocatedWeights(fetch(record), record, fetch_config(record))
    if text.startswith(_ADDRESSES):
        path = fetch_address(text)
        return LocatedWeights(path, None, _config_in(path.parent))
    named = {record.name: record for record in records}
    name = (aliases or {}).get(text, text)
    if name in named:
        return LocatedWeights(fetch(named[name]), named[name], fetch_config(named[name]))
    path = Path(weights).expanduser()
    if path.is_file() or path.suffix in (".safetensors", *PICKLED):
        return LocatedWeights(path, None, _config_in(path.parent))
    raise ValueError(
        f"weights must be one of {sorted({*named, *(aliases or {})})}, a file, "
        f"'hf:owner/name@revision' or an https address, got {text!r}."
    )


def parse_hub_reference(text: str, file: str = "model.safetensors") -> Weights:
    """Return the record of ``hf:owner/name@revision``.

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
    """Return the file of a record: an installed one, or the Hub's cache, downloading it once.

    ``HF_HUB_OFFLINE``, ``HF_HOME`` and the rest of the Hub's settings are honoured.

    Raises:
        FileNotFoundError: If it is not installed, or not in the cache and cannot be downloaded; the
            message names the command, or the file, its address and the way without a network.
        ValueError: If the file is not the one that was published.
    """
    path = _installed(weights) if weights.repository is None else _hub_file(weights, weights.file)
    check_file(path, weights)
    if weights.sha256 is None:
        _check_blob(path)
    return path


def at_hand(weights: Weights) -> bool:
    """Tell whether the file of a record is on this machine, without looking into it.

    Example:
        >>> from styleaug.stylizers.micro import PACKAGED
        >>> at_hand(PACKAGED[0])
        True
    """
    if weights.repository is not None:
        cached = try_to_load_from_cache(weights.repository, weights.file, revision=weights.revision)
        return isinstance(cached, str)
    try:
        return _installed(weights).is_file()
    except FileNotFoundError:
        return False


def _installed(weights: Weights) -> Path:
    """Return the file of an installed package; ``FileNotFoundError`` names the way to get it."""
    if weights.package == DATA:
        return Path(__file__).parent / "stylizers" / "data" / weights.file
    try:
        path = Path(str(import_module(weights.package).__file__)).parent / weights.file
    except ModuleNotFoundError:
        path = None
    if path is None or not path.is_file():
        state = "is not installed" if path is None else "is an older one"
        raise FileNotFoundError(
            f"the weights {weights.name!r} ({weights.file}) are in the distribution "
            f"styleaug-weights, which {state}. Install it, once: pip install 'styleaug[weights]', "
            "or in a checkout: pip install ./weights. Without either, weights= takes a file."
        )
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
    """Return the settings of an installed file, or the ``config.json`` beside one on the Hub."""
    if weights.repository is None:
        return dict(weights.config)
    try:
        return _config_in(_hub_file(weights, "config.json").parent)
    except FileNotFoundError:
        return {}


def _config_in(folder: Path) -> dict[str, Any]:
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


def _hub_file(weights: Weights, file: str) -> Path:
    if weights.repository is None:
        raise ValueError(f"weights {weights.name!r} must have a repository, got none.")
    try:
        return Path(hf_hub_download(weights.repository, file, revision=weights.revision))
    except (LocalEntryNotFoundError, EntryNotFoundError, HfHubHTTPError, OSError) as error:
        url = weights._hub_address(file)
        raise FileNotFoundError(
            f"{file!r} of {weights.repository!r} must be in the Hub's cache or reachable, it is "
            f"neither ({type(error).__name__}). Without a network: download {url} elsewhere and "
            "pass its path as weights=, or copy the cache folder and set HF_HOME."
        ) from error
