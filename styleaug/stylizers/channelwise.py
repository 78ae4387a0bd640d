"""Stylizers that map every channel by itself: of 8-bit images they need no more than 256 levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from styleaug.images import planes
from styleaug.images.planes import LEVELS
from styleaug.stylizers.code import StyleCode
from styleaug.stylizers.content_code import own_maps
from styleaug.stylizers.statistics import ColorStatistics

Arrays: TypeAlias = Mapping[str, np.ndarray]


class ChannelwiseStylizer(ColorStatistics):
    """A colour stylizer that sends each channel through one curve, whatever the place.

    A subclass says what it keeps of an image twice, of floats and of bytes, and how values are
    mapped. Of uint8 images the curve is then a table, which is filled by mapping the 256 levels and
    rounding them; no image in floating point is made.
    """

    def _encode_bytes(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Return what `_encode_style` returns, of uint8 ``(B, C, H, W)``, plane by plane."""
        raise NotImplementedError(f"{type(self).__name__} must implement _encode_bytes.")

    def _mapped_levels(self, own: Arrays, maps: Arrays, alpha: np.ndarray) -> np.ndarray:
        """Return what `_mapped` makes of the 256 levels, float32 ``(B, 3, 256)``.

        In NumPy, whose calls take a fraction of the time of PyTorch's on a few numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement _mapped_levels.")

    @staticmethod
    def takes(images: Tensor, device: str | torch.device = "cpu") -> bool:
        """Return whether images that are to be stylized on a device can go through tables."""
        return images.dtype == torch.uint8 and images.device == torch.device(device) == _CPU

    @torch.no_grad()
    def encode_bytes(self, style: Tensor) -> StyleCode:
        """Encode checked uint8 images ``(S, C, H, W)`` on the CPU: 1, 3 or 4 channels."""
        maps = _in_rgb(self._encode_bytes(planes.split(style)[:, :3]))
        return StyleCode({name: torch.from_numpy(v) for name, v in maps.items()}, self.identity)

    def stylize_bytes(
        self, content: Tensor, style_code: StyleCode, alpha: Sequence[float]
    ) -> Tensor:
        """Stylize checked uint8 images on the CPU through tables.

        Statistics are exact sums of integers here and float32 sums in `forward`, and the rest is
        the same: no level differs by more than one, and few do.

        Args:
            content: uint8 ``(B, C, H, W)``; 1 channel is grey, a fourth one is carried over.
            style_code: B codes on the CPU.
            alpha: B strengths.

        Returns:
            uint8 ``(B, C, H, W)`` in the memory layout of ``content``.

        Example:
            >>> from styleaug.stylizers.colorist import Colorist
            >>> black, grey = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 128).byte()
            >>> code = Colorist().encode_style(black)
            >>> Colorist().stylize_bytes(grey, code, [0.5]).unique()
            tensor([64], dtype=torch.uint8)
        """
        pixels = planes.split(content)
        colors = pixels[:, :3]
        maps = {name: tensor.numpy() for name, tensor in style_code.maps.items()}
        own = own_maps(maps) or _in_rgb(self._encode_bytes(colors))
        out = np.empty_like(pixels)
        tables = self._tables(own, maps, np.array(alpha, np.float32), colors.shape[1])
        planes.mapped(colors, tables, out[:, :3])
        if content.shape[1] == 4:
            out[:, 3] = pixels[:, 3]
        return planes.joined(torch.from_numpy(out), content)

    def _tables(self, own: Arrays, maps: Arrays, alpha: np.ndarray, channels: int) -> np.ndarray:
        """Return the level that every level becomes, uint8 ``(B, channels, 256)``."""
        mapped = self._mapped_levels(own, maps, alpha)
        np.minimum(np.maximum(mapped, 0.0, out=mapped), 1.0, out=mapped)
        if channels == 1:
            mapped = mapped.mean(axis=1, keepdims=True)
        mapped *= LEVELS - 1
        tables: np.ndarray = np.rint(mapped, out=mapped).astype(np.uint8)
        if not alpha.all():
            tables[alpha == 0] = np.arange(LEVELS, dtype=np.uint8)
        return tables


_CPU = torch.device("cpu")
VALUES = torch.arange(LEVELS, dtype=torch.float32) / (LEVELS - 1)
"""The 256 levels as a stylizer sees them, ``(256,)``."""


def _in_rgb(maps: Arrays) -> Arrays:
    """Return the maps of grey images as those of images of three equal channels."""
    if next(iter(maps.values())).shape[1] == 3:
        return maps
    return {name: array.repeat(3, axis=1) for name, array in maps.items()}
