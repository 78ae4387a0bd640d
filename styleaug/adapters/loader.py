"""StyleLoader: stylize the next batch on the device while the model works on the current one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from styleaug._checks import check_device
from styleaug.adapters._batch import find_image, replace_leaf
from styleaug.transform import StyleTransfer


class StyleLoader:
    """Wrap a loader: its workers decode, the device stylizes whole batches.

    Every tensor of a batch is moved to the device, and the images are stylized there. On CUDA both
    happen on a side stream, one batch ahead of the batch that is returned.

    Args:
        loader: Any iterable of batches, usually a ``DataLoader`` with ``pin_memory=True``.
        transform: The `StyleTransfer` to apply.
        device: Device that batches are moved to.
        image_getter: "default" or a function from the batch to its images, as in `StyleMix`.

    Attributes:
        loader: The wrapped loader.

    Raises:
        ValueError: If the device does not exist.

    Example:
        >>> loader = [(torch.rand(4, 3, 32, 32), torch.arange(4))]
        >>> images, labels = next(iter(StyleLoader(loader, StyleTransfer("colorist"), "cpu")))
        >>> images.shape
        torch.Size([4, 3, 32, 32])
    """

    def __init__(
        self,
        loader: Any,
        transform: StyleTransfer,
        device: str | torch.device = "cuda",
        *,
        image_getter: str | Callable[[Any], Tensor] = "default",
    ) -> None:
        self.loader = loader
        self.transform = transform
        self.device = check_device(device) or torch.device("cpu")
        self.image_getter = image_getter

    def __len__(self) -> int:
        return len(self.loader)

    @property
    def dataset(self) -> Any:
        """The data set of the wrapped loader."""
        return self.loader.dataset

    @property
    def sampler(self) -> Any:
        """The sampler of the wrapped loader, for ``set_epoch``."""
        return self.loader.sampler

    @property
    def batch_size(self) -> int | None:
        """The batch size of the wrapped loader."""
        size: int | None = self.loader.batch_size
        return size

    def __iter__(self) -> Iterator[Any]:
        if self.device.type != "cuda":
            yield from map(self._stylized, self.loader)
            return
        stream = torch.cuda.Stream(self.device)
        ready = None
        for batch in self.loader:
            with torch.cuda.stream(stream):
                coming = self._stylized(batch)
            if ready is not None:
                yield ready
            # the model's stream waits for the side stream, whose memory it now uses
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(stream)
            for leaf in tree_flatten(coming)[0]:
                if isinstance(leaf, Tensor):
                    leaf.record_stream(current)
            ready = coming
        if ready is not None:
            yield ready

    def _stylized(self, batch: Any) -> Any:
        moved = tree_map(self._move, batch)
        images = find_image(moved, self.image_getter)
        flat, spec = tree_flatten(moved)
        return tree_unflatten(replace_leaf(flat, images, self.transform(images)), spec)

    def _move(self, leaf: Any) -> Any:
        return leaf.to(self.device, non_blocking=True) if isinstance(leaf, Tensor) else leaf
