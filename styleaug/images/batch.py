"""Layouts, data types and ranges of arrays, tensors and PIL images.

An image of any kind is checked once, where it enters the package, and becomes an `Images` record:
a batch ``(B, C, H, W)`` in its own data type, and a function that restores the original layout. All
later steps use this record. Rows of it are converted to float32 RGB in [0, 1] (`to_content`) and
back (`from_content`). Rows that are not stylized are never converted, so they keep every bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from styleaug._device import upload
from styleaug.images.checks import check_dense, check_images, check_unit_range
from styleaug.images.pillow import pil_array
from styleaug.images.planes import joined
from styleaug.images.window import Bounds, Window, back_from_unit, clamped, to_unit

AnyImage: TypeAlias = "Tensor | np.ndarray | Image.Image"
OutOfRange: TypeAlias = Literal["raise", "clamp"]

CHANNELS = (1, 3, 4)
"""Grey, RGB, and RGB with an opacity channel that is carried over untouched."""

_LEVELS = {torch.uint8: 255.0, torch.uint16: 65535.0}
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_SHALLOW = 12
"""Largest number of used bits for which 16-bit data causes a warning."""


def _as_it_is(batch: Tensor) -> Tensor:
    return batch


@dataclass(frozen=True)
class Images:
    """Checked images, and a function that restores their original layout.

    Attributes:
        batch: ``(B, C, H, W)`` in their own data type, or in [0, 1] if they have a value range.
        restore: Brings a batch of this shape, or of another height and width, to the layout of the
            input.
        depth: Number of slices that are stacked vertically in every image; 1 if there are no
            volumes.
        shape: Shape of the input, for messages.
        back: The part of ``restore`` that restores unit and data type.

    Example:
        >>> images = as_images(np.zeros((40, 50), dtype=np.uint8))
        >>> len(images), images.batch.shape, images.restore(images.batch).shape
        (1, torch.Size([1, 1, 40, 50]), (40, 50))
    """

    batch: Tensor
    restore: Callable[[Tensor], AnyImage]
    depth: int = 1
    shape: tuple[int, ...] = ()
    back: Callable[[Tensor], Tensor] = _as_it_is

    def __len__(self) -> int:
        return self.batch.shape[0]

    def __getitem__(self, rows: slice) -> Images:
        """Return some images of a batch; not possible for images with a value range."""
        if self.back is not _as_it_is:
            raise ValueError(f"images with a value range go as a whole, asked for {rows}.")
        return replace(self, batch=self.batch[rows])

    @staticmethod
    def cat(parts: Sequence[Images]) -> Images:
        """Join images of one shape and data type; ``restore`` then returns the joined batch.

        Example:
            >>> one = as_images(np.zeros((40, 50), dtype=np.uint8))
            >>> Images.cat([one, one]).batch.shape
            torch.Size([2, 1, 40, 50])
        """
        first = parts[0]
        batch = torch.cat([part.batch for part in parts])
        return Images(batch, _as_it_is, first.depth, first.shape)

    def some_slices(self, rows: Sequence[int]) -> Images:
        """Return some slices of volumes, stacked vertically, to look at; they cannot be restored.

        Example:
            >>> volumes = Images(torch.rand(1, 1, 5 * 40, 50), lambda batch: batch, depth=5)
            >>> volumes.some_slices([1, 3]).batch.shape
            torch.Size([1, 1, 80, 50])
        """
        if list(rows) == list(range(self.depth)):
            return self
        cut = self.batch.unflatten(2, (self.depth, -1))
        picked = torch.stack([cut[:, :, row] for row in rows], dim=2)
        return Images(picked.flatten(2, 3), _as_it_is, len(rows), self.shape)

    def middle(self) -> Images:
        """Return the middle slice of volumes; other images are returned as they are."""
        return self.some_slices([self.depth // 2])

    def sliced(self) -> Images:
        """Return the slices of volumes as images of their own."""
        slices = self.batch.unflatten(2, (self.depth, -1)).movedim(2, 1).flatten(0, 1)

        def restore(batch: Tensor) -> AnyImage:
            return self.restore(batch.unflatten(0, (-1, self.depth)).movedim(1, 2).flatten(2, 3))

        return Images(slices, restore, shape=self.shape)

    def check_sides(self, least: int, who: str) -> None:
        """Raise ``ValueError`` unless the images, or the slices of a volume, are large enough."""
        height, width = self.batch.shape[2] // self.depth, self.batch.shape[3]
        if min(height, width) < least:
            raise ValueError(
                f"image must have sides of at least {least} pixels for {who!r}, got shape "
                f"{self.shape}. Resize or pad it first; colour stylizers take any size."
            )


def as_images(
    image: AnyImage | Images,
    *,
    value_range: Window | None = None,
    out_of_range: OutOfRange = "raise",
    check: bool = True,
) -> Images:
    """Check an image and return its record; a record is returned without another check.

    Args:
        image: As in `as_batch`; with ``value_range`` any data type is accepted.
        value_range: Black and white in the unit of the image, such as ``(0, 4095)`` for 12 bits in
            16; None: those of the data type. Values outside of it are left unchanged.
        out_of_range: What to do with floats outside of [0, 1]: "raise" an error, or "clamp" them to
            0 and 1; where nothing is painted they stay as they are.
        check: Whether to check the values of floats, which synchronises on a GPU.

    Raises:
        TypeError: As in `as_batch`.
        ValueError: As in `as_batch`.
    """
    if isinstance(image, Images):
        return image
    batch, restore = _layout(image)
    shape = tuple(np.shape(image)) if not isinstance(image, Image.Image) else image.size[::-1]
    unit, back = in_unit(batch, value_range, out_of_range)
    check_batch(unit, values=check)
    return Images(unit, lambda painted: restore(back(painted)), shape=shape, back=back)


def in_unit(
    values: Tensor, bounds: Bounds | None, out_of_range: OutOfRange
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Scale values to [0, 1] if asked to; return them and the function that undoes it.

    Args:
        values: Of any data type and shape.
        bounds: Black and white; None: those of the data type.
        out_of_range: As in `as_images`.

    Example:
        >>> unit, back = in_unit(torch.tensor([0, 50, 100]), (0.0, 100.0), "raise")
        >>> unit, back(unit)
        (tensor([0.0000, 0.5000, 1.0000]), tensor([  0,  50, 100]))
    """
    if bounds is not None:
        unit = to_unit(values, bounds)
        return unit, back_from_unit(values, unit, bounds)
    if out_of_range == "clamp" and values.dtype in _FLOATS:
        return clamped(values)
    return values, _as_it_is


