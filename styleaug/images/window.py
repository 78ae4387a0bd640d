"""Values of any unit as images in [0, 1], and back; unpainted values are kept bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, TypeAlias

import torch
from torch import Tensor

Window: TypeAlias = tuple[float, float]
Bounds: TypeAlias = "Window | tuple[Tensor, Tensor]"

CT_WINDOWS: dict[str, Window] = {
    "lung": (-1350.0, 150.0),
    "bone": (-500.0, 1300.0),
    "soft": (-150.0, 250.0),
    "brain": (0.0, 80.0),
}
"""Black and white in Hounsfield units: centres -600, 400, 50, 40 and widths 1500, 1800, 400, 80.

Source: Murphy, Baba et al., "Windowing (CT)", Radiopaedia.org, doi:10.53347/rID-52108; "soft" is
its abdomen."""


def check_window(name: str, window: Sequence[float] | str | None) -> Window | None:
    """Return black and white as floats, or raise ``ValueError`` unless black is below white.

    Args:
        name: What the caller calls the window, for the message.
        window: Two numbers, or a name of `CT_WINDOWS`.

    Example:
        >>> check_window("value_range", (0, 4095)), check_window("value_range", "lung")
        ((0.0, 4095.0), (-1350.0, 150.0))
    """
    if window is None:
        return None
    if isinstance(window, str):
        if window not in CT_WINDOWS:
            raise ValueError(
                f"{name} must be two numbers or one of {list(CT_WINDOWS)}, got {window!r}."
            )
        return CT_WINDOWS[window]
    values: list[Any] = list(window) if isinstance(window, Sequence) else []
    if len(values) == 2 and all(isinstance(value, Real) for value in values):
        low, high = map(float, values)
        if math.isfinite(low) and math.isfinite(high) and low < high:
            return low, high
    raise ValueError(f"{name} must be two numbers, black below white, got {window!r}.")


def to_unit(values: Tensor, window: Bounds) -> Tensor:
    """Return float32 values with black as 0 and white as 1, clamped."""
    low, high = window
    return ((values.to(torch.float32) - low) / (high - low)).clamp_(0.0, 1.0)


def back_from_unit(
    values: Tensor, unit: Tensor, window: Bounds, storable: tuple[int, int] | None = None
) -> Callable[[Tensor], Tensor]:
    """Return the function that undoes `to_unit`.

    Args:
        values: The input of `to_unit`.
        unit: Its output.
        window: Black and white, as numbers or as tensors that broadcast to ``values``; black is
            larger than white if high numbers are dark.
        storable: Smallest and largest integer that may be returned; None: those of the data type.

    Returns:
        A function that converts painted ``unit`` to the unit and data type of ``values``. Values
        outside of the window, and those that were not painted, are kept bit for bit.
    """
    low, high = window
    rises, falls = ((values >= a) & (values <= b) for a, b in ((low, high), (high, low)))
    inside = rises | falls

    def back(painted: Tensor) -> Tensor:
        out = painted * (high - low) + low
        if not values.is_floating_point():
            kind = torch.iinfo(values.dtype)
            out = out.round_().clamp_(*(storable or (kind.min, kind.max)))
        changed = inside & (painted != unit)
        raw = torch.int16 if values.dtype == torch.uint16 else values.dtype  # where() of torch 2.6
        new, old = (tensor.view(raw) for tensor in (out.to(values.dtype), values))
        return torch.where(changed, new, old).view(values.dtype)

    return back


def clamped(values: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return floats clamped to [0, 1], and a function that keeps the original unpainted values."""
    unit = values.clamp(0.0, 1.0)
    return unit, lambda painted: torch.where(painted != unit, painted, values)
