"""The encoded style: named tensors that can be indexed, joined, mixed, moved and saved."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from styleaug._device import upload
from styleaug.weights import load_tensors, save_tensors

_FORMAT = "styleaug.StyleCode/1"


@dataclass(frozen=True)
class StyleCode:
    """The encoding of S style images.

    Attributes:
        maps: Named tensors; the first dimension of each counts the styles.
        source: Stylizer and weights that made the code (`Stylizer.identity`); it only fits these.

    Raises:
        ValueError: If ``maps`` is empty or its tensors disagree on the number of styles.

    Example:
        >>> code = StyleCode({"mean": torch.zeros(4, 3)}, source="colorist")
        >>> len(code), len(code[1:3]), code.nbytes
        (4, 2, 48)
    """

    maps: Mapping[str, Tensor]
    source: str

    def __post_init__(self) -> None:
        counts = {name: tensor.shape[0] for name, tensor in self.maps.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"maps must share their first dimension, got {counts}.")

    @property
    def stylizer(self) -> str:
        """Name of the stylizer that made the code."""
        return self.source.partition(":")[0]

    @property
    def region(self) -> str | int | None:
        """Where its stylizer took statistics, as ``region=`` of `create_stylizer`; None: all over.

        Example:
            >>> StyleCode({"mean": torch.zeros(4, 3)}, source="mkl:region=tissue").region
            'tissue'
        """
        found = re.search(r"\bregion=([\w-]+)", self.source)
        if found is None:
            return None
        return int(found[1]) if found[1].isdigit() else found[1]

    def __len__(self) -> int:
        return next(iter(self.maps.values())).shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> StyleCode:
        """Return the chosen styles as a code; an integer gives a code of one style.

        Integers and slices share the memory of this code.
        """
        if isinstance(index, int):
            row = range(len(self))[index]
            index = slice(row, row + 1)
        if isinstance(index, slice | Tensor):
            maps = {name: tensor[index] for name, tensor in self.maps.items()}
        else:
            rows = upload([range(len(self))[row] for row in index], self.device)
            maps = {name: tensor.index_select(0, rows) for name, tensor in self.maps.items()}
        return StyleCode(maps, self.source)

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.maps.values())

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return next(iter(self.maps.values())).device

    def digest(self) -> str:
        """Return a SHA-256 of source and tensors: equal codes have equal digests."""
        digest = sha256(self.source.encode())
        for name, tensor in sorted(self.maps.items()):
            plain = tensor.detach().cpu().contiguous()
            digest.update(name.encode() + plain.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: str | torch.device) -> StyleCode:
        """Return the code on ``device``; the same object if it is there already."""
        device = torch.device(device)
        if self.device == device:
            return self
        return StyleCode({name: t.to(device) for name, t in self.maps.items()}, self.source)

    def mix(self, weights: Tensor) -> StyleCode:
        """Return weighted means of the styles.

        Args:
            weights: ``(M, S)``; every row sums to 1.

        Returns:
            A code of M styles.

        Raises:
            ValueError: If the shape does not fit or a row does not sum to 1.
        """
        if weights.ndim != 2 or weights.shape[1] != len(self):
            raise ValueError(f"weights must be (M, {len(self)}), got {tuple(weights.shape)}.")
        sums = weights.sum(dim=1)
        if not torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
            raise ValueError(f"each row of weights must sum to 1, got sums {sums.tolist()}.")
        mixed = {
            name: torch.tensordot(weights.to(tensor), tensor, dims=1)
            for name, tensor in self.maps.items()
        }
        return StyleCode(mixed, self.source)

    @staticmethod
    def cat(codes: Sequence[StyleCode]) -> StyleCode:
        """Join codes of one stylizer.

        Raises:
            ValueError: If the list is empty, or they come from different stylizers or weights.
        """
        sources = sorted({code.source for code in codes})
        if len(sources) != 1:
            raise ValueError(
                f"codes must come from one stylizer with one set of weights: {sources}."
            )
        names = codes[0].maps.keys()
        return StyleCode(
            {name: torch.cat([code.maps[name] for code in codes]) for name in names}, sources[0]
        )

    def save(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write the code as a safetensors file, atomically.

        Args:
            path: The file to write; an existing one is replaced.
            metadata: Further strings to keep in the file's header.
        """
        header = {"format": _FORMAT, "source": self.source, "sha256": self.digest()}
        header |= metadata or {}
        save_tensors(dict(self.maps), path, header)

    @staticmethod
    def load(path: str | Path) -> StyleCode:
        """Read a code that `save` wrote.

        Raises:
            ValueError: If the file is not a style code, was changed since it was written, or holds
                integers, NaN or infinite numbers.
        """
        return StyleCode.load_with_metadata(path)[0]

    @staticmethod
    def load_with_metadata(path: str | Path) -> tuple[StyleCode, dict[str, str]]:
        """Read a code and the header of its file."""
        tensors, header = load_tensors(path)
        if header.get("format") != _FORMAT:
            raise ValueError(
                f"{str(path)!r} must be a style code or bank written by styleaug, its header says "
                f"{json.dumps(header)[:200]}."
            )
        code = StyleCode(tensors, header["source"])
        if header.get("sha256") != code.digest():
            raise ValueError(
                f"{str(path)!r} was changed since it was written (or comes from before 0.1.0): its "
                "digest is another. Encode the styles again."
            )
        for name, tensor in tensors.items():
            if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
                raise ValueError(
                    f"{str(path)!r} must hold finite floating-point numbers, {name!r} of "
                    f"{tensor.dtype} does not. Encode the styles again."
                )
        return code, header
