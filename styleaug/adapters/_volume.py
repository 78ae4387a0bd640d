"""Images and volumes of any number of channels, in any unit, through a stylizer of RGB images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from styleaug._checks import check_choice
from styleaug.params import StyleParams
from styleaug.transform import StyleTransfer

ChannelMode: TypeAlias = Literal["rgb", "each", "joint"]
CHANNEL_MODES = ("rgb", "each", "joint")


@dataclass(frozen=True)
class Layout:
    """How channels, slices and units are to be understood.

    Attributes:
        channel_mode: "rgb": one grey or three colour channels, stylized together. "each": every
            channel is a grey image of its own. "joint": grey channels that share their statistics.
        a_min: Value that is black, in the unit of the image; None: the image is in [0, 1] or
            8 or 16-bit.
        a_max: Value that is white. Values outside the window are left untouched.
        slice_axis: Spatial axis that a volume is cut along.

    Raises:
        ValueError: If the mode is unknown, or the window is not complete and rising.
    """

    channel_mode: ChannelMode = "rgb"
    a_min: float | None = None
    a_max: float | None = None
    slice_axis: int = -1

    def __post_init__(self) -> None:
        check_choice("channel_mode", self.channel_mode, CHANNEL_MODES)
        if (self.a_min is None) != (self.a_max is None):
            raise ValueError(f"a_min and a_max go together, got {self.a_min} and {self.a_max}.")
        if self.a_min is not None and self.a_max is not None and self.a_min >= self.a_max:
            raise ValueError(f"a_min must be below a_max, got {self.a_min} and {self.a_max}.")
        if not -3 <= self.slice_axis <= 2:
            raise ValueError(f"slice_axis must be a spatial axis, 0 to 2, got {self.slice_axis}.")


def stylize_array(
    core: StyleTransfer, image: Tensor, params: StyleParams, layout: Layout
) -> Tensor:
    """Stylize a channel-first image or volume with one draw.

    Volumes go through slice by slice, in one batch, with one style. A stylizer that is pointwise
    sees the volume as one tall image, so that its statistics are those of the volume and slices do
    not flicker; any other takes the statistics of each slice.

    Args:
        core: What stylizes.
        image: ``(C, H, W)`` or ``(C, H, W, D)``.
        params: One draw.
        layout: How to understand the image.

    Returns:
        The same shape, unit and data type.

    Raises:
        ValueError: If the shape does not fit the layout.
    """
    if image.ndim not in (3, 4):
        raise ValueError(f"image must be (C, H, W) or (C, H, W, D), got {tuple(image.shape)}.")
    if layout.a_min is None:
        return _stylize_unit(core, image, params, layout)
    low, high = float(layout.a_min), float(layout.a_max or 0.0)
    values = image.to(torch.float32)
    inside = (values >= low) & (values <= high)
    unit = ((values - low) / (high - low)).clamp_(0.0, 1.0)
    stylized = _stylize_unit(core, unit, params, layout) * (high - low) + low
    if not image.is_floating_point():
        stylized = stylized.round_()
    return torch.where(inside, stylized.to(image.dtype), image)


def _stylize_unit(
    core: StyleTransfer, image: Tensor, params: StyleParams, layout: Layout
) -> Tensor:
    """Stylize an image or volume whose values are in the range of its data type."""
    axis = layout.slice_axis if layout.slice_axis < 0 else layout.slice_axis + 1
    volume = image.unsqueeze(-1) if image.ndim == 3 else image.movedim(axis, -1)
    slices = volume.movedim(-1, 0)  # (D, C, H, W)
    grouped = _group_channels(slices, layout.channel_mode)
    tall = core.stylizer_on("cpu").pointwise
    parts = [_stylize_slices(core, group, params, tall) for group in grouped]
    out = _ungroup_channels(parts, slices.shape, layout.channel_mode).movedim(0, -1)
    return out.squeeze(-1) if image.ndim == 3 else out.movedim(-1, axis)


def _stylize_slices(core: StyleTransfer, slices: Tensor, params: StyleParams, tall: bool) -> Tensor:
    depth, channels, height, width = slices.shape
    if not tall:
        return torch.as_tensor(core.apply_transform(slices, params.repeat(depth)))
    stacked = slices.movedim(0, 1).reshape(1, channels, depth * height, width)
    out = torch.as_tensor(core.apply_transform(stacked, params))
    return out.view(channels, depth, height, width).movedim(1, 0)


def _group_channels(slices: Tensor, mode: str) -> list[Tensor]:
    """Return batches ``(D, 1 or 3, H, W)`` that are stylized one after the other."""
    channels = slices.shape[1]
    if mode == "rgb":
        if channels not in (1, 3):
            raise ValueError(
                f"image must have 1 or 3 channels in channel_mode='rgb', got {channels}. Use "
                "channel_mode='each' or 'joint' for other channels."
            )
        return [slices]
    if mode == "each":
        return list(slices.split(1, dim=1))
    # joint: the channels below each other in one grey image, so that they share statistics
    return [slices.flatten(1, 2).unsqueeze(1)]


def _ungroup_channels(parts: list[Tensor], shape: torch.Size, mode: str) -> Tensor:
    return parts[0].reshape(shape) if mode == "joint" else torch.cat(parts, dim=1)
