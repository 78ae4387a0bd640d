"""A stylizer that is built once per process and device, shared, and left out of pickles."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from styleaug.stylizers import check_stylizer, create_stylizer, find_entry
from styleaug.stylizers.base import Stylizer

_BUILT: WeakValueDictionary[tuple[str, str], Stylizer] = WeakValueDictionary()


class LazyStylizer:
    """Provides a stylizer on any device.

    Transforms with the same stylizer share one network per device. Pickles hold the arguments, not
    the network, so that loader workers receive a small object and build the network on first use.

    Args:
        stylizer: A name of the table, or a stylizer object, which is used as it is.
        arguments: Arguments of `create_stylizer` besides the name.
        compile: Whether what `method` returns goes through `torch.compile`.

    Raises:
        TypeError: If ``stylizer`` is neither a name nor a stylizer.
        ValueError: If arguments are given together with a stylizer object.

    Example:
        >>> LazyStylizer("colorist", {}).on("cpu").name
        'colorist'
    """

    def __init__(
        self,
        stylizer: str | Stylizer,
        arguments: Mapping[str, Any],
        *,
        compile: bool = False,  # noqa: A002
    ) -> None:
        check_stylizer(stylizer)
        given = {key: value for key, value in arguments.items() if value is not None}
        if given.get("precision") == "auto":
            del given["precision"]
        if isinstance(stylizer, Stylizer) and set(given) - {"precision"}:
            raise ValueError(
                f"stylizer is built already, {sorted(set(given) - {'precision'})} must be given "
                "to create_stylizer instead."
            )
        self.stylizer = stylizer if isinstance(stylizer, str) else stylizer.freeze()
        self.arguments = given
        self.compile = compile
        self._on: dict[str, Stylizer] = {}
        self._compiled: dict[tuple[str, str], Callable[..., Tensor]] = {}

    def on(self, device: str | torch.device) -> Stylizer:
        """Return the stylizer on ``device``, building or copying it if need be."""
        place = str(torch.device(device))
        if place not in self._on:
            self._on[place] = self._build(place)
        return self._on[place]

    def method(self, name: str, device: str | torch.device) -> Callable[..., Tensor]:
        """Return a method of the stylizer on ``device``, compiled if that was asked for."""
        method: Callable[..., Tensor] = getattr(self.on(device), name)
        if not self.compile:
            return method
        key = name, str(torch.device(device))
        if key not in self._compiled:
            self._compiled[key] = torch.compile(method, dynamic=True)
        return self._compiled[key]

    def _build(self, place: str) -> Stylizer:
        if isinstance(self.stylizer, Stylizer):
            here = {str(tensor.device) for tensor in self.stylizer.parameters()}
            return self.stylizer if here <= {place} else copy.deepcopy(self.stylizer).to(place)
        named = [self.stylizer, self.arguments, _stamps(self.arguments)]
        key = (json.dumps(named, sort_keys=True, default=str), place)
        built = _BUILT.get(key)
        if built is None:
            built = create_stylizer(self.stylizer, **self.arguments).to(place)
            _BUILT[key] = built
        return built

    @property
    def kind(self) -> type[Stylizer]:
        """Its class, for reading flags such as ``pointwise`` without building it."""
        if isinstance(self.stylizer, Stylizer):
            return type(self.stylizer)
        return find_entry(self.stylizer).kind

    @property
    def label(self) -> str:
        """Name of the stylizer, for messages and ``repr``."""
        return self.stylizer if isinstance(self.stylizer, str) else self.stylizer.name

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_on": {}, "_compiled": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyStylizer:
        """Share the network: it is frozen, a second copy would only take memory."""
        return self


def _stamps(arguments: Mapping[str, Any]) -> list[tuple[int, ...]]:
    """Return numbers that change when a file named by an argument is replaced."""
    paths = [Path(value) for value in arguments.values() if isinstance(value, str | Path)]
    found = [path.stat() for path in paths if path.is_file()]
    return [(s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in found]
