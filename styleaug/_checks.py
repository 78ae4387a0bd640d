"""Checks of arguments, in one wording: argument, expectation, value, way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import torch


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``."""
    known = list(choices)
    if value not in known:
        raise ValueError(f"{name} must be one of {known}, got {value!r}.")


def check_probability(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise ``ValueError`` unless it lies in [0, 1]."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 <= float(value) <= 1.0:
        raise ValueError(f"{name} must be a number in [0, 1], got {value!r}.")
    return float(value)


def check_positive(name: str, value: float) -> float:
    """Return ``value`` as a float, or raise ``ValueError`` unless it is over 0 and finite."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 < value < float("inf"):
        raise ValueError(f"{name} must be a number over 0, got {value!r}.")
    return float(value)


def check_count(name: str, value: object) -> int:
    """Return ``value`` as an integer, or raise ``ValueError`` unless it is 1, 2, 3 ...."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def check_alpha(alpha: float | Sequence[float]) -> tuple[float, float]:
    """Return ``alpha`` as a range ``(low, high)`` with 0 <= low <= high <= 1."""
    values = tuple(alpha) if isinstance(alpha, Sequence) else (alpha, alpha)
    if len(values) != 2:
        raise ValueError(f"alpha must be one number or a (low, high) pair, got {alpha!r}.")
    low, high = (check_probability("alpha", value) for value in values)
    if low > high:
        raise ValueError(f"alpha must be a (low, high) pair with low <= high, got {alpha!r}.")
    return low, high


def check_device(device: str | torch.device | None) -> torch.device | None:
    """Return ``device`` as a ``torch.device``, or raise ``ValueError`` if this machine lacks it."""
    if device is None:
        return None
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"device must name a device of this machine, got {device!r} ({reason}). "
            "Use 'cpu', or None to follow the device of the images."
        ) from error
    return found
