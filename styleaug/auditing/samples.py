"""The images of an audit: read from a loader once, checked, and kept in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from styleaug.images.batch import Images, as_images
from styleaug.images.volume import as_volumes


@dataclass(frozen=True)
class Batch:
    """Images of one shape.

    Attributes:
        images: The record; volumes have their slices last.
        names: One name per image, from which its draws are derived.
        targets: ``(B,)`` classes or ``(B, H, W[, D])`` masks; None where there are no labels.
    """

    images: Images
    names: tuple[str, ...]
    targets: Tensor | None

    def __len__(self) -> int:
        return len(self.names)

    def on(self, device: torch.device) -> Batch:
        """Return the batch with its images on a device."""
        return replace(self, images=replace(self.images, batch=self.images.batch.to(device)))

    def take(self, rows: Sequence[int]) -> Batch:
        """Return some images of the batch, in the layout of the library."""
        images = replace(self.images, batch=self.images.batch[list(rows)])
        targets = None if self.targets is None else self.targets[list(rows)]
        return Batch(images, tuple(self.names[row] for row in rows), targets)


@dataclass(frozen=True)
class Samples:
    """All images of an audit, in the batches of the loader.

    Attributes:
        batches: The batches, in order.
        groups: One subgroup per image; empty without subgroups.
        slice_axis: Spatial axis along which volumes are cut, in the layout of the loader.
    """

    batches: tuple[Batch, ...]
    groups: tuple[str, ...]
    slice_axis: int

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all images."""
        return tuple(name for batch in self.batches for name in batch.names)

    @property
    def labelled(self) -> bool:
        """Whether there are targets."""
        return self.batches[0].targets is not None

    @property
    def has_volumes(self) -> bool:
        """Whether the images are volumes."""
        return any(batch.images.depth > 1 for batch in self.batches)

    def take(self, rows: Iterable[int]) -> Samples:
        """Return some of the images by their numbers."""
        wanted, parts, first = sorted(rows), [], 0
        for batch in self.batches:
            own = [row - first for row in wanted if first <= row < first + len(batch)]
            if own:
                parts.append(batch.take(own))
            first += len(batch)
        groups = tuple(self.groups[row] for row in wanted) if self.groups else ()
        return Samples(tuple(parts), groups, self.slice_axis)

    def image(self, row: int) -> Batch:
        """Return one image by its number."""
        return self.take([row]).batches[0]


def read_loader(loader: Iterable[Any], slice_axis: int = -1) -> Samples:
    """Read and check all batches of a loader.

    Args:
        loader: Yields images, ``(images, targets)``, ``(images, targets, groups)``, or mappings
            with "image" and optionally "label", "group" and "name".
        slice_axis: Spatial axis along which volumes are cut.

    Raises:
        TypeError: If a batch is none of these, or its images are not a tensor.
        ValueError: If there is no image, values are out of range, or parts of a batch do not fit.
    """
    if not -3 <= slice_axis <= 2:
        raise ValueError(f"slice_axis must be a spatial axis, 0 to 2, got {slice_axis}.")
    batches: list[Batch] = []
    groups: list[str] = []
    count = 0
    for item in loader:
        image, target, group, name = _parts(item)
        names = _texts("name", name, len(image)) or [str(count + row) for row in range(len(image))]
        batches.append(_checked(image, target, names, slice_axis))
        groups += _texts("group", group, len(image))
        count += len(image)
    if not count:
        raise ValueError(f"loader must yield at least one image, got {count}.")
    if len({batch.targets is None for batch in batches}) > 1:
        raise ValueError("loader must yield targets with every batch or with none, got both.")
    if groups and len(groups) != count:
        raise ValueError(f"loader must yield a group per image ({count}), got {len(groups)}.")
    return Samples(tuple(batches), tuple(groups), slice_axis)


