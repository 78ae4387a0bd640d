"""Find the images in a collated batch, and replace them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_KEYS = ("image", "images", "img", "inputs", "pixel_values")


def find_image(batch: Any, getter: str | Callable[[Any], Tensor]) -> Tensor:
    """Return the images of a batch, never its labels or masks.

    Args:
        batch: A tensor, a tuple or list that starts with the images, or a dict.
        getter: "default", or a function from the batch to its images.

    Raises:
        ValueError: If no batch of images is found there.

    Example:
        >>> find_image({"label": torch.ones(2), "image": torch.rand(2, 3, 32, 32)}, "default").shape
        torch.Size([2, 3, 32, 32])
    """
    images = getter(batch) if callable(getter) else _default(batch, getter)
    if not isinstance(images, Tensor) or images.ndim != 4 or images.dtype == torch.int64:
        kind = getattr(images, "shape", type(images).__name__)
        raise ValueError(
            f"image_getter must give images (B, C, H, W), got {kind}. Pass a function that picks "
            "them: image_getter=lambda batch: batch['scan']."
        )
    return images


def replace_leaf(flat: list[Any], old: Tensor, new: Any) -> list[Any]:
    """Return a flattened batch with ``new`` in the place of ``old``.

    Raises:
        ValueError: If ``old`` is not one of the leaves.
    """
    if not any(leaf is old for leaf in flat):
        raise ValueError(
            f"image_getter must return a tensor of the batch itself, got one of {tuple(old.shape)} "
            "that is not in it."
        )
    return [new if leaf is old else leaf for leaf in flat]


def _default(batch: Any, getter: Any) -> Any:
    if getter != "default":
        raise ValueError(f"image_getter must be 'default' or a function, got {getter!r}.")
    if isinstance(batch, Mapping):
        return batch[_image_key(batch)]
    if isinstance(batch, Sequence) and batch:
        return _default(batch[0], getter) if isinstance(batch[0], Mapping) else batch[0]
    return batch


def _image_key(batch: Mapping[Any, Any]) -> Any:
    found = [key for key in batch if str(key).lower() in _KEYS]
    if len(found) != 1:
        raise ValueError(
            f"image_getter='default' needs exactly one of the keys {list(_KEYS)}, got "
            f"{list(batch)}. Pass a function that picks the images."
        )
    return found[0]
