"""Volumes, and images with any number of channels and any unit, as `Images` records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from styleaug._checks import check_choice
from styleaug.images.batch import CHANNELS, Images, OutOfRange, check_batch, in_unit
from styleaug.images.checks import RANGE_TOLERANCE, check_finite, extremes
from styleaug.images.window import Bounds, Window

ChannelMode: TypeAlias = Literal["rgb", "each", "joint"]
CHANNEL_MODES = ("rgb", "each", "joint")
PERCENTILES = (0.5, 99.5)
"""Black and white of window="percentile", in percent of the values of an image."""


@dataclass(frozen=True)
class Layout:
    """How to interpret channels, slices and units.

    Attributes:
        channel_mode: "rgb": one grey or three colour channels, stylized together. "each": every
            channel is a grey image of its own. "joint": grey channels that share their statistics.
        a_min: Value of black in the unit of the image; None: the image is in [0, 1], or has 8 or 16
            bits.
        a_max: Value of white. Values outside of the window are left unchanged.
        slice_axis: Spatial axis that a volume is cut along.
        window: "percentile": black and white are the percentiles 0.5 and 99.5 of each image (with
            "each" of each channel), for MR and other data in arbitrary units.
        out_of_range: As in `styleaug.images.batch.as_images`, for images without a window.

    Raises:
        ValueError: If the mode is unknown, the window is incomplete or not rising, or both kinds
            of window are given.
    """

    channel_mode: ChannelMode = "rgb"
    a_min: float | None = None
    a_max: float | None = None
    slice_axis: int = -1
    window: Literal["percentile"] | None = None
    out_of_range: OutOfRange = "raise"

    def __post_init__(self) -> None:
        check_choice("channel_mode", self.channel_mode, CHANNEL_MODES)
        check_choice("out_of_range", self.out_of_range, ("raise", "clamp"))
        if (self.a_min is None) != (self.a_max is None):
            raise ValueError(f"a_min and a_max go together, got {self.a_min} and {self.a_max}.")
        if self.a_min is not None and self.a_max is not None and self.a_min >= self.a_max:
            raise ValueError(f"a_min must be below a_max, got {self.a_min} and {self.a_max}.")
        if not -3 <= self.slice_axis <= 2:
            raise ValueError(f"slice_axis must be a spatial axis, 0 to 2, got {self.slice_axis}.")

        check_choice("window", self.window, ("percentile", None))
        if self.window is not None and self.a_min is not None:
            raise ValueError(
                f"window={self.window!r} finds black and white in the image, got a_min="
                f"{self.a_min} and a_max={self.a_max} too. Leave out one of the two."
            )

    def regions(self, regions: Tensor, channels: int) -> Tensor:
        """Return the label map ``(1, H, W[, D])`` of an image of so many channels as a record's."""
        if regions.ndim not in (3, 4) or len(regions) != 1:
            raise ValueError(
                f"regions must be (1, H, W) or (1, H, W, D) as the image, got "
                f"{tuple(regions.shape)}."
            )
        axis = self.slice_axis if self.slice_axis < 0 else self.slice_axis + 1
        volume = regions.unsqueeze(-1) if regions.ndim == 3 else regions.movedim(axis, -1)
        return tall_regions(volume.unsqueeze(0), channels, self.channel_mode)

    def bounds(self, volume: Tensor) -> Bounds | None:
        """Return black and white in the unit of a volume ``(C, H, W, D)``; None for [0, 1]."""
        if self.window is not None:
            return _percentiles(volume, apart=self.channel_mode == "each")
        return None if self.a_min is None or self.a_max is None else (self.a_min, self.a_max)


def as_volume(image: Tensor, layout: Layout) -> Images:
    """Return a channel-first image or volume of any unit as a record.

    Args:
        image: ``(C, H, W)`` or ``(C, H, W, D)``.
        layout: How to interpret it.

    Returns:
        One image per group of channels that are stylized together, as in `as_volumes`. Its
        ``restore`` gives the unit and data type of the input, with values outside of the window
        unchanged.

    Raises:
        TypeError: If integers of other types than uint8 and uint16 come without a window.
        ValueError: If the shape does not fit the layout, or as in `as_batch`.

    Example:
        >>> scan = torch.randint(-1000, 1000, (1, 64, 48, 5)).to(torch.int16)
        >>> images = as_volume(scan, Layout(a_min=-1000, a_max=1000))
        >>> images.batch.shape, images.restore(images.batch).equal(scan)
        (torch.Size([1, 1, 320, 48]), True)
    """
    if image.ndim not in (3, 4) or image.numel() == 0:
        raise ValueError(
            f"image must be (C, H, W) or (C, H, W, D) and hold pixels, got {tuple(image.shape)}."
        )
    if layout.channel_mode == "rgb" and image.shape[0] not in (1, 3):
        raise ValueError(
            f"image must have 1 or 3 channels in channel_mode='rgb', got {image.shape[0]}. Use "
            "channel_mode='each' or 'joint' for other channels."
        )
    axis = layout.slice_axis if layout.slice_axis < 0 else layout.slice_axis + 1
    volume = image.unsqueeze(-1) if image.ndim == 3 else image.movedim(axis, -1)
    bounds = layout.bounds(volume)
    unit, back = in_unit(volume, bounds, layout.out_of_range)
    if bounds is None:
        _check_unit(unit)
    images = as_volumes(unit.unsqueeze(0), mode=layout.channel_mode)

    def restore(batch: Tensor) -> Tensor:
        out = back(torch.as_tensor(images.restore(batch)).reshape(volume.shape))
        return out.squeeze(-1) if image.ndim == 3 else out.movedim(-1, axis)

    return replace(images, restore=restore, shape=tuple(image.shape))


