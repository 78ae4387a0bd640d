"""Colour stylizers whose statistics can be taken over a part of an image."""

from __future__ import annotations

from torch import Tensor

from styleaug.stylizers.base import ColorStylizer
from styleaug.stylizers.content_code import ContentCoded


class ColorStatistics(ContentCoded, ColorStylizer):
    """A colour stylizer that knows of an image nothing but statistics of its pixels.

    A subclass takes them over all pixels alike, or weighted, and maps colours by them.
    """

    def _encode_style(self, style: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
        """Return the maps of a code.

        Args:
            style: float ``(S, 3, H, W)`` in [0, 1].
            weights: float ``(S, 1, H, W)`` of at least 0: how much every pixel counts; None: all
                alike. Where all are 0, the maps are finite and mean nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement _encode_style.")
