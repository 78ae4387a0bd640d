"""Frozen dataclasses that check their fields against their types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from styleaug._checks import check_choice

_Record = TypeVar("_Record")


def check_fields(record: Any) -> None:
    """Check the fields of a frozen dataclass against their types, for its ``__post_init__``.

    Types may be ``str``, ``bool``, ``int``, ``float``, ``Literal[...]``, ``tuple[X, ...]`` and
    ``Mapping[str, X]``. Whole numbers become floats and lists become tuples where the type says so.

    Raises:
        ValueError: If a value is of another type, or a number is not finite.
    """
    hints = get_type_hints(type(record))
    for item in fields(record):
        value = _fitted(item.name, getattr(record, item.name), hints[item.name])
        object.__setattr__(record, item.name, value)


def read_record(kind: type[_Record], values: Mapping[str, Any], origin: str) -> _Record:
    """Return a dataclass from values by name; those left out keep their defaults.

    Args:
        kind: The dataclass.
        values: Values of its fields, such as those of a JSON or TOML file.
        origin: Where they come from, for the message.

    Raises:
        ValueError: If a name is unknown or missing, or a value does not fit.
    """
    known = fields(kind)  # type: ignore[arg-type]
    refuse_unknown(origin, values, {item.name for item in known})
    needed = [x.name for x in known if x.default is MISSING and x.default_factory is MISSING]
    if missing := [name for name in needed if name not in values]:
        raise ValueError(f"{origin} must give {missing}, got {sorted(values)}.")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from error


def refuse_unknown(origin: str, given: Mapping[str, object], known: set[str]) -> None:
    """Raise ``ValueError`` unless all keys are known."""
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"{origin} has unknown keys {unknown}; known are {sorted(known)}.")


def _fitted(name: str, value: Any, hint: Any) -> Any:
    """Return a value as its type wants it, or raise ``ValueError``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        check_choice(name, value, arguments)
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} must be a list, got {value!r}. Write [{value!r}].")
        return tuple(_fitted(name, item, arguments[0]) for item in value)
    if origin is Mapping:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"{name} must be values by name, got {value!r}.")
        return {key: _fitted(f"{name}.{key}", value[key], arguments[1]) for key in value}
    return _SCALARS[hint](name, value) if hint in _SCALARS else value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, got {value!r}.")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}.")
    return value


def _whole(name: str, value: object) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number, got {value!r}.")
    return int(value)


def _number(name: str, value: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}.")
    return float(value)


_SCALARS = {str: _text, bool: _flag, int: _whole, float: _number}