def as_volumes(
    volumes: Tensor,
    channels: Sequence[int] = CHANNELS,
    mode: ChannelMode = "rgb",
    *,
    value_range: Window | None = None,
    out_of_range: OutOfRange = "raise",
) -> Images:
    """Return volumes as a record of tall images with vertically stacked slices.

    A pointwise stylizer sees each volume as one image. It uses the statistics of the whole volume,
    so slices do not flicker. For other stylizers `Images.sliced` separates the slices.

    Args:
        volumes: ``(B, C, H, W, D)``, uint8, uint16 or floating point in [0, 1].
        channels: The channel counts that are allowed in mode "rgb".
        mode: As in `Layout`. "each" makes an image of every channel.
        value_range: As in `styleaug.images.batch.as_images`.
        out_of_range: As in `styleaug.images.batch.as_images`.

    Raises:
        TypeError: As in `as_batch`.
        ValueError: As in `as_batch`.

    Example:
        >>> as_volumes(torch.rand(2, 1, 40, 50, 6)).batch.shape
        torch.Size([2, 1, 240, 50])
        >>> as_volumes(torch.rand(2, 7, 40, 50, 6), mode="each").batch.shape
        torch.Size([14, 1, 240, 50])
    """
    unit, back = in_unit(volumes, value_range, out_of_range)
    grouped = _grouped(unit, mode)
    kinds, height, width, depth = grouped.shape[1:]
    tall = grouped.movedim(-1, 2).flatten(2, 3)
    check_batch(tall, channels)

    def restore(batch: Tensor) -> Tensor:
        out = batch.reshape(-1, kinds, depth, height, width).movedim(2, -1)
        return back(out if mode == "rgb" else out.reshape(-1, *volumes.shape[1:]))

    return Images(tall, restore, depth, tuple(volumes.shape))


def tall_regions(regions: Tensor, channels: int, mode: ChannelMode = "rgb") -> Tensor:
    """Return the masks or label maps of volumes as those of the record of `as_volumes`.

    Args:
        regions: ``(B, 1, H, W, D)``.
        channels: How many the volumes have; their channels share the regions.
        mode: As in `as_volumes`.

    Returns:
        ``(B, 1, D * H, W)``, with as many rows and as high as the images of the record.

    Example:
        >>> tall_regions(torch.zeros(2, 1, 40, 50, 6), 7, "each").shape
        torch.Size([14, 1, 240, 50])
    """
    if mode != "rgb":
        regions = regions.expand(-1, channels, -1, -1, -1)
    return _grouped(regions, mode).movedim(-1, 2).flatten(2, 3)


def _grouped(volumes: Tensor, mode: ChannelMode) -> Tensor:
    """Return ``(B, C, H, W, D)``, the channels that are stylized together in one volume."""
    if mode == "each":
        return volumes.flatten(0, 1).unsqueeze(1)
    if mode == "joint":  # the channels below each other in one grey image share statistics
        return volumes.flatten(1, 2).unsqueeze(1)
    return volumes


def _percentiles(volume: Tensor, *, apart: bool) -> Bounds:
    """Return black and white, ``(C, 1, 1, 1)`` or ``(1, 1, 1, 1)``, as values of the volume.

    If all values are equal, both are larger, so that a flat volume is left unchanged.
    """
    values = volume.to(torch.float32).reshape(len(volume) if apart else 1, -1)
    check_finite("image", values)
    last = values.shape[1] - 1
    low, high = (
        values.kthvalue(1 + round(percent / 100 * last), dim=1).values for percent in PERCENTILES
    )
    span = high.abs().clamp_min_(1.0)
    flat = low == high
    low, high = torch.where(flat, high + span, low), torch.where(flat, high + 2 * span, high)
    return low.view(-1, 1, 1, 1), high.view(-1, 1, 1, 1)


def _check_unit(volume: Tensor) -> None:
    """Raise if values have a unit but no window is given."""
    if volume.dtype in (torch.uint8, torch.uint16):
        return
    low, high = extremes(volume)
    inside = low >= -RANGE_TOLERANCE and high <= 1.0 + RANGE_TOLERANCE
    if volume.is_floating_point() and (inside or not math.isfinite(low + high)):
        return
    kind = ValueError if volume.is_floating_point() else TypeError
    raise kind(
        f"image must be in [0, 1] or in 8 or 16 unsigned bits, got {volume.dtype} from {low:.4g} "
        f"to {high:.4g}. Say what is black and white in its unit: a_min=-160, a_max=240 for soft "
        "tissue in CT, window='percentile' for MR. Or scale it before, with "
        "ScaleIntensityRanged(keys, a_min, a_max, 0, 1, clip=True) of MONAI."
    )
