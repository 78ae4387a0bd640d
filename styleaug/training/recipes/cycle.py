"""The cycle of RAST: forth and back, along both branches, and at lower resolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.nn import functional as F

from styleaug.stylizers.rast_network import RASTNetwork, style_maps

Features = Sequence[Tensor]


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
    """Transfer forth and back along both branches: `stylize_both`, then `stylize_again`."""
    images = stylize_both(network, content, style)
    return images | stylize_again(network, content, style, images)


def stylize_again(
    network: RASTNetwork, content: Features, style: Features, images: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Transfer from and to what was stylized once, along both branches.

    Args:
        network: The transfer block.
        content: The encoder's maps of the contents.
        style: The encoder's maps of the styles.
        images: "forth" and "back" of `stylize_both`.

    Returns:
        Images ``(B, 3, H, W)``, not clamped:

        * "content_right": the content restored from "forth" with the content's style,
        * "style_right": the style image with the style of "forth",
        * "content_left": the content with the style of "back",
        * "style_left": the style image restored from "back".
    """
    there, here = network.encode(images["forth"]), network.encode(images["back"])
    return {
        "content_right": transfer(network, there, content),
        "style_right": transfer(network, style, there),
        "content_left": transfer(network, content, here),
        "style_left": transfer(network, here, style),
    }


def low_resolution_sizes(side: int, scales: Sequence[float]) -> list[int]:
    """Return the sides of the low-resolution restorations: those of at least 32 pixels.

    Example:
        >>> low_resolution_sizes(128, (0.5, 0.25, 0.125))
        [64, 32]
    """
    return [round(side * scale) for scale in scales if round(side * scale) >= 32]


def shrink(images: Tensor, side: int) -> Tensor:
    """Return images resized to a given shorter side."""
    factor = side / min(images.shape[2:])
    size = [max(side, round(length * factor)) for length in images.shape[2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True)
