"""Colorist: the mean and standard deviation of each RGB channel."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from styleaug.functional import MIN_STD, channel_moments
from styleaug.stylizers.base import Maps
from styleaug.stylizers.channelwise import VALUES, ChannelwiseStylizer


class Colorist(ChannelwiseStylizer):
    """Match the mean and standard deviation of every RGB channel.

    ``x' = (x - mean_c) * std_s / std_c + mean_s``; ``alpha`` interpolates the gain and the offset,
    which is the same as blending the images.

    Source:
        Channel statistics in RGB as in "Colorist", by the authors of Stylizing ViT, where they
        lead every network on fidelity. There ``std_c`` is divided by as ``std_c + 1e-8``; here it
        is at least one 8-bit level, so that a flat image does not turn into amplified noise.

    Example:
        >>> import torch
        >>> stylizer = Colorist()
        >>> code = stylizer.encode_style(torch.rand(2, 3, 64, 48))
        >>> stylizer.stylize(torch.rand(2, 3, 40, 40), code, alpha=0.5).shape
        torch.Size([2, 3, 40, 40])
    """

    name = "colorist"

    def _encode_style(self, style: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
        mean, std = channel_moments(style, weights)
        return {"mean": mean, "std": std}

    def _encode_bytes(self, pixels: np.ndarray) -> dict[str, Tensor]:
        mean, square = (total / pixels.shape[2] for total in _sums(pixels))
        std = np.sqrt((square - mean**2).clip(1e-12))  # as channel_moments does
        both = {"mean": mean, "std": std}
        return {k: torch.from_numpy(v.astype(np.float32)[..., None, None]) for k, v in both.items()}

    def _mapped(self, values: Tensor, own: Maps, maps: Maps, alpha: Tensor) -> Tensor:
        strength, least = alpha.view(-1, 1, 1, 1), own["std"].clamp_min(MIN_STD)
        gain, offset = _gain_and_offset(own["mean"], least, maps["mean"], maps["std"], strength)
        # in place: a broadcast addcmul is not vectorised and takes twice the time
        return (values * gain).add_(offset)

    def _mapped_levels(self, own: Maps, maps: Maps, alpha: Tensor) -> np.ndarray:
        # the same in NumPy, whose calls take a fraction of the time on a few numbers
        mean, std, style_mean, style_std = (
            kept[name].numpy()[..., 0] for kept in (own, maps) for name in ("mean", "std")
        )
        strength, least = alpha.numpy()[:, None, None], std.clip(np.float32(MIN_STD))
        gain, offset = _gain_and_offset(mean, least, style_mean, style_std, strength)
        mapped: np.ndarray = VALUES.numpy() * gain + offset
        return mapped


_Array = TypeVar("_Array", Tensor, np.ndarray)


def _gain_and_offset(
    mean: _Array, std: _Array, style_mean: _Array, style_std: _Array, strength: _Array
) -> tuple[_Array, _Array]:
    gain = 1.0 - strength + strength * style_std / std
    return gain, (1.0 - strength) * mean + strength * style_mean - gain * mean


_RUN = 256
"""Bytes whose squares add up exactly in float32, in any order: 256 * 255 ** 2 < 2 ** 24."""


def _sums(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the values in [0, 1] and of their squares, float64 ``(B, C)``."""
    whole = pixels.shape[2] // _RUN * _RUN
    runs = pixels[:, :, :whole].astype(np.float32).reshape(*pixels.shape[:2], -1, 1, _RUN)
    rest = pixels[:, :, whole:].astype(np.float64)
    total = (runs @ np.ones((_RUN, 1), np.float32)).sum(axis=(2, 3, 4), dtype=np.float64)
    squares = (runs @ runs.swapaxes(3, 4)).sum(axis=(2, 3, 4), dtype=np.float64)
    return (total + rest.sum(axis=2)) / 255.0, (squares + (rest**2).sum(axis=2)) / 255.0**2
