"""Stylizers that can paint tiles of an image, such as a slide, by the code of the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from styleaug.stylizers.base import Maps, Stylizer, check_unit_images
from styleaug.stylizers.code import StyleCode

_OWN = "own."
Kept = TypeVar("Kept")


class ContentCoded(Stylizer):
    """A stylizer whose output depends only on a code of the whole content and on nearby pixels.

    A subclass implements `_mapped`, or `_stylize` with the result of `own_maps`.

    Attributes:
        reach: Largest distance in pixels at which other pixels have an influence.
    """

    reach: int = 0

    def encode_content(self, content: Tensor, *, together: bool = False) -> StyleCode:
        """Encode contents once, so that all parts of them, such as tiles, are painted consistently.

        Args:
            content: float ``(B, 3, H, W)`` in [0, 1], RGB, not normalised.
            together: Return one code for all, as if they were parts of one image: the statistics
                of all pixels, or the mean of the codes.

        Returns:
            B codes, or one, for `stylize` as ``content_code``.

        Raises:
            TypeError: If ``content`` is not a floating-point tensor.
            ValueError: If shape or values do not fit.

        Example:
            >>> from styleaug import create_stylizer
            >>> stylizer, slide = create_stylizer("mkl"), torch.rand(1, 3, 64, 96)
            >>> own, style = stylizer.encode_content(slide), stylizer.encode_style(slide.square())
            >>> left = stylizer.stylize(slide[..., :48], style, content_code=own)
            >>> torch.allclose(left, stylizer.stylize(slide, style)[..., :48], atol=1e-5)
            True
        """
        if together and self.pointwise:
            check_unit_images("content", content)
            content = content.transpose(0, 1).reshape(1, 3, -1, content.shape[3])
        codes = self.encode_style(content)
        if not together or len(codes) == 1:
            return codes
        return codes.mix(torch.full((1, len(codes)), 1.0 / len(codes), device=codes.device))

    def stylize(
        self,
        content: Tensor,
        style_code: StyleCode,
        alpha: float | Sequence[float] | Tensor = 1.0,
        *,
        content_code: StyleCode | None = None,
    ) -> Tensor:
        """Repaint each content image in the style of its code.

        Args:
            content: float ``(B, 3, H, W)`` in [0, 1], RGB, sides of at least ``least_side`` pixels.
            style_code: B codes, or one code for all.
            alpha: Stylization strength, one number or ``(B,)``: 0 keeps the content bit for bit,
                1 is full style.
            content_code: Codes from `encode_content` of the whole images that the contents are
                parts of: B codes, or one for all. A part is then painted as in the whole image,
                except `reach` pixels at its border. None encodes the contents themselves.

        Returns:
            float ``(B, 3, H, W)`` in [0, 1].

        Raises:
            TypeError: If ``content`` is not a floating-point tensor.
            ValueError: If shapes, values or the origin of a code do not fit.
        """
        if content_code is not None:
            check_unit_images("content", content)
            style_code = self.with_content_code(style_code, content_code, len(content))
        return super().stylize(content, style_code, alpha)

    def _mapped(self, content: Tensor, own: Maps, maps: Maps, alpha: Tensor) -> Tensor:
        """Return stylized images whose own codes are given; may leave [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} must implement _mapped.")

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        return self._mapped(content, own_maps(maps) or self._encode_style(content), maps, alpha)

    def with_content_code(
        self, style_code: StyleCode, content_code: StyleCode, count: int
    ) -> StyleCode:
        """Return ``count`` codes of styles, extended by those of the contents."""
        maps: dict[str, Tensor] = {}
        for name, code, prefix in (
            ("style_code", style_code, ""),
            ("content_code", content_code, _OWN),
        ):
            if code.source != self.identity:
                raise ValueError(
                    f"{name} must come from {self.identity!r}, got one of {code.source!r}. "
                    "Encode the images again with this stylizer."
                )
            if len(code) not in (1, count):
                raise ValueError(
                    f"{name} must hold 1 code or {count} (one per content image), got {len(code)}."
                )
            rows = (code if len(code) == count else code[[0] * count]).to(style_code.device)
            maps |= {prefix + key: tensor for key, tensor in rows.maps.items()}
        return StyleCode(maps, self.identity)


def own_maps(maps: Mapping[str, Kept]) -> dict[str, Kept]:
    """Return the maps of the content contained in those of a style; empty if there are none.

    Example:
        >>> list(own_maps({"mean": torch.zeros(1), "own.mean": torch.ones(1)}))
        ['mean']
    """
    return {key.removeprefix(_OWN): kept for key, kept in maps.items() if key.startswith(_OWN)}


def check_takes_content_code(stylizer: Stylizer) -> ContentCoded:
    """Return the stylizer.

    Raises:
        ValueError: If it does not accept the code of a content.

    Example:
        >>> from styleaug import create_stylizer
        >>> check_takes_content_code(create_stylizer("appearance")).reach
        7
    """
    if not isinstance(stylizer, ContentCoded):
        raise ValueError(
            f"the stylizer must paint by a code of the whole picture, {stylizer.name!r} does not: "
            "take appearance, colorist, reinhard, mkl or histogram."
        )
    return stylizer
