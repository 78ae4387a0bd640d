"""StyleBank: a finite set of styles, encoded once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence, Sized
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from styleaug._files import find_images, read_image
from styleaug._image import AnyImage, as_batch, to_content
from styleaug.stylizers import create_stylizer
from styleaug.stylizers.base import Stylizer
from styleaug.stylizers.code import StyleCode


class StyleBank:
    """A finite set of styles, encoded once and used for any number of images.

    A bank of channel statistics holds a few hundred numbers per style and no image, so it can be
    shared where images cannot. Banks that hold token or feature maps can leak content.

    Args:
        code: The encoded styles.
        names: One name per style, such as its file; by default the numbers.

    Raises:
        ValueError: If there is no style, or the names do not fit.

    Example:
        >>> bank = StyleBank.from_images([torch.rand(3, 64, 64) for _ in range(4)], "colorist")
        >>> len(bank), bank.nbytes
        (4, 96)
    """

    def __init__(self, code: StyleCode, names: Sequence[str] | None = None) -> None:
        self.code = code
        self.names = tuple(names) if names is not None else tuple(map(str, range(len(code))))
        if len(code) == 0:
            raise ValueError(f"code must hold at least one style, got {len(code)}.")
        if len(self.names) != len(code):
            raise ValueError(f"names must hold {len(code)} names, got {len(self.names)}.")
        self._digest = ""
        self._on: dict[str, StyleCode] = {}

    @classmethod
    def from_images(
        cls,
        images: Iterable[AnyImage],
        stylizer: Stylizer | str,
        *,
        names: Sequence[str] | None = None,
        keep: str | None = None,
        progress: bool = False,
    ) -> StyleBank:
        """Encode images, one at a time, each of any size.

        Args:
            images: Tensors ``(3, H, W)``, arrays ``(H, W[, C])`` or PIL images, or one batch.
            stylizer: A stylizer, or a name of the table.
            names: One name per image.
            keep: What a stylizer that has the choice keeps of a style ("tokens" or "kv" for
                Stylizing ViT); only with a name.
            progress: Show a progress bar on the terminal.

        Raises:
            ValueError: If there is no image, one of them does not fit, or ``keep`` does not.
        """
        built = _built(stylizer, keep)
        total = len(images) if isinstance(images, Sized) else None
        steps = track(images, "encoding styles", total=total, disable=not progress)
        codes = [_encode(image, built) for image in steps]
        if not codes:
            raise ValueError(f"styles must hold at least one image, got {len(codes)}.")
        return cls(StyleCode.cat(codes), names)

    @classmethod
    def from_files(
        cls,
        files: str | Path | Sequence[str | Path],
        stylizer: Stylizer | str,
        *,
        keep: str | None = None,
        progress: bool = False,
    ) -> StyleBank:
        """Encode image files.

        Args:
            files: A folder (searched with its subfolders), a file, or a list of both.
            stylizer: A stylizer, or a name of the table.
            keep: As in `from_images`.
            progress: Show a progress bar on the terminal.

        Raises:
            FileNotFoundError: If a path does not exist.
            ValueError: If there is no image in it.
        """
        paths = find_images([files] if isinstance(files, str | Path) else files)
        images = _Reader(paths)
        names = [path.as_posix() for path in paths]
        return cls.from_images(images, stylizer, names=names, keep=keep, progress=progress)

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        stylizer: Stylizer | str,
        *,
        count: int | None = None,
        seed: int = 0,
        keep: str | None = None,
        progress: bool = False,
    ) -> StyleBank:
        """Encode images of a dataset whose items are an image or start with one.

        Args:
            dataset: Has ``__len__`` and ``__getitem__``; items are images, tuples that start with
                an image, or dicts with the key "image".
            stylizer: A stylizer, or a name of the table.
            count: How many to draw without repetition; None takes all.
            seed: Seed of that draw.
            keep: As in `from_images`.
            progress: Show a progress bar on the terminal.

        Raises:
            ValueError: If ``count`` is not between 1 and the size of the dataset.
        """
        size = len(dataset)
        if count is not None and not 1 <= count <= size:
            raise ValueError(f"count must be between 1 and {size} (the dataset), got {count}.")
        order = torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()
        rows = sorted(order[:count])
        images = _Items(dataset, rows)
        names = [str(row) for row in rows]
        return cls.from_images(images, stylizer, names=names, keep=keep, progress=progress)

    @classmethod
    def cat(cls, banks: Sequence[StyleBank], names: Sequence[str] | None = None) -> StyleBank:
        """Join banks of one stylizer, under new names if they are given.

        Raises:
            ValueError: If there is none, or they come from different stylizers or weights.
        """
        joined = [name for bank in banks for name in bank.names]
        return cls(StyleCode.cat([bank.code for bank in banks]), names or joined)

    @classmethod
    def load(cls, path: str | Path) -> StyleBank:
        """Read a bank that `save` wrote.

        Raises:
            ValueError: If the file is not a bank.
        """
        code, header = StyleCode.load_with_metadata(path)
        return cls(code, json.loads(header["names"]) if "names" in header else None)

    def save(self, path: str | Path) -> None:
        """Write the bank as a safetensors file, atomically."""
        self.code.save(path, {"names": json.dumps(self.names)})

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, index: slice | Sequence[int]) -> StyleBank:
        """Return a bank of the chosen styles."""
        rows = range(len(self))[index] if isinstance(index, slice) else index
        return StyleBank(self.code[list(rows)], [self.names[row] for row in rows])

    def __repr__(self) -> str:
        return f"StyleBank({len(self)} styles of {self.code.source}, {self.nbytes} bytes)"

    @property
    def nbytes(self) -> int:
        """Bytes that the codes take."""
        return self.code.nbytes

    def fingerprint(self, batch_size: int) -> str:
        """Return a digest of the codes: equal banks have equal fingerprints."""
        if not self._digest:
            digest = sha256(self.code.source.encode())
            for name, tensor in sorted(self.code.maps.items()):
                plain = tensor.detach().cpu().contiguous()
                digest.update(name.encode() + plain.view(torch.uint8).numpy().tobytes())
            self._digest = f"bank:{digest.hexdigest()[:16]}"
        return self._digest

    def draw(self, uniforms: Tensor, applied: Tensor) -> list[int]:
        """Return one of the styles for every image, all equally likely."""
        return (uniforms * len(self)).long().tolist()

    def codes(self, ids: Sequence[int], batch: Tensor, stylizer: Stylizer) -> StyleCode:
        """Return the codes of the ids on the device of the batch."""
        self.check_fits(stylizer)
        place = str(batch.device)
        if place not in self._on:
            self._on[place] = self.code.to(batch.device)
        return self._on[place][list(ids)]

    def check_fits(self, stylizer: Stylizer) -> None:
        """Raise ``ValueError`` unless the bank was encoded by this stylizer and its weights."""
        if self.code.source != stylizer.identity:
            raise ValueError(
                f"styles must be a bank encoded by {stylizer.identity!r}, got one of "
                f"{self.code.source!r}. Build the bank again with this stylizer."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_on": {}}


class _Reader(Sequence):
    """Image files, read when they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        return read_image(self.paths[index]).pixels


class _Items(Sequence):
    """The images of chosen rows of a dataset."""

    def __init__(self, dataset: Any, rows: Sequence[int]) -> None:
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        item = self.dataset[self.rows[index]]
        if isinstance(item, dict):
            return item["image"]
        return item[0] if isinstance(item, tuple | list) else item


def _built(stylizer: Stylizer | str, keep: str | None) -> Stylizer:
    if isinstance(stylizer, str):
        options: dict[str, Any] = {} if keep is None else {"keep": keep}
        return create_stylizer(stylizer, **options)
    if keep is not None:
        raise ValueError(
            f"keep={keep!r} must be given to create_stylizer, {stylizer.name} is built."
        )
    return stylizer


def _encode(image: AnyImage, stylizer: Stylizer) -> StyleCode:
    batch, _ = as_batch(image)
    return stylizer.encode_checked(to_content(batch))
