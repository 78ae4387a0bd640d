"""Contact sheets: labelled grids, contents as rows and styles as columns."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from styleaug.images.batch import AnyImage, Images, as_images, to_content

_MARGIN = 6
_LABEL = 18
_BACKGROUND = (255, 255, 255)
_INK = (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[Image.Image | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    cell: int = 160,
) -> Image.Image:
    """Return one picture of a grid of images.

    Args:
        rows: The images of every row; None leaves a cell empty. Any size and 8-bit mode; each is
            fitted into its cell, keeping its shape.
        row_labels: One label per row, printed under its images from the first one on.
        column_labels: One label per column, printed above it.
        cell: Side of a cell in pixels.

    Raises:
        ValueError: If the labels do not fit the grid.

    Example:
        >>> tile = Image.new("RGB", (40, 30))
        >>> contact_sheet([[tile, tile]], ["row"], ["a", "b"], cell=50).size
        (118, 86)
    """
    width = len(column_labels)
    if len(row_labels) != len(rows) or any(len(row) != width for row in rows):
        raise ValueError(
            f"labels must fit the grid: {len(row_labels)} row labels for {len(rows)} rows, "
            f"{width} column labels for rows of {[len(row) for row in rows]}."
        )
    tiles = [[image and _fitted(image, cell) for image in row] for row in rows]
    heights = [max((tile.height for tile in row if tile), default=0) for row in tiles]
    step = cell + _MARGIN
    total = _LABEL + _MARGIN + sum(height + _LABEL + _MARGIN for height in heights)
    sheet = Image.new("RGB", (width * step + _MARGIN, total), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column, label in enumerate(column_labels):
        _write(draw, (_MARGIN + column * step, 3), label, cell)
    top = _LABEL + _MARGIN
    for row, label, height in zip(tiles, row_labels, heights, strict=True):
        for column, tile in enumerate(row):
            if tile:
                left = _MARGIN + column * step + (cell - tile.width) // 2
                sheet.paste(tile, (left, top + (height - tile.height) // 2))
        _write(draw, (_MARGIN, top + height + 2), label, width * step - _MARGIN)
        top += height + _LABEL + _MARGIN
    return sheet


def to_picture(image: AnyImage | Images, row: int = 0) -> Image.Image:
    """Return an image, or a row of a batch, as an 8-bit RGB picture to look at.

    Example:
        >>> import numpy as np
        >>> to_picture(np.full((32, 32), 65535, dtype=np.uint16)).getpixel((0, 0))
        (255, 255, 255)
    """
    content = to_content(as_images(image).batch[row : row + 1])[0]
    return Image.fromarray((content * 255).round().byte().permute(1, 2, 0).cpu().numpy())


def _fitted(image: Image.Image, cell: int) -> Image.Image:
    return ImageOps.contain(image.convert("RGB"), (cell, cell), Image.Resampling.LANCZOS)


def _write(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, room: int) -> None:
    font = ImageFont.load_default(size=12)
    while text and draw.textlength(text, font=font) > room:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    draw.text(corner, text, fill=_INK, font=font)
