"""Where there is tissue on a slide, and a sample of it."""

from __future__ import annotations

from itertools import product

import numpy as np

from styleaug.images.slide import Region, Slide

_CELL = 16
"""Side of what a tile is shrunk to where the slide has no small level."""
_SMALL = 2**24
PATCHES, SIDE = 64, 256


def grid(size: tuple[int, int], tile: int) -> list[Region]:
    """Return the tiles of a level, row by row; those at the right and below may be smaller.

    Example:
        >>> grid((250, 100), 200)
        [(0, 0, 200, 100), (200, 0, 50, 100)]
    """
    width, height = size
    return [
        (x, y, min(tile, width - x), min(tile, height - y))
        for y, x in product(range(0, height, tile), range(0, width, tile))
    ]


def tissue_shares(slide: Slide, tile: int) -> np.ndarray:
    """Return how much of every tile is tissue, by Otsu's threshold on the saturation.

    Read from the coarsest level, or, where that is large, from the whole slide once.

    Args:
        slide: A level.
        tile: Side of the tiles.

    Returns:
        float ``(N,)`` in [0, 1], in the order of `grid`.

    Source:
        Otsu, IEEE Trans. SMC 1979; on the saturation of HSV, as CLAM does (Lu et al., Nature
        Biomedical Engineering 2021).
    """
    cells = _cells(slide, tile)
    levels = [saturation(cell) for cell in cells]
    if not levels:
        return np.zeros(0)
    threshold = otsu(np.concatenate([level.ravel() for level in levels]))
    return np.array([(level > threshold).mean() for level in levels])


def saturation(pixels: np.ndarray) -> np.ndarray:
    """Return the saturation of HSV in 0 ... 255 of uint8 ``(H, W, 3)``."""
    high, low = pixels.max(axis=2).astype(int), pixels.min(axis=2)
    levels: np.ndarray = ((high - low) * 255 // np.maximum(high, 1)).astype(np.uint8)
    return levels


def otsu(levels: np.ndarray) -> int:
    """Return the level at or below which the lower class lies; -1 where all are equal.

    Example:
        >>> otsu(np.array([1, 2, 200, 210], np.uint8))
        2
    """
    counts = np.bincount(levels, minlength=256).astype(float)
    below, total = counts.cumsum(), counts.sum()
    sums = (counts * np.arange(256)).cumsum()
    valid = (below > 0) & (below < total)
    if not valid.any():
        return -1
    between = np.zeros(256)
    w = below[valid]
    between[valid] = (sums[-1] * w - sums[valid] * total) ** 2 / (w * (total - w))
    return int(between.argmax())


def tissue_patches(slide: Slide) -> np.ndarray:
    """Return an even sample of at most 64 patches of the tissue, uint8 ``(N, S, S, 3)``.

    Raises:
        ValueError: If none of them can be read.
    """
    side = min(SIDE, *slide.size)
    shares, tiles = tissue_shares(slide, 4 * side), grid(slide.size, 4 * side)
    full = [
        t for t, share in zip(tiles, shares, strict=True) if share >= max(0.5 * shares.max(), 0)
    ]
    step = max(1, len(full) // PATCHES)
    places = full[::step][:PATCHES]
    patches = []
    for index in range(max(len(places), min(PATCHES, 16))):
        patch = _most_coloured(slide, places[index % len(places)], side, index // len(places))
        if patch is not None:
            patches.append(patch)
    if not patches:
        raise ValueError(f"{str(slide.path)!r} must have tiles that can be read, none of it can.")
    return np.stack(patches)


def _most_coloured(slide: Slide, tile: Region, side: int, rank: int) -> np.ndarray | None:
    """Return the patch of a tile that is the ``rank``-th in saturation; None if it is broken."""
    pixels, broken = slide.read(tile)
    if broken or min(pixels.shape[:2]) < side:
        x, y = min(tile[0], slide.size[0] - side), min(tile[1], slide.size[1] - side)
        pixels, broken = slide.read((x, y, side, side))
        return None if broken else pixels
    patches = [
        pixels[y : y + side, x : x + side]
        for x, y, w, h in grid((pixels.shape[1], pixels.shape[0]), side)
        if (w, h) == (side, side)
    ]
    order = np.argsort([-saturation(patch).mean() for patch in patches], kind="stable")
    chosen: np.ndarray = patches[int(order[rank % len(patches)])]
    return chosen


def overview(slide: Slide) -> np.ndarray:
    """Return the whole slide, shrunk, as uint8 pixels ``(1, N, 3)`` in no order."""
    cells = [_shrunk(cell).reshape(-1, 3) for cell in _cells(slide, 4 * SIDE)]
    return np.concatenate(cells)[None]


def _cells(slide: Slide, tile: int) -> list[np.ndarray]:
    """Return every tile, shrunk."""
    small = slide.smallest()
    try:
        width, height = small.size
        if width * height > _SMALL or slide.levels - 1 == slide.level:
            return [_shrunk(slide.read(region)[0]) for region in grid(slide.size, tile)]
        whole = small.read((0, 0, width, height))[0]
    finally:
        small.close()
    scale = (width / slide.size[0], height / slide.size[1])
    cells = []
    for x, y, w, h in grid(slide.size, tile):
        left, top = min(int(x * scale[0]), width - 1), min(int(y * scale[1]), height - 1)
        right, low = max(left + 1, int((x + w) * scale[0])), max(top + 1, int((y + h) * scale[1]))
        cells.append(whole[top:low, left:right])
    return cells


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    """Return every so many-th pixel."""
    steps = [max(1, side // _CELL) for side in pixels.shape[:2]]
    return pixels[:: steps[0], :: steps[1]].copy()
