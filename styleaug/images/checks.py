"""Checks of images, in the wording of all checks: argument, expectation, value, way out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

RANGE_TOLERANCE = 1e-3
"""How far floats may leave [0, 1] before they are refused: less than a third of an 8-bit level."""


def check_images(name: str, images: Tensor, channels: Sequence[int] = (3,)) -> None:
    """Raise unless ``images`` is a non-empty dense batch ``(B, C, H, W)``.

    Args:
        name: What the caller calls the batch, for the message.
        images: The batch.
        channels: The channel counts that are allowed.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(images).__name__}.")
    check_dense(name, images)
    if images.ndim != 4:
        raise ValueError(f"{name} must have shape (B, C, H, W), got {tuple(images.shape)}.")
    if images.shape[0] == 0 or min(images.shape[2:]) == 0:
        raise ValueError(f"{name} must hold at least one image, got shape {tuple(images.shape)}.")
    if images.shape[1] not in channels:
        others = (
            " Other numbers of channels: channel_mode='each' of the torchvision, Albumentations "
            "and MONAI adapters."
        )
        raise ValueError(
            f"{name} must have {_one_of(channels)} channels in dimension 1, got shape "
            f"{tuple(images.shape)}. Channels-last arrays go in as numpy arrays or permuted."
            f"{others if 1 in channels else ''}"
        )


def check_dense(name: str, images: Tensor) -> None:
    """Raise ``TypeError`` if a tensor is sparse, nested or without data (meta)."""
    kind = (
        "a nested tensor"
        if images.is_nested
        else "a tensor on the device meta, without numbers"
        if images.is_meta
        else f"a tensor of layout {images.layout}"
    )
    if images.is_nested or images.is_meta or images.layout != torch.strided:
        raise TypeError(
            f"{name} must be a dense tensor, got {kind}. Pass images of one size stacked, "
            "with .to_dense() where they are sparse."
        )


def check_sides(name: str, images: Tensor, least: int, who: str = "") -> None:
    """Raise ``ValueError`` unless height and width of ``(B, C, H, W)`` are at least ``least``.

    Args:
        name: What the caller calls the batch, for the message.
        images: The batch.
        least: Smallest height and width, in pixels.
        who: What has this limit, for the message.
    """
    if min(images.shape[2:]) < least:
        limit = f" for {who!r}" if who else ""
        raise ValueError(
            f"{name} must have sides of at least {least} pixels{limit}, got "
            f"{images.shape[2]}x{images.shape[3]}. Resize or pad the images first; colour "
            "stylizers take any size."
        )


def check_unit_range(name: str, images: Tensor) -> None:
    """Raise ``ValueError`` unless the float tensor ``images`` is finite and lies in [0, 1]."""
    low, high = check_finite(name, images)
    if low < -RANGE_TOLERANCE or high > 1.0 + RANGE_TOLERANCE:
        raise ValueError(
            f"{name} must be float images in [0, 1], got values from {low:.4g} to {high:.4g}. "
            f"{_range_advice(low, high)}"
        )


def check_finite(name: str, images: Tensor) -> tuple[float, float]:
    """Return the extremes of ``images``, or raise ``ValueError`` unless they are finite."""
    low, high = extremes(images)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} must be finite, got NaN or infinite values in {_shape(images)}.")
    return low, high


def extremes(images: Tensor) -> tuple[float, float]:
    """Return the smallest and the largest value, with one copy from the device.

    Example:
        >>> extremes(torch.tensor([0.5, 0.25, 1.0]))
        (0.25, 1.0)
    """
    low, high = torch.stack(torch.aminmax(images)).tolist()
    return low, high


def _range_advice(low: float, high: float) -> str:
    if low >= 0.0 and high > 2.0:
        return "Divide by the maximum of the data type (255 for 8 bits), or pass integers."
    return (
        "Stylize before Normalize; if an interpolation or noise overshot, clamp(0, 1), or pass "
        "out_of_range='clamp' to StyleTransfer."
    )


def _one_of(numbers: Sequence[int]) -> str:
    return " or ".join(str(number) for number in numbers)


def _shape(images: Tensor) -> str:
    return f"a tensor of shape {tuple(images.shape)}"
