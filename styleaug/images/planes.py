"""Sums, counts and tables of 8-bit planes: by OpenCV where it is installed, else NumPy and Pillow.

Both ways count in whole numbers, so that a pixel does not depend on what is installed.
"""

from __future__ import annotations

import math
from functools import cache
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torch import Tensor

LEVELS = 256
_RUN = 256
"""Bytes whose squares add up exactly in float32, in any order: 256 * 255 ** 2 < 2 ** 24."""
_BLOCK = 2**17
"""Pixels per call of OpenCV: from 2 ** 18 on it starts threads, which do not survive a fork."""


@cache
def opencv() -> ModuleType | None:
    """Return OpenCV, which Albumentations brings along; None where it is missing or broken."""
    try:
        import cv2  # it takes a tenth of a second, and most programs have no 8-bit images to paint
    except ImportError:
        return None
    found: ModuleType = cv2
    return found


def split(images: Tensor) -> np.ndarray:
    """Return uint8 ``(B, C, H, W)`` plane by plane, sharing the memory if it lies so already.

    Example:
        >>> split(torch.zeros(2, 4, 4, 3, dtype=torch.uint8).permute(0, 3, 1, 2)).flags.c_contiguous
        True
    """
    array, cv2 = images.numpy(), opencv()
    if array.flags.c_contiguous or cv2 is None or not _is_interleaved(images):
        return np.ascontiguousarray(array)
    planes = np.empty(array.shape, np.uint8)
    for image, places in zip(array, planes, strict=True):
        pixels = image.transpose(1, 2, 0)
        for channel, plane in enumerate(places):  # cv2.split would write past the cache
            cv2.extractChannel(pixels, channel, plane)
    return planes


def joined(images: Tensor, like: Tensor) -> Tensor:
    """Return images ``(B, C, H, W)`` in the memory layout of those that they came from."""
    if like.is_contiguous() or like.stride() == images.stride():
        return images
    bytes_here = like.dtype == torch.uint8 and like.device.type == "cpu" and images.is_contiguous()
    eager = not torch.compiler.is_compiling()
    cv2 = opencv() if eager and bytes_here and _is_interleaved(like) else None
    if cv2 is None:
        return torch.empty_like(like).copy_(images)
    batch, channels, height, width = like.shape
    out = _beside_the_line((batch, height, width, channels))
    for image, places in zip(out, images.numpy(), strict=True):
        cv2.merge(list(places), image)
    return torch.from_numpy(out).permute(0, 3, 1, 2)


def sums(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of the values and of their squares, whole numbers as float64 ``(B, C)``.

    Example:
        >>> [total.item() for total in sums(np.full((1, 1, 2, 2), 3, np.uint8))]
        [12.0, 36.0]
    """
    cv2 = opencv()
    if cv2 is None:
        return _sums_in_runs(planes.reshape(*planes.shape[:2], -1))
    pairs = np.array([[_sums(plane, cv2) for plane in image] for image in planes])
    return pairs[..., 0], pairs[..., 1]


def counts(planes: np.ndarray) -> np.ndarray:
    """Return how many pixels have each level, ``(B, C, 256)``.

    Example:
        >>> counts(np.full((1, 1, 2, 2), 3, np.uint8))[0, 0, :5].astype(int)
        array([0, 0, 0, 4, 0])
    """
    return np.array([[_counts(plane) for plane in image] for image in planes])


def mapped(planes: np.ndarray, tables: np.ndarray, out: np.ndarray) -> None:
    """Write what tables uint8 ``(B, C, 256)`` make of planes ``(B, C, H, W)`` to ``out``.

    Example:
        >>> negative = np.arange(255, -1, -1, dtype=np.uint8).reshape(1, 1, 256)
        >>> out = np.empty((1, 1, 2, 2), np.uint8)
        >>> mapped(np.full((1, 1, 2, 2), 3, np.uint8), negative, out)
        >>> out[0, 0, 0, 0]
        np.uint8(252)
    """
    for image, curves, places in zip(planes, tables, out, strict=True):
        for plane, curve, place in zip(image, curves, places, strict=True):
            _map_plane(plane.reshape(-1), curve, place.reshape(-1))


def _map_plane(plane: np.ndarray, curve: np.ndarray, place: np.ndarray) -> None:
    cv2 = opencv()
    if cv2 is None:
        place[:] = np.frombuffer(plane.tobytes().translate(curve.tobytes()), dtype=np.uint8)
        return
    for start in range(0, plane.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        cv2.LUT(plane[None, block], curve, place[None, block])


def _counts(plane: np.ndarray) -> np.ndarray | list[int]:
    cv2, size = opencv(), plane.size
    if cv2 is None or size >= 2**24:  # OpenCV counts in float32
        return Image.fromarray(plane).histogram()
    found: np.ndarray = cv2.calcHist([plane], [0], None, [LEVELS], [0, LEVELS]).reshape(-1)
    return found


def _sums(plane: np.ndarray, cv2: ModuleType) -> tuple[float, float]:
    squares = round(cv2.norm(plane, cv2.NORM_L2SQR))  # the square of a root
    return cv2.sumElems(plane)[0], float(squares)


def _sums_in_runs(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    whole = pixels.shape[2] // _RUN * _RUN
    runs = pixels[:, :, :whole].astype(np.float32).reshape(*pixels.shape[:2], -1, 1, _RUN)
    rest = pixels[:, :, whole:].astype(np.float64)
    total = (runs @ np.ones((_RUN, 1), np.float32)).sum(axis=(2, 3, 4), dtype=np.float64)
    squares = (runs @ runs.swapaxes(3, 4)).sum(axis=(2, 3, 4), dtype=np.float64)
    return total + rest.sum(axis=2), squares + (rest**2).sum(axis=2)


def _beside_the_line(shape: tuple[int, ...]) -> np.ndarray:
    """Return a uint8 array that begins 16 bytes after a boundary of 64.

    To aligned memory OpenCV writes past the cache; whoever reads it next waits a third longer.
    """
    size = math.prod(shape)
    room = np.empty(size + 64, np.uint8)
    start = (16 - room.ctypes.data) % 64
    return room[start : start + size].reshape(shape)


def _is_interleaved(images: Tensor) -> bool:
    """Return whether the channels of each pixel lie side by side, as OpenCV takes them."""
    channels, width = images.shape[1], images.shape[3]
    return images.stride()[1:] == (1, width * channels, channels)