def as_batch(image: AnyImage) -> tuple[Tensor, Callable[[Tensor], AnyImage]]:
    """Return ``image`` as a batch, and a function that restores its layout.

    Args:
        image: A tensor ``(C, H, W)`` or ``(B, C, H, W)``, an array ``(H, W)``, ``(H, W, C)`` or
            ``(N, H, W, C)``, or a PIL image; 1, 3 or 4 channels; uint8, uint16 or floating point
            in [0, 1].

    Returns:
        The batch ``(B, C, H, W)`` in the data type of the image (sharing its memory if possible),
        and ``restore``, which brings such a batch to the layout and container of the image.

    Raises:
        TypeError: If the image is none of these kinds or has another data type.
        ValueError: If its shape does not fit, it is empty, or float values are not finite or
            leave [0, 1].
    """
    batch, restore = _layout(image)
    check_batch(batch)
    return batch, restore


def check_batch(batch: Tensor, channels: Sequence[int] = CHANNELS, *, values: bool = True) -> None:
    """Raise unless a batch has a known data type, shape and range; errors as in `as_batch`."""
    if batch.dtype not in _LEVELS and batch.dtype not in _FLOATS:
        raise TypeError(
            f"image must be uint8, uint16 or floating point in [0, 1], got {batch.dtype}. "
            "Scale other integers (Hounsfield units, 12-bit data) to float32 in [0, 1] first."
        )
    check_images("image", batch, channels)
    if batch.dtype in _FLOATS and values:
        check_unit_range("image", batch)
    if batch.dtype == torch.uint16 and values and batch.device.type == "cpu":
        _warn_of_shallow(batch)


def has_eight_bits(image: AnyImage | Images) -> bool:
    """Return whether an image has 8 bits a channel, whatever its container."""
    if isinstance(image, Images):
        image = image.batch
    if isinstance(image, Image.Image):
        return image.mode not in ("I", "F") and not image.mode.startswith("I;16")
    return image.dtype in (torch.uint8, np.uint8)


def to_content(batch: Tensor) -> Tensor:
    """Return rows of a batch as float32 RGB ``(B, 3, H, W)`` in [0, 1].

    On a CPU they lie plane by plane: reading channels takes up to twice the time otherwise.
    """
    color = batch[:, :3] if batch.shape[1] == 4 else batch
    on_cpu = batch.device.type == "cpu"
    layout = torch.contiguous_format if on_cpu else torch.preserve_format
    content = color.to(torch.float32, memory_format=layout)
    if batch.dtype in _LEVELS:
        content = content.div_(_LEVELS[batch.dtype])
    return content.expand(-1, 3, -1, -1) if content.shape[1] == 1 else content


