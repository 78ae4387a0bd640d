"""appearance: pictures as others were made, trained by ``styleaug train appearance``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleaug.images.checks import check_images
from styleaug.stylizers.appearance_code import APPEARANCE
from styleaug.stylizers.appearance_network import AppearanceNetwork, colorless, paint
from styleaug.stylizers.base import Maps, Precision
from styleaug.stylizers.content_code import ContentCoded
from styleaug.stylizers.detail import REACH
from styleaug.stylizers.grey import is_grey
from styleaug.weights import Weights, load_published

PACKAGED = (
    Weights(
        "medical",
        "appearance.safetensors",
        "CC BY 4.0",
        "stained tissue, blood smears, skin, fundus, chest X-rays, CT, fluorescence, photographs",
        sha256="04ff67ff6b5c3f2a73e71574cc150951265a26ef0340c4504f5973e53d1d61cc",
        size=1534504,
    ),
)
"""The weights that ship with the package; their card lies beside them in ``data``."""


class AppearanceTransfer(ContentCoded):
    """One map of colours and three gains of detail for the whole image, as a small network says.

    The style is a code of how a picture was made: stain, light, sensor, tone, sharpness. What the
    picture shows, and how much of it, is left out, as far as the network has learned that: a tile
    that is half glass and one that is full of nuclei have nearly one code if one scanner made
    both, and glass stays nearly glass. A bank holds 189 numbers per style and no image; their
    distances are distances of appearance, see `describe`.

    Equal colours in equal surroundings come out equal wherever they are, so there are no tiles, no
    seams and no clouds, and images of any size go through in strips. ``alpha`` blends the images.
    An image in its own style stays as it is; grey in a grey style stays grey exactly.

    Args:
        weights: "medical", which ships with the package, or a file written by
            ``styleaug train appearance``.
        precision: Has no effect: what is computed at full resolution is float32 always.
        max_batch: Most images at once.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the weights do not fit.

    Source:
        This package; see `AppearanceNetwork`, and `AppearanceRecipe` for what it learns from.

    Example:
        >>> import torch
        >>> stylizer = AppearanceTransfer()
        >>> code = stylizer.encode_style(torch.rand(1, 3, 64, 64))
        >>> stylizer.stylize(torch.rand(2, 3, 50, 70), code).shape
        torch.Size([2, 3, 50, 70])
    """

    name = "appearance"
    least_side = 9
    reach = REACH

    def __init__(
        self,
        *,
        weights: str | Path = "medical",
        precision: Precision = "auto",
        max_batch: int | None = None,
    ) -> None:
        super().__init__(precision=precision, max_batch=max_batch)
        self.network = AppearanceNetwork()
        self.weights_id = load_published(self.network, weights, PACKAGED)

    @torch.no_grad()
    def describe(self, images: Tensor) -> Tensor:
        """Return the codes of images: how they were made.

        Their Euclidean distance is that of appearances; give this as ``describe`` to
        `StyleBank.from_images` and to `StyleTTA`.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1].

        Returns:
            ``(B, 96)`` of unit root mean square.

        Raises:
            ValueError: If the shape does not fit, or a side is shorter than 9 pixels.

        Example:
            >>> AppearanceTransfer().describe(torch.rand(2, 3, 64, 64)).shape
            torch.Size([2, 96])
        """
        check_images("images", images)
        self.check_sides("images", images)
        code: Tensor = self.network.encoder(images.float())
        return code[:, :APPEARANCE]

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Return how differently pictures were made, whatever they show.

        Give the stylizer to `styleaug.metrics.StyleDistance` to accumulate it over batches.

        Args:
            a: float ``(B, 3, H, W)`` in [0, 1].
            b: float ``(B, 3, H, W)`` in [0, 1]; sizes may differ.

        Returns:
            ``(B,)``: the Euclidean distance of what `describe` returns, 0 to 2 * sqrt(96).

        Example:
            >>> image = torch.rand(1, 3, 64, 64)
            >>> AppearanceTransfer().distance(image, image).item()
            0.0
        """
        apart: Tensor = (self.describe(a) - self.describe(b)).norm(dim=1)
        return apart

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        return {"appearance": self.network.encoder(style), "grey": is_grey(style).float()}

    def _mapped(self, content: Tensor, own: Maps, maps: Maps, alpha: Tensor) -> Tensor:
        gains, *colors = self.network.mapping(own["appearance"], maps["appearance"])
        grey = (maps["grey"] > 0.999) & (own["grey"] > 0.999)
        return paint(content, gains, *colorless(colors, grey), alpha)

    def _numeric_context(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(device.type, enabled=False)
