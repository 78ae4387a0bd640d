"""Values as a scanner stored them, with their meaning, as an `Images` record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from styleaug.images.batch import AnyImage, Images
from styleaug.images.volume import PERCENTILES
from styleaug.images.window import CT_WINDOWS, Bounds, Window, back_from_unit, check_window

AnyWindow: TypeAlias = "Sequence[float] | str | None"
"""Two numbers, a name of `CT_WINDOWS`, "percentile", or None for the window of the file."""


def check_file_window(name: str, window: AnyWindow) -> AnyWindow:
    """Return a window unchanged, or raise ``ValueError`` if files cannot be read with it."""
    if window == "percentile":
        return window
    if isinstance(window, str) and window not in CT_WINDOWS:
        known = [*CT_WINDOWS, "percentile"]
        raise ValueError(f"{name} must be two numbers or one of {known}, got {window!r}.")
    check_window(name, window)
    return window


@dataclass(frozen=True)
class Scan:
    """A volume, or one slice, as it is stored.

    Attributes:
        values: ``(D, H, W)`` grey or ``(D, H, W, 3)`` RGB of 8 bits.
        slope: Units per stored step, one number per slice or one for all.
        intercept: Value of a stored 0 in this unit, likewise.
        modality: "CT", "MR" ..., or "" if the file does not name it.
        own: Black and white of the file, in its unit, if it has a window.
        falls: Whether high stored numbers are dark (MONOCHROME1).
        storable: Smallest and largest number that can be stored; None: those of the data type.
    """

    values: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray
    modality: str = ""
    own: Window | None = None
    falls: bool = False
    storable: tuple[int, int] | None = None

    def window(self, asked: AnyWindow) -> Window | None:
        """Return black and white in the unit of the scan; None for colours.

        Args:
            asked: The window of the user. None: the window of the file except for MR, "soft" for CT
                without one, otherwise the percentiles 0.5 and 99.5 of the volume.

        Raises:
            ValueError: If a window in Hounsfield units is asked for, but the scan is not a CT.
        """
        if self.values.ndim == 4:
            return None
        if isinstance(asked, str) and asked in CT_WINDOWS and self.modality not in ("", "CT"):
            raise ValueError(
                f"window {asked!r} is in Hounsfield units, for CT; this is {self.modality}. Use "
                "'percentile', or two numbers."
            )
        if asked is not None and asked != "percentile":
            return check_window("window", asked)
        if asked is None and self.own is not None and self.modality != "MR":
            return self.own
        if asked is None and self.modality == "CT":
            return CT_WINDOWS["soft"]
        return self._percentiles()

    def images(self, asked: AnyWindow) -> Images:
        """Return the record: one tall image of vertically stacked slices.

        Its ``restore`` gives ``values``: outside of the window, and where nothing is painted, they
        are kept bit for bit.
        """
        window = self.window(asked)
        values = torch.from_numpy(np.ascontiguousarray(self.values))
        planes = values.unsqueeze(1) if values.ndim == 3 else values.movedim(-1, 1)
        if window is None:
            return _tall(planes, lambda painted: painted, self.values)
        bounds = self._stored(window)
        low, high = bounds
        unit = ((planes.to(torch.float32) - low) / (high - low)).clamp_(0.0, 1.0).nan_to_num_(0.0)
        return _tall(unit, back_from_unit(planes, unit, bounds, self.storable), self.values)

    def _stored(self, window: Window) -> Bounds:
        """Return the stored numbers of black and white, one pair or one per slice."""
        low, high = reversed(window) if self.falls else window
        pairs = [
            ((low - add) / step, (high - add) / step)
            for step, add in zip(self.slope.tolist(), self.intercept.tolist(), strict=True)
        ]
        if len(set(pairs)) == 1:
            return pairs[0]
        lows, highs = torch.tensor(pairs, dtype=torch.float32).view(-1, 2, 1, 1, 1).unbind(1)
        return lows, highs

    def _percentiles(self) -> Window:
        per_slice = (slice(None), None, None)
        unit = self.values.astype(np.float32) * self.slope[per_slice] + self.intercept[per_slice]
        finite = unit[np.isfinite(unit)]
        if finite.size == 0:
            raise ValueError("image must hold finite values, all of them are NaN or infinite.")
        low, high = (float(value) for value in np.percentile(finite, PERCENTILES))
        if low < high:
            return low, high
        above = high + max(abs(high), 1.0)  # what is flat lies outside, so that it is left alone
        return above, 2.0 * above - high


def _tall(planes: Tensor, back: object, like: np.ndarray) -> Images:
    depth, channels, height, width = planes.shape
    tall = planes.movedim(1, 0).reshape(1, channels, depth * height, width)

    def restore(batch: Tensor) -> AnyImage:
        painted = batch.reshape(channels, depth, height, width).movedim(0, 1)
        out = back(painted)  # type: ignore[operator]
        array: np.ndarray = out.movedim(1, -1).reshape(like.shape).numpy()
        return array

    return Images(tall, restore, depth, tuple(like.shape))