def from_content(stylized: Tensor, like: Tensor) -> Tensor:
    """Convert float32 RGB images to channels, range, data type, device and layout of ``like``.

    Grey is the mean of the three channels; a fourth channel is taken from ``like``.
    """
    stylized = stylized.to(like.device)
    if like.shape[1] == 1:
        stylized = stylized.mean(dim=1, keepdim=True)
    if like.dtype in _LEVELS:
        stylized = stylized.mul_(_LEVELS[like.dtype]).round_()
    stylized = stylized.to(like.dtype)
    if like.shape[1] == 4:
        stylized = torch.cat([stylized, like[:, 3:]], dim=1)
    return joined(stylized, like)


def collect(parts: Iterator[Tensor], total: int) -> Tensor:
    """Join parts as they are produced, so that the memory of each is free for the next one."""
    first = next(parts)
    if len(first) == total:
        return first
    whole = first.new_empty((total, *first.shape[1:]))
    whole[: len(first)] = first
    place = len(first)
    del first
    for part in parts:
        whole[place : place + len(part)] = part
        place += len(part)
    return whole


def row_index(rows: list[int], batch: Tensor) -> Tensor | None:
    """Return rows of a batch on its device; None if these are all rows in their order."""
    if rows == list(range(batch.shape[0])):
        return None
    return upload(rows, batch.device)


def take_rows(batch: Tensor, index: Tensor | None) -> Tensor:
    """Return the rows of a batch that `row_index` names; for None the batch itself."""
    return batch if index is None else batch.index_select(0, index)


def put_rows(batch: Tensor, index: Tensor | None, values: Tensor) -> Tensor:
    """Return a copy of a batch in which the rows that `row_index` names hold ``values``."""
    if index is None:
        return values
    out = batch.clone()
    # PyTorch cannot index-write uint16; the bits of int16 are the same.
    raw = torch.int16 if batch.dtype == torch.uint16 else batch.dtype
    out.view(raw).index_copy_(0, index, values.view(raw))
    return out


def _warn_of_shallow(batch: Tensor) -> None:
    bits = int(batch.to(torch.int32).max()).bit_length()
    if 0 < bits <= _SHALLOW:
        warnings.warn(
            f"16-bit images use {bits} bits only and are taken as 16-bit, of which white is 65535. "
            f"Data of {bits} bits need value_range=(0, {2**bits - 1}) (--bits {bits}).",
            stacklevel=2,
        )


def _layout(image: AnyImage) -> tuple[Tensor, Callable[[Tensor], AnyImage]]:
    if isinstance(image, Tensor):
        return _tensor_layout(image)
    if isinstance(image, np.ndarray):
        return _array_layout(image)
    if isinstance(image, Image.Image):
        array, restore = pil_array(image)
        batch, restore_array = _array_layout(array)
        return batch, lambda painted: restore(np.asarray(restore_array(painted)))
    raise TypeError(
        f"image must be a torch.Tensor, numpy.ndarray or PIL image, got {type(image).__name__}."
    )


def _tensor_layout(image: Tensor) -> tuple[Tensor, Callable[[Tensor], AnyImage]]:
    check_dense("image", image)
    if image.ndim == 3:
        return image.unsqueeze(0), lambda batch: batch.squeeze(0)
    if image.ndim == 4:
        return image, lambda batch: batch
    raise ValueError(
        f"image must have shape (C, H, W) or (B, C, H, W), got {tuple(image.shape)}. "
        "Flatten further leading dimensions into the batch."
    )


def _array_layout(image: np.ndarray) -> tuple[Tensor, Callable[[Tensor], AnyImage]]:
    if isinstance(image, np.ma.MaskedArray):
        raise TypeError(
            "image must be a plain array, got a masked one. Pass image.filled(0) and put the mask "
            "back afterwards."
        )
    if not 2 <= image.ndim <= 4:
        raise ValueError(f"image must be (H, W), (H, W, C) or (N, H, W, C), got {image.shape}.")
    shape = (1, *image.shape, 1) if image.ndim == 2 else (-1, *image.shape[-3:])
    # A copy where the memory is read-only or reversed, which PyTorch does not take, and where it is
    # in another order: sums round by it, and equal pixels must come out equal.
    plain = np.require(image, requirements=["C", "W"])
    batch = torch.from_numpy(plain.reshape(shape)).permute(0, 3, 1, 2)

    def restore(batch: Tensor) -> np.ndarray:
        array = batch.permute(0, 2, 3, 1).contiguous().numpy()
        return array[0, ..., 0] if image.ndim == 2 else array[0] if image.ndim == 3 else array

    return batch, restore
