"""Losses of multi-restoration: contents and styles restored from stylized images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor

from styleaug.training.losses.maps import anatomy_loss, style_loss

_EPS = 1e-6
_keeps, _looks = partial(anatomy_loss, unbiased=True), partial(style_loss, unbiased=True)

Features = Sequence[Tensor]

RESTORING = (
    "content_transitive",
    "style_transitive",
    "style_difference",
    "content_restoration",
    "style_restoration",
)
"""The losses of multi-restoration."""


def stylization_losses(
    content: Mapping[str, Features], style: Mapping[str, Features]
) -> dict[str, Tensor]:
    """Return content and style losses of both stylized images.

    Args:
        content: Content maps of "content", "style", "forth" and "back".
        style: Style maps likewise.
    """
    return {
        "content": _keeps(content["forth"], content["content"])
        + _keeps(content["back"], content["style"]),
        "style": _looks(style["forth"], style["style"]) + _looks(style["back"], style["content"]),
    }


def multi_restoration_losses(
    content: Mapping[str, Features], style: Mapping[str, Features]
) -> dict[str, Tensor]:
    """Return the losses of a cycle from loss maps.

    With Lc = `anatomy_loss` and Ls = `style_loss`, both with unbiased deviations: each restored
    image keeps the content or the style of its origin (``transitive``), both restorations agree
    (``restoration``), and a stylized image differs from its old style (``difference``,
    the inverse of a distance).

    Args:
        content: Content maps of "content", "style" and of every image of `run_cycle`.
        style: Style maps likewise.

    Returns:
        Losses by name, not weighted.

    Source:
        Ma et al., "RAST", WACV 2023; the terms are those of its code. 1e-6 is added before
        inversion, because the distance is 0 if content and style are the same image.
    """

    def keeps(a: str, b: str) -> Tensor:
        return _keeps(content[a], content[b])

    def looks(a: str, b: str) -> Tensor:
        return _looks(style[a], style[b])

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
