"""What stylizers share that paint from features: a content is encoded once, its detail kept."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

from styleaug.stylizers.base import Maps, Stylizer
from styleaug.stylizers.lost_detail import mended

_ACROSS = 5
"""Positions of the features along a side whose mean is their mesh; of three, texture goes, too."""

Features = TypeVar("Features")
"""What an encoder returns: one map, or one of every scale."""


class DecodingStylizer(Stylizer, Generic[Features]):
    """A stylizer whose decoder paints from features of a content and the maps of a code.

    Subclasses implement `_stride`, `_features`, `_decoded` and `_encode_style`. A grid of many
    styles encodes its contents once, and holds the maps of one style at a time.

    Attributes:
        detail: Whether the detail that decoding loses is put back, and the mesh that it repeats at
            the stride of the features, clouds and grain taken out, see
            `styleaug.stylizers.lost_detail`, `styleaug.stylizers.weave` and
            `styleaug.stylizers.clouds`: contents are then painted in their own style, too.
    """

    detail: bool

    @property
    def _stride(self) -> int:
        """Pixels of a side per position of the features."""
        raise NotImplementedError(f"{type(self).__name__} must implement _stride.")

    def _features(self, content: Tensor) -> Features:
        """Return what the encoder sees of contents ``(B, 3, H, W)``."""
        raise NotImplementedError(f"{type(self).__name__} must implement _features.")

    def _decoded(self, features: Features, maps: Maps, alpha: Tensor) -> Tensor:
        """Return images painted from features in as many styles, ``(B, 3, H, W)``."""
        raise NotImplementedError(f"{type(self).__name__} must implement _decoded.")

    def _blended(self, content: Tensor, painted: Tensor, alpha: Tensor) -> Tensor:
        """Return the painted images at their strength; override it if `_decoded` knows that."""
        return content.lerp(painted, alpha.view(-1, 1, 1, 1))

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        features = self._features(content)
        own = self._in_own_style(content, features, alpha)
        return self._painted(content, features, maps, alpha, own)

    def _stylize_grid(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        features = self._features(content)
        own = self._in_own_style(content, features, alpha)
        columns = []
        for index in range(len(next(iter(maps.values())))):
            one = {
                name: tensor[index : index + 1].expand(len(content), *tensor.shape[1:])
                for name, tensor in maps.items()
            }
            columns.append(self._painted(content, features, one, alpha, own))
        return torch.stack(columns, dim=1)

    def _painted(
        self, content: Tensor, features: Features, maps: Maps, alpha: Tensor, own: Tensor | None
    ) -> Tensor:
        painted = self._with_detail(self._decoded(features, maps, alpha), content, own)
        return self._blended(content, painted, alpha)

    def _in_own_style(self, content: Tensor, features: Features, alpha: Tensor) -> Tensor | None:
        """Return contents painted in their own style, if their detail is to be put back."""
        if not self.detail:
            return None
        own = self._encode_style(self._resize_style(content))  # resized as styles are
        return self._decoded(features, own, alpha)

    def _with_detail(self, painted: Tensor, content: Tensor, own: Tensor | None) -> Tensor:
        if own is None:
            return painted
        return with_detail(painted, content, own, self._stride)


def with_detail(painted: Tensor, content: Tensor, own: Tensor, stride: int) -> Tensor:
    """Return what decoders painted as `detail` leaves it; their training uses it, too.

    Args:
        painted: ``(B, 3, H, W)`` in the style.
        content: ``(B, 3, H, W)``, what was painted.
        own: ``(B, 3, H, W)``, the content painted in its own style.
        stride: Pixels of a side per position of the features.

    Returns:
        float32 ``(B, 3, H, W)``, which may leave [0, 1].
    """
    return mended(painted, content, own, stride, _ACROSS)