def _parts(item: Any) -> tuple[Tensor, Any, Any, Any]:
    """Return images, targets, groups and names of what a loader yields."""
    if isinstance(item, Mapping):
        found = [item.get(key) for key in ("image", "label", "group", "name")]
    else:
        found = list(item[:3]) if isinstance(item, list | tuple) else [item]
    image, target, group, name = [*found, None, None, None, None][:4]
    if not isinstance(image, Tensor):
        raise TypeError(
            "loader must yield tensors, (images, targets[, groups]) or mappings with 'image', got "
            f"{type(image).__name__} for the images."
        )
    return image.as_subclass(Tensor), target, group, name


def _checked(image: Tensor, target: Any, names: list[str], slice_axis: int) -> Batch:
    """Check a batch of images and return it as a record."""
    if image.ndim not in (4, 5):
        raise ValueError(
            f"images must be (B, C, H, W) or volumes (B, C, H, W, D), got {tuple(image.shape)}."
        )
    if image.ndim == 4:
        images = as_images(image)
    else:
        images = as_volumes(image.movedim(_axis(slice_axis), -1), channels=(1, 3))
    return Batch(images, tuple(names), _target(target, image, slice_axis))


def _target(target: Any, image: Tensor, slice_axis: int) -> Tensor | None:
    """Return classes ``(B,)`` or masks ``(B, H, W[, D])``."""
    if target is None:
        return None
    target = torch.as_tensor(target)
    if target.is_floating_point() and bool((target != target.round()).any()):
        raise ValueError(f"targets must be whole numbers of classes, got {target.dtype} fractions.")
    if target.ndim == image.ndim and target.shape[1] == 1:
        target = target[:, 0]  # MONAI's masks have a channel
    if target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    spatial = (len(image), *image.shape[2:])
    if tuple(target.shape) not in (spatial[:1], spatial):
        raise ValueError(
            f"targets must be classes {spatial[:1]} or masks {spatial}, got {tuple(target.shape)}. "
            "Of several labels per image audit one at a time."
        )
    if target.ndim == 4:
        target = target.movedim(slice_axis if slice_axis < 0 else slice_axis + 1, -1)
    classes: Tensor = target.as_subclass(Tensor).long().cpu()
    return classes


def _texts(name: str, values: Any, count: int) -> list[str]:
    """Return a text per image, or none."""
    if values is None:
        return []
    texts = [str(value) for value in (values.tolist() if isinstance(values, Tensor) else values)]
    if len(texts) != count:
        raise ValueError(f"loader must yield a {name} per image ({count}), got {len(texts)}.")
    return texts


def to_model(samples: Samples, batch: Tensor) -> Tensor:
    """Return images in the layout of the model, with slices along the axis of the loader."""
    return batch.movedim(-1, _axis(samples.slice_axis)) if batch.ndim == 5 else batch


def from_model(samples: Samples, batch: Tensor) -> Tensor:
    """Return images or maps in the layout of the library, with the slices of volumes last."""
    return batch.movedim(_axis(samples.slice_axis), -1) if batch.ndim == 5 else batch


def _axis(slice_axis: int) -> int:
    """Return the axis of slices in ``(B, C, ...)``."""
    return slice_axis if slice_axis < 0 else slice_axis + 2


def pieces(samples: Samples) -> Iterator[tuple[int, Batch]]:
    """Yield every batch with the number of its first image."""
    first = 0
    for batch in samples.batches:
        yield first, batch
        first += len(batch)


def digest_of(samples: Samples) -> str:
    """Return a digest of images, labels, names and groups, independent of the batches."""
    digest = blake2b(digest_size=16)
    for batch in samples.batches:
        for row, name in enumerate(batch.names):
            image = batch.images.batch[row].contiguous().cpu()
            digest.update(f"{name} {tuple(image.shape)} {image.dtype}".encode())
            digest.update(image.flatten().view(torch.uint8).numpy().tobytes())
            if batch.targets is not None:
                digest.update(batch.targets[row].contiguous().numpy().tobytes())
    digest.update("\n".join(samples.groups).encode())
    return digest.hexdigest()
