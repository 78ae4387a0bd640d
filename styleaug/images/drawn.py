"""The base of transforms that draw params for every image and then apply them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

from styleaug._draws import DrawCounter, draw_keys
from styleaug.images.batch import AnyImage, Images, as_images

Params = TypeVar("Params")


class DrawnTransform(nn.Module, Generic[Params]):
    """Draws params, then applies them; subclasses define what is drawn and how it is applied.

    Args:
        seed: Draw from a random stream of its own instead of PyTorch's generator. Every rank and
            loader worker gets a different stream.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self.seed = seed
        self._counter = DrawCounter()

    @torch.no_grad()
    def forward(
        self,
        image: AnyImage | Images,
        *,
        generator: torch.Generator | None = None,
        ids: Sequence[int | str] | None = None,
        **given: Any,
    ) -> AnyImage:
        """Draw params and apply them.

        Args:
            image: A batch or an image; see the class.
            generator: Source of randomness, instead of ``seed`` or PyTorch's own.
            ids: One id per image, instead of a generator: a sample then gets the same draw in any
                batch.
            **given: What else `apply_transform` takes, such as ``regions`` of `StyleTransfer`.

        Returns:
            The changed image: same kind, shape, data type and device as the input.
        """
        call = self._drawn_and_applied
        if torch.compiler.is_compiling():  # draws differ in every call: nothing to compile
            call = torch.compiler.disable(call)
        return call(image, generator, ids, given)

    def make_params(
        self,
        image: AnyImage | Images,
        generator: torch.Generator | None = None,
        *,
        ids: Sequence[int | str] | None = None,
    ) -> Params:
        """Draw everything that is random about a call; arguments as in `forward`."""
        return self.draw_params(len(self._images(image)), generator, ids=ids)

    def draw_params(
        self,
        count: int,
        generator: torch.Generator | None = None,
        *,
        ids: Sequence[int | str] | None = None,
    ) -> Params:
        """Draw params for ``count`` images without the images; arguments as in `forward`."""
        raise NotImplementedError(f"{type(self).__name__} must implement draw_params.")

    def apply_transform(self, image: AnyImage | Images, params: Params) -> AnyImage:
        """Apply params that were drawn before; nothing is random here."""
        raise NotImplementedError(f"{type(self).__name__} must implement apply_transform.")

    def _drawn_and_applied(
        self,
        image: AnyImage | Images,
        generator: torch.Generator | None,
        ids: Sequence[int | str] | None,
        given: Mapping[str, Any],
    ) -> AnyImage:
        images = self._images(image)
        params = self.draw_params(len(images), generator, ids=ids)
        return self.apply_transform(images, params, **given)

    def _images(self, image: AnyImage | Images) -> Images:
        return as_images(image)

    def _keys(
        self, count: int, generator: torch.Generator | None, ids: Sequence[int | str] | None
    ) -> np.ndarray:
        return draw_keys(count, generator, ids, seed=self.seed, counter=self._counter)
