"""The checks that all entry points share, in one wording: argument, expectation, value, way out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

MIN_SIDE = 32
"""Smallest image side in pixels: five stride-2 stages leave one position."""

RANGE_TOLERANCE = 1e-3
"""How far a float image may leave [0, 1] before it is refused: below a third of an 8-bit level."""


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
    """Return ``device`` as a ``torch.device``, or raise ``ValueError`` if it is not there."""
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


def check_images(name: str, images: Tensor, channels: Sequence[int] = (3,)) -> None:
    """Raise unless ``images`` is a non-empty ``(B, C, H, W)`` batch with sides >= 32.

    Args:
        name: What the caller calls the batch, for the message.
        images: The batch.
        channels: The channel counts that are allowed.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(images).__name__}.")
    if images.ndim != 4:
        raise ValueError(f"{name} must have shape (B, C, H, W), got {tuple(images.shape)}.")
    if images.shape[0] == 0:
        raise ValueError(f"{name} must hold at least one image, got shape {tuple(images.shape)}.")
    if images.shape[1] not in channels:
        raise ValueError(
            f"{name} must have {_one_of(channels)} channels in dimension 1, got shape "
            f"{tuple(images.shape)}. Channels-last arrays go in as numpy arrays or permuted."
        )
    if min(images.shape[2:]) < MIN_SIDE:
        raise ValueError(
            f"{name} must have sides of at least {MIN_SIDE} pixels, got "
            f"{images.shape[2]}x{images.shape[3]}. Resize or pad the images first."
        )


def check_unit_range(name: str, images: Tensor) -> None:
    """Raise ``ValueError`` unless the float tensor ``images`` is finite and lies in [0, 1]."""
    low, high = (bound.item() for bound in torch.aminmax(images))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} must be finite, got NaN or infinite values in {_shape(images)}.")
    if low < -RANGE_TOLERANCE or high > 1.0 + RANGE_TOLERANCE:
        raise ValueError(
            f"{name} must be float images in [0, 1], got values from {low:.4g} to {high:.4g}. "
            f"{_range_advice(low, high)}"
        )


def _range_advice(low: float, high: float) -> str:
    if low >= 0.0 and high > 2.0:
        return "Divide by the maximum of the data type (255 for 8 bits), or pass integers."
    return "Stylize before Normalize, or clamp(0, 1) if an interpolation overshot."


def _one_of(numbers: Sequence[int]) -> str:
    return " or ".join(str(number) for number in numbers)


def _shape(images: Tensor) -> str:
    return f"a tensor of shape {tuple(images.shape)}"
