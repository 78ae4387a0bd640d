"""Pairs of content and style crops from folders of images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from styleaug._draws import fold_in, id_keys
from styleaug.images.batch import as_batch, to_content
from styleaug.images.checks import check_sides
from styleaug.images.files import find_images, read_image

_MAX_TRIES = 20


class PairDataset(Dataset[dict[str, Tensor]]):
    """Pairs of crops by number; a number gives the same pair in every run.

    Every folder is drawn from equally often, whatever the number of its images.

    So a run that is taken up again at step n sees what it would have seen, whatever the number of
    workers, and ranks never share a pair.

    Args:
        content: Folders or files of content images.
        style: Folders or files of style images.
        size: Side of the crops.
        same_kind: Share of the pairs of which both images come from one folder of the contents.
        seed: Seed of the pairs.
        rank: Number of this process.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If a folder holds no image.
    """

    def __init__(
        self,
        content: Sequence[str],
        style: Sequence[str],
        *,
        size: int,
        same_kind: float = 0.0,
        seed: int = 0,
        rank: int = 0,
    ) -> None:
        self.content = [find_images([folder]) for folder in content]
        self.style = [find_images([folder]) for folder in style]
        self.size, self.same_kind, self.seed, self.rank = size, same_kind, seed, rank

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return the pair of crops ``(3, size, size)`` with a number."""
        keys = fold_in(id_keys(self.seed, [number]), self.rank + 1)
        rng = np.random.default_rng(int(keys[0]))
        contents, styles = self.content, self.style
        if self.same_kind and rng.random() < self.same_kind:
            contents = styles = [contents[int(rng.integers(len(contents)))]]
        content, skipped = self._crop(contents, rng)
        style, more = self._crop(styles, rng)
        return {"content": content, "style": style, "skipped": torch.tensor(skipped + more)}

    def _crop(
        self, folders: Sequence[Sequence[Path]], rng: np.random.Generator
    ) -> tuple[Tensor, int]:
        """Return a random crop of a random image, and how many broken files were passed over."""
        for tries in range(_MAX_TRIES):
            paths = folders[int(rng.integers(len(folders)))]
            path = paths[int(rng.integers(len(paths)))]
            try:
                image = to_content(as_batch(read_image(path).pixels)[0])
                check_sides("image", image, 32)
            except (OSError, ValueError, TypeError) as error:
                warnings.warn(f"skipped {path}: {error}", stacklevel=2)
                continue
            return random_crop(image, self.size, rng)[0], tries
        raise ValueError(f"{_MAX_TRIES} images in a row could not be read, the last was {path}.")


def pair_loader(
    dataset: PairDataset, first: int, last: int, batch_size: int, workers: int
) -> DataLoader[dict[str, Tensor]]:
    """Return the batches of the pairs ``first`` ... ``last - 1``, in order."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=range(first, last),
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def random_crop(image: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """Return a crop ``(1, 3, size, size)`` at a random place and scale, flipped and turned.

    Args:
        image: ``(1, 3, H, W)`` in [0, 1].
        size: Side of the crop.
        rng: Source of randomness.
    """
    shortest = min(image.shape[2:])
    side = int(min(shortest, max(size * rng.uniform(0.5, 2.0), min(shortest, 32))))
    top = int(rng.integers(image.shape[2] - side + 1))
    left = int(rng.integers(image.shape[3] - side + 1))
    crop = image[..., top : top + side, left : left + side]
    if side != size:
        crop = F.interpolate(crop, (size, size), mode="bilinear", antialias=True).clamp(0.0, 1.0)
    turned = torch.rot90(crop, int(rng.integers(4)), (2, 3))
    return (turned.flip(3) if rng.random() < 0.5 else turned).contiguous()
