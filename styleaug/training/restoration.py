"""Multi-restoration: contents and styles that come back through stylized images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from styleaug.stylizers.rast_network import RASTNetwork, style_maps
from styleaug.training.losses import anatomy_loss, style_loss

_EPS = 1e-6

Features = Sequence[Tensor]


RESTORING = (
    "content_transitive",
    "style_transitive",
    "style_difference",
    "content_restoration",
    "style_restoration",
)
"""The losses of multi-restoration."""


def transfer(network: RASTNetwork, content: Features, style: Features) -> Tensor:
    """Return an image from the encoder's maps of a content and of a style."""
    return network.transfer(content, [style_maps(features) for features in style])


def stylize_both(network: RASTNetwork, content: Features, style: Features) -> dict[str, Tensor]:
    """Return "forth", the contents in the styles, and "back", the reverse; not clamped.

    Args:
        network: The transfer block.
        content: The encoder's maps of the contents.
        style: The encoder's maps of the styles.
    """
    return {"forth": transfer(network, content, style), "back": transfer(network, style, content)}


def run_cycle(network: RASTNetwork, content: Features, style: Features) -> dict[str, Tensor]:
    """Transfer there and back along both branches.

    Args:
        network: The transfer block.
        content: The encoder's maps of the contents.
        style: The encoder's maps of the styles.

    Returns:
        Images ``(B, 3, H, W)``, not clamped: those of `stylize_both`, and

        * "content_right": the content restored from "forth" with the content's style,
        * "style_right": the style image with the style of "forth",
        * "content_left": the content with the style of "back",
        * "style_left": the style image restored from "back".
    """
    images = stylize_both(network, content, style)
    there, here = network.encode(images["forth"]), network.encode(images["back"])
    return images | {
        "content_right": transfer(network, there, content),
        "style_right": transfer(network, style, there),
        "content_left": transfer(network, content, here),
        "style_left": transfer(network, here, style),
    }


def stylization_losses(
    content: Mapping[str, Features], style: Mapping[str, Features]
) -> dict[str, Tensor]:
    """Return the losses of both stylized images: they keep one content, and take one style.

    Args:
        content: Content maps of "content", "style", "forth" and "back".
        style: Style maps likewise.
    """
    return {
        "content": anatomy_loss(content["forth"], content["content"])
        + anatomy_loss(content["back"], content["style"]),
        "style": style_loss(style["forth"], style["style"])
        + style_loss(style["back"], style["content"]),
    }


def multi_restoration_losses(
    content: Mapping[str, Features], style: Mapping[str, Features]
) -> dict[str, Tensor]:
    """Return the losses of a cycle from loss maps.

    With Lc = `anatomy_loss` and Ls = `style_loss`: each restored image keeps the content or the
    style of its origin (``transitive``), both restorations agree (``restoration``), and a stylized
    image leaves the style that it had (``difference``, the inverse of a distance).

    Args:
        content: Content maps of "content", "style" and of every image of `run_cycle`.
        style: Style maps likewise.

    Returns:
        Losses by name, not weighted.

    Source:
        Ma et al., "RAST", WACV 2023; the terms are those of its code. 1e-6 is added to what is
        inverted, which is 0 where content and style are one image.
    """

    def keeps(a: str, b: str) -> Tensor:
        return anatomy_loss(content[a], content[b])

    def looks(a: str, b: str) -> Tensor:
        return style_loss(style[a], style[b])

    return {
        "content_transitive": keeps("content_right", "content") + keeps("style_left", "style"),
        "style_transitive": looks("style_right", "style") + looks("content_left", "content"),
        "style_difference": 1.0 / (looks("forth", "content") + _EPS)
        + 1.0 / (looks("back", "style") + _EPS),
        "content_restoration": keeps("content_right", "content_left")
        + keeps("style_right", "style_left"),
        "style_restoration": looks("content_right", "content_left")
        + looks("style_right", "style_left"),
    }


def low_resolution_sizes(side: int, scales: Sequence[float]) -> list[int]:
    """Return the sides at which images are restored once more: those of at least 32 pixels.

    Example:
        >>> low_resolution_sizes(128, (0.5, 0.25, 0.125))
        [64, 32]
    """
    return [round(side * scale) for scale in scales if round(side * scale) >= 32]


def shrink(images: Tensor, side: int) -> Tensor:
    """Return images whose shorter side has so many pixels."""
    factor = side / min(images.shape[2:])
    size = [max(side, round(length * factor)) for length in images.shape[2:]]
    return torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
