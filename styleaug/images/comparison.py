"""Comparison sheets: before, style, after, difference and histograms of an image in a row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from styleaug.images.batch import Images
from styleaug.images.sheet import contact_sheet, to_picture

COLUMNS = ("content", "style", "result", "difference", "histograms")

_INKS = ((200, 60, 60), (50, 150, 70), (60, 90, 200))
_GREY = (70, 70, 70)
_PALE = (245, 245, 245)
_WIDTH = 256
_PANEL = 84
"""Height of one of the three histograms, in pixels."""


def comparison_sheet(
    rows: Sequence[tuple[Image.Image, Image.Image | None, Image.Image]],
    labels: Sequence[str],
    *,
    cell: int = 200,
) -> Image.Image:
    """Return a contact sheet with a row per image: content, style, result, and the change.

    Args:
        rows: Content, style (None if not available) and result of every image, as `to_picture`
            returns them; content and result have the same size.
        labels: One label per row.
        cell: Side of a cell in pixels.

    Raises:
        ValueError: If the labels do not fit, or a content and its result differ in size.

    Example:
        >>> tile = Image.new("RGB", (40, 40), "pink")
        >>> comparison_sheet([(tile, None, tile)], ["as it is"], cell=100).size
        (536, 148)
    """
    lines = []
    for content, style, result in rows:
        shown = difference(content, result)
        lines.append([content, style, result, shown, histograms([content, style, result])])
    return contact_sheet(lines, labels, COLUMNS, cell=cell)


def batch_sheet(
    images: Images,
    results: Images,
    styles: Sequence[int | None],
    labels: Sequence[str],
    limit: int = 8,
) -> Image.Image:
    """Return the comparison sheet of the first images of a batch, or of some slices of volumes.

    Args:
        images: The contents.
        results: The stylized images.
        styles: For each image the row of its style among the contents, or None.
        labels: One per image.
        limit: Largest number of rows of the sheet.

    Example:
        >>> from styleaug.images.batch import as_images
        >>> batch = as_images(np.zeros((2, 32, 32, 3), dtype=np.uint8))
        >>> batch_sheet(batch, batch, [1, None], ["style 1", "as it is"]).size
        (1036, 472)
    """
    count = max(1, min(images.depth, limit // len(images)))
    slices = [int((index + 0.5) * images.depth / count) for index in range(count)]
    rows, names = [], []
    for (row, style), slice_ in product(enumerate(styles[:limit]), slices):
        reference = None if style is None else to_picture(images, style)
        content, result = (to_picture(x.some_slices([slice_]), row) for x in (images, results))
        rows.append((content, reference, result))
        names.append(labels[row] + (f", slice {slice_}" if images.depth > 1 else ""))
    return comparison_sheet(rows, names)


def difference(content: Image.Image, result: Image.Image) -> Image.Image:
    """Return half the change of every channel around mid-grey; unchanged pixels are mid-grey.

    Args:
        content: 8-bit RGB.
        result: 8-bit RGB of the same size.

    Raises:
        ValueError: If the sizes differ.

    Example:
        >>> black, white = (Image.new("RGB", (8, 8), color) for color in ("black", "white"))
        >>> difference(black, white).getpixel((0, 0)), difference(white, white).getpixel((0, 0))
        ((255, 255, 255), (128, 128, 128))
    """
    if content.size != result.size:
        raise ValueError(
            f"result must have the size of its content, {content.size}, got {result.size}."
        )
    return ImageChops.subtract(result.convert("RGB"), content.convert("RGB"), 2.0, 128)


def histograms(images: Sequence[Image.Image | None]) -> Image.Image:
    """Return the histograms of R, G and B, or of grey, of some images, stacked vertically.

    Heights are square roots of the shares, relative to the highest one of the panel. The darkest
    and the brightest level do not count for this maximum, because empty background would dominate
    it.

    Example:
        >>> histograms([Image.new("RGB", (8, 8), "pink"), None]).size
        (256, 168)
    """
    sheet = Image.new("RGB", (_WIDTH, _PANEL * len(images)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        top = index * _PANEL
        draw.rectangle((0, top + 2, _WIDTH - 1, top + _PANEL - 3), fill=_PALE)
        if image is not None:
            _draw_curves(draw, _heights(image), top + _PANEL - 4)
    return sheet


def _heights(image: Image.Image) -> np.ndarray:
    """Return ``(3, 128)`` heights in pixels, two levels a step, as a stretch leaves gaps."""
    levels = np.array(image.convert("RGB").histogram(), dtype=float).reshape(3, -1, 2)
    counts = np.sqrt(levels.sum(2))
    highest = counts[:, 1:-1].max() or counts.max()
    heights: np.ndarray = np.minimum(counts / highest, 1.0) * (_PANEL - 8)
    return heights


def _draw_curves(draw: ImageDraw.ImageDraw, heights: np.ndarray, bottom: int) -> None:
    grey = bool((heights == heights[0]).all())
    for curve, ink in [(heights[0], _GREY)] if grey else zip(heights, _INKS, strict=True):
        draw.line([(2 * x, bottom - height) for x, height in enumerate(curve)], fill=ink, width=2)
