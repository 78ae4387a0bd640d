"""What all tiles of a slide share: one style, one code of the slide, one strength."""

from __future__ import annotations

from typing import Any

import numpy as np

from styleaug._checks import check_probability
from styleaug.images.batch import as_images, from_content, to_content
from styleaug.images.slide import Slide
from styleaug.images.slide_tissue import overview, tissue_patches
from styleaug.stylizers.base import Stylizer
from styleaug.stylizers.code import StyleCode
from styleaug.stylizers.content_code import ContentCoded, check_takes_content_code
from styleaug.stylizers.lazy import LazyStylizer
from styleaug.stylizers.region import InRegion


class SlideStyle:
    """Paints tiles of one slide, all by the slide's own code, so that no seam appears.

    Small to pickle where the stylizer is given by name: loader workers build their own.

    Args:
        stylizer: A name, or a stylizer: appearance, colorist, reinhard, mkl or histogram.
        style: The code of one style.
        content: The code of the slide.
        alpha: Strength in [0, 1].
        device: Where to paint.

    Raises:
        ValueError: If the stylizer takes no code of a content, or a code is not one of its own.

    Example:
        >>> import torch
        >>> from styleaug import create_stylizer
        >>> mkl = create_stylizer("mkl")
        >>> style, own = mkl.encode_style(torch.rand(1, 3, 64, 64)), mkl.encode_content(
        ...     torch.rand(5, 3, 64, 64), together=True)
        >>> SlideStyle("mkl", style, own)(np.zeros((64, 80, 3), np.uint8)).shape
        (64, 80, 3)
    """

    def __init__(
        self,
        stylizer: str | Stylizer,
        style: StyleCode,
        content: StyleCode,
        alpha: float = 1.0,
        device: str = "cpu",
    ) -> None:
        self.alpha = check_probability("alpha", alpha)
        self._lazy, self.device = LazyStylizer(stylizer, _region(stylizer, style)), device
        if isinstance(self._stylizer, InRegion) and self._stylizer.takes_regions:
            raise ValueError(
                f"region must be found in a slide itself, such as 'tissue'; {style.source!r} needs "
                "masks."
            )
        for name, code in (("style", style), ("content", content)):
            if len(code) != 1:
                raise ValueError(f"{name} must hold one code for the whole slide, got {len(code)}.")
            if code.source != self._stylizer.identity:
                raise ValueError(
                    f"{name} must come from {self._stylizer.identity!r}, got {code.source!r}."
                )
        self.style, self.content = style.to(device), content.to(device)

    @classmethod
    def of_slide(
        cls,
        slide: Slide,
        stylizer: str | Stylizer,
        style: StyleCode,
        alpha: float = 1.0,
        device: str = "cpu",
    ) -> SlideStyle:
        """Return the style of a slide whose code is taken from a sample of its tissue."""
        lazy = LazyStylizer(stylizer, _region(stylizer, style))
        built = check_takes_content_code(lazy.on(device))
        given: dict[str, Any] = {"together": True}
        if isinstance(built, InRegion):
            given["overview"] = to_content(as_images(overview(slide)).batch.to(device))
        patches = as_images(tissue_patches(slide)).batch.to(device)
        content = built.encode_content(to_content(patches), **given)
        return cls(stylizer, style, content, alpha, device)

    @property
    def border(self) -> int:
        """Pixels around a tile that must be read, too, and are cut off again."""
        stylizer = self._stylizer
        return max(stylizer.reach, stylizer.least_side) if stylizer.reach else 0

    @property
    def _stylizer(self) -> ContentCoded:
        return check_takes_content_code(self._lazy.on(self.device))

    def __call__(self, tile: np.ndarray) -> np.ndarray:
        """Return uint8 ``(H, W, 3)`` painted."""
        images = as_images(tile)
        batch, stylizer = images.batch.to(self.device), self._stylizer
        painted = stylizer.stylize(
            to_content(batch), self.style, self.alpha, content_code=self.content
        )
        return np.asarray(images.restore(from_content(painted, batch).cpu()))

    def settings(self) -> dict[str, Any]:
        """Return what the pixels depend on."""
        return {
            "style": self.style.digest(),
            "content": self.content.digest(),
            "alpha": self.alpha,
            "stylizer": self._stylizer.identity,
        }


def _region(stylizer: str | Stylizer, style: StyleCode) -> dict[str, Any]:
    """Return the region of a style as an argument of the stylizer that is made for it."""
    return {"region": style.region} if isinstance(stylizer, str) else {}
