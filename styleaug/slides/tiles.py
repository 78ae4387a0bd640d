"""A slide as a data set of tissue tiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from styleaug._checks import check_count, check_probability
from styleaug.images.slide import Region, open_slide
from styleaug.images.slide_tissue import grid, tissue_shares
from styleaug.slides.style import SlideStyle


class SlideTiles(Dataset[Tensor]):
    """The tiles of a slide that contain tissue, stylized by one code of the whole slide.

    A map-style data set that loader workers can pickle: for features before multiple-instance
    learning, or for training on tiles.

    Args:
        path: The slide.
        style: The style that paints the tiles; None leaves them unchanged.
        level: 0 is the finest.
        tile: Side of the tiles in pixels.
        tissue: Smallest share of tissue in a tile, in [0, 1].
        transform: Function applied to every stylized tile, uint8 ``(3, H, W)``.

    Attributes:
        regions: Left, top, width and height of every tile on its level; whole tiles only.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an argument does not fit, or no tile has enough tissue.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> tiles = SlideTiles("slide.svs", style, tile=256)  # doctest: +SKIP
        >>> DataLoader(tiles, batch_size=32, num_workers=4)  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | Path,
        style: SlideStyle | None = None,
        *,
        level: int = 0,
        tile: int = 256,
        tissue: float = 0.5,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        check_count("tile", tile)
        check_probability("tissue", tissue)
        self.slide, self.style, self.transform = open_slide(path, level), style, transform
        shares = tissue_shares(self.slide, tile)
        self.regions: list[Region] = [
            region
            for region, share in zip(grid(self.slide.size, tile), shares, strict=True)
            if share >= tissue and region[2:] == (tile, tile)
        ]
        if not self.regions:
            raise ValueError(
                f"tissue must leave a tile of {str(path)!r}, {tissue} leaves none: the most is "
                f"{shares.max():.2f}."
            )

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, index: int) -> Any:
        """Return a tile, uint8 ``(3, tile, tile)``, or the result of the transform.

        Raises:
            IndexError: If there is no tile of this number.
            OSError: If the tile is broken.
        """
        x, y, width, height = self.regions[index]
        border = 0 if self.style is None else self.style.border
        left, top = max(0, x - border), max(0, y - border)
        right, low = (
            min(a + b + border, side)
            for a, b, side in zip((x, y), (width, height), self.slide.size, strict=True)
        )
        pixels, broken = self.slide.read((left, top, right - left, low - top))
        if broken:
            raise OSError(f"{str(self.slide.path)!r} is broken at {broken} (left, top, w, h).")
        if self.style is not None:
            pixels = self.style(pixels)
        cut = np.ascontiguousarray(pixels[y - top :, x - left :][:height, :width])
        tile = torch.from_numpy(cut).permute(2, 0, 1).contiguous()
        return tile if self.transform is None else self.transform(tile)
