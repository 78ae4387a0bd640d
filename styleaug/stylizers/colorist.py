"""Colorist: the mean and standard deviation of each RGB channel."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from torch import Tensor

from styleaug.functional import MIN_STD, channel_moments
from styleaug.images.planes import sums
from styleaug.stylizers.base import Maps
from styleaug.stylizers.channelwise import VALUES, Arrays, ChannelwiseStylizer


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

    def _encode_bytes(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        size = pixels.shape[2] * pixels.shape[3]
        total, squares = sums(pixels)
        mean, square = total / (255.0 * size), squares / (255.0**2 * size)
        std = np.sqrt((square - mean**2).clip(1e-12))  # as channel_moments does
        both = {"mean": mean, "std": std}
        return {name: kept.astype(np.float32)[..., None, None] for name, kept in both.items()}

    def _mapped(self, values: Tensor, own: Maps, maps: Maps, alpha: Tensor) -> Tensor:
        strength, least = alpha.view(-1, 1, 1, 1), own["std"].clamp_min(MIN_STD)
        gain, offset = _gain_and_offset(own["mean"], least, maps["mean"], maps["std"], strength)
        # in place: a broadcast addcmul is not vectorised and takes twice the time
        return (values * gain).add_(offset)

    def _mapped_levels(self, own: Arrays, maps: Arrays, alpha: np.ndarray) -> np.ndarray:
        mean, std, style_mean, style_std = (
            kept[name][..., 0] for kept in (own, maps) for name in ("mean", "std")
        )
        strength, least = alpha[:, None, None], np.maximum(std, _LEAST)
        gain, offset = _gain_and_offset(mean, least, style_mean, style_std, strength)
        mapped: np.ndarray = _VALUES * gain
        mapped += offset
        return mapped


_LEAST, _VALUES = np.float32(MIN_STD), VALUES.numpy()
_Array = TypeVar("_Array", Tensor, np.ndarray)


def _gain_and_offset(
    mean: _Array, std: _Array, style_mean: _Array, style_std: _Array, strength: _Array
) -> tuple[_Array, _Array]:
    kept = 1.0 - strength
    gain = kept + strength * style_std / std
    return gain, kept * mean + strength * style_mean - gain * mean
