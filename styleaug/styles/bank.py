"""StyleBank: a finite set of styles, encoded once."""

from __future__ import annotations

import json
import warnings
from collections.abc import Hashable, Iterable, Sequence, Sized
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from styleaug.images.batch import AnyImage, Images, as_images, has_eight_bits, to_content
from styleaug.images.files import find_images, names_of, other_images
from styleaug.images.opening import find_sources, open_image
from styleaug.images.regions import AnyRegions
from styleaug.images.scan import AnyWindow, check_file_window
from styleaug.images.sheet import contact_sheet, to_picture
from styleaug.images.window import Window, check_window
from styleaug.styles.medoids import color_statistics
from styleaug.styles.picking import DatasetImages, Describe, describe_content, pick_rows
from styleaug.styles.volumes import Slices, check_slices, spread, style_images
from styleaug.stylizers import check_stylizer, create_stylizer
from styleaug.stylizers.base import Stylizer
from styleaug.stylizers.code import StyleCode
from styleaug.stylizers.region import InRegion, check_takes_regions

_STATISTICS = "bank.statistics"
_SHEET_COLUMNS = 8


class StyleBank:
    """A finite set of styles, encoded once and used for any number of images.

    A bank of channel statistics holds a few hundred numbers per style and no image, so it can be
    shared where images cannot. Banks that hold token or feature maps can leak content.

    Args:
        code: The encoded styles.
        names: One name per style, such as its file; by default the numbers.
        statistics: ``(S, K)``, one vector per style, used to compare styles with images; None if
            there are none.

    Raises:
        ValueError: If there is no style, or the names or statistics do not fit.

    Example:
        >>> bank = StyleBank.from_images([torch.rand(3, 64, 64) for _ in range(4)], "colorist")
        >>> len(bank), bank.nbytes
        (4, 96)
    """

    def __init__(
        self,
        code: StyleCode,
        names: Sequence[str] | None = None,
        *,
        statistics: Tensor | None = None,
    ) -> None:
        self.code = code
        self.statistics = statistics
        self.names = tuple(names) if names is not None else tuple(map(str, range(len(code))))
        if len(code) == 0:
            raise ValueError(f"code must hold at least one style, got {len(code)}.")
        if len(self.names) != len(code):
            raise ValueError(f"names must hold {len(code)} names, got {len(self.names)}.")
        if statistics is not None and (statistics.ndim != 2 or len(statistics) != len(code)):
            raise ValueError(f"statistics must be ({len(code)}, K), got {tuple(statistics.shape)}.")
        self._digest = ""
        self._on: dict[torch.device, StyleCode] = {}

    @classmethod
    def from_images(
        cls,
        images: Iterable[AnyImage | Images],
        stylizer: Stylizer | str,
        *,
        names: Sequence[str] | None = None,
        keep: str | None = None,
        describe: Describe = color_statistics,
        value_range: tuple[float, float] | None = None,
        regions: Sequence[AnyRegions] | Tensor | None = None,
        progress: bool = False,
    ) -> StyleBank:
        """Encode images, one at a time, each of any size.

        Args:
            images: Tensors ``(3, H, W)``, arrays ``(H, W[, C])`` or PIL images, or one batch.
            stylizer: A stylizer, or a name of the table.
            names: One name per image.
            keep: What the code of a style holds, for stylizers that offer a choice ("tokens" or
                "kv" for Stylizing ViT); only if ``stylizer`` is a name.
            describe: Turns images ``(B, 3, H, W)`` in [0, 1] into vectors ``(B, K)``, by which
                styles are compared with images; by default mean and deviation in L*a*b*.
            value_range: Black and white of images of more than 8 bits, such as ``(0, 4095)``; None:
                those of the data type.
            regions: A mask or label map per image, for a stylizer whose ``region`` is their number
                of classes; None: of one class, the whole image.
            progress: Show a progress bar on the terminal.

        Raises:
            ValueError: If there is no image, one of them does not fit, or ``keep`` or ``regions``
                do not.
        """
        built = _built(stylizer, keep)
        if regions is not None:
            check_takes_regions(built)
        total = len(images) if isinstance(images, Sized) else None
        steps = track(images, "encoding styles", total=total, disable=not progress)
        window = check_window("value_range", value_range)
        maps = repeat(None) if regions is None else regions
        pairs = [
            _encode(image, built, describe, window, region)
            for image, region in zip(steps, maps, strict=regions is not None)
        ]
        if not pairs:
            raise ValueError(f"styles must hold at least one image, got {len(pairs)}.")
        codes, vectors = zip(*pairs, strict=True)
        return cls(StyleCode.cat(codes), names, statistics=torch.cat(vectors))

    @classmethod
    def from_files(
        cls,
        files: str | Path | Sequence[str | Path],
        stylizer: Stylizer | str,
        *,
        keep: str | None = None,
        value_range: AnyWindow = None,
        slices: Slices = None,
        seed: int = 0,
        progress: bool = False,
    ) -> StyleBank:
        """Encode image files, including DICOM and NIfTI; DICOM files of one series form a volume.

        Args:
            files: A folder (searched with its subfolders), a file, or a list of both.
            stylizer: A stylizer, or a name of the table.
            keep: As in `from_images`.
            value_range: As in `from_images`; for volumes also "lung", "bone", "soft", "brain" or
                "percentile", as in `styleaug.images.open_image`.
            slices: Which slices of a volume become styles: a number of randomly drawn ones, or
                "all". None: the whole volume as one style if the stylizer is pointwise, otherwise
                8 slices.
            seed: Seed of the draw of slices, combined with the name of the file.
            progress: Show a progress bar on the terminal.

        Raises:
            FileNotFoundError: If a path does not exist.
            ImportError: If the library that reads a file is not installed.
            ValueError: If no image is found.
        """
        check_slices(slices)
        window = check_file_window("value_range", value_range)
        given = [files] if isinstance(files, str | Path) else files
        sources = find_sources(find_images(given))
        if others := other_images(given):
            warnings.warn(f"passed over {names_of(others)}", stacklevel=2)
        built = _built(stylizer, keep)
        banks = []
        for source in track(sources, "encoding styles", disable=not progress):
            images = open_image(source, window=window).images
            banks.append(cls.from_volume(images, built, source[0], slices=slices, seed=seed))
        return cls.cat(banks)

    @classmethod
    def from_volume(
        cls,
        images: Images,
        stylizer: Stylizer,
        path: Path,
        *,
        slices: Slices = None,
        seed: int = 0,
    ) -> StyleBank:
        """Encode the content of one file: an image, or slices of a volume.

        Args:
            images: As `styleaug.images.open_image` returns them.
            stylizer: The stylizer that encodes.
            path: The file; its name becomes the name of the styles.
            slices: As in `from_files`.
            seed: As in `from_files`.
        """
        named = style_images(images, path, slices, seed, whole=stylizer.pointwise)
        names, parts = zip(*named, strict=True)
        return cls.from_images(parts, stylizer, names=names)

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        stylizer: Stylizer | str,
        *,
        count: int | None = None,
        per_domain: int | None = None,
        domains: Sequence[Hashable] | None = None,
        representative: bool = False,
        sheet: str | Path | None = None,
        seed: int = 0,
        keep: str | None = None,
        describe: Describe = color_statistics,
        progress: bool = False,
    ) -> StyleBank:
        """Encode images of a dataset whose items are images or start with one.

        Args:
            dataset: Has ``__len__`` and ``__getitem__``; items are images, tuples that start with
                an image, or dicts with the key "image". Give it without random augmentation.
            stylizer: A stylizer, or a name of the table.
            count: How many to pick; None takes all.
            per_domain: Instead of ``count``: how many to pick from each domain.
            domains: One label per item (scanner, hospital); by default the items' entry "domain",
                or one domain if they have none.
            representative: Pick the medoids of the style vectors, which cover the dataset, instead
                of random images.
            sheet: File for a contact sheet of the picked images.
            seed: Seed of the draw.
            keep: As in `from_images`.
            describe: As in `from_images`.
            progress: Show a progress bar on the terminal.

        Raises:
            ValueError: If ``count`` or ``per_domain`` is not between 1 and the number of images,
                both are given, or ``domains`` does not hold one label per item.

        Example:
            >>> dark, light = torch.rand(9, 3, 32, 32) * 0.3, torch.rand(9, 3, 32, 32) * 0.3 + 0.7
            >>> bank = StyleBank.from_dataset(
            ...     torch.cat([dark, light]), "colorist", count=2, representative=True
            ... )
            >>> [int(name) < 9 for name in bank.names]
            [True, False]
        """
        groups = pick_rows(
            dataset,
            count,
            per_domain,
            domains,
            describe if representative else None,
            seed=seed,
            progress=progress,
        )
        rows = [row for group in groups.values() for row in group]
        if sheet is not None:
            _write_sheet(sheet, DatasetImages(dataset), groups)
        images, names = DatasetImages(dataset, rows), [str(row) for row in rows]
        return cls.from_images(
            images, stylizer, names=names, keep=keep, describe=describe, progress=progress
        )

    @classmethod
    def cat(cls, banks: Sequence[StyleBank], names: Sequence[str] | None = None) -> StyleBank:
        """Join banks of one stylizer, under new names if they are given.

        Raises:
            ValueError: If the list is empty, or they come from different stylizers or weights.
        """
        joined = [name for bank in banks for name in bank.names]
        vectors = [bank.statistics for bank in banks if bank.statistics is not None]
        complete = len(vectors) == len(banks) and len({item.shape[1] for item in vectors}) == 1
        return cls(
            StyleCode.cat([bank.code for bank in banks]),
            names or joined,
            statistics=torch.cat(vectors) if complete else None,
        )

    @classmethod
    def load(cls, path: str | Path) -> StyleBank:
        """Read a bank that `save` wrote.

        Raises:
            ValueError: If the file is not a bank, was changed since, or holds integers, NaN or
                infinite numbers.
        """
        code, header = StyleCode.load_with_metadata(path)
        names = json.loads(header["names"]) if "names" in header else None
        maps = {name: tensor for name, tensor in code.maps.items() if name != _STATISTICS}
        return cls(StyleCode(maps, code.source), names, statistics=code.maps.get(_STATISTICS))

    def save(self, path: str | Path) -> None:
        """Write the bank as a safetensors file, atomically."""
        maps = dict(self.code.maps)
        if self.statistics is not None:
            maps[_STATISTICS] = self.statistics
        StyleCode(maps, self.code.source).save(path, {"names": json.dumps(self.names)})

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, index: slice | Sequence[int]) -> StyleBank:
        """Return a bank of the chosen styles."""
        rows = range(len(self))[index] if isinstance(index, slice) else index
        picked = list(rows)
        vectors = None if self.statistics is None else self.statistics[picked]
        return StyleBank(self.code[picked], [self.names[row] for row in picked], statistics=vectors)

    def __repr__(self) -> str:
        return f"StyleBank({len(self)} styles of {self.code.source}, {self.nbytes} bytes)"

    @property
    def nbytes(self) -> int:
        """Bytes that the codes take."""
        return self.code.nbytes

    def fingerprint(self, batch_size: int) -> str:
        """Return a digest of the codes: equal banks have equal fingerprints."""
        if not self._digest:
            self._digest = f"bank:{self.code.digest()[:16]}"
        return self._digest

    def draw(self, uniforms: np.ndarray, applied: np.ndarray) -> list[int]:
        """Return a style id for every image; all styles are equally likely."""
        return [int(place * len(self)) for place in uniforms.tolist()]

    def codes(self, ids: Sequence[int], batch: Tensor, stylizer: Stylizer) -> StyleCode:
        """Return the codes of some style ids on the device of the batch."""
        self.check_fits(stylizer)
        check_ids(ids, len(self))
        device = batch.device
        if device not in self._on:
            self._on[device] = self.code.to(device)
        code = self._on[device]
        return code[ids[0]] if len(ids) == 1 else code[list(ids)]

    def check_fits(self, stylizer: Stylizer) -> None:
        """Raise ``ValueError`` unless the bank was encoded by this stylizer and its weights."""
        if self.code.source != stylizer.identity:
            raise ValueError(
                f"styles must be a bank encoded by {stylizer.identity!r}, got one of "
                f"{self.code.source!r}. Build the bank again with this stylizer, or give the "
                "stylizer the settings of the bank, such as region=."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_on": {}}


def check_ids(ids: Sequence[int], count: int) -> None:
    """Raise ``ValueError`` unless all ids are in 0 ... ``count`` - 1."""
    wrong = [item for item in ids if not 0 <= item < count]
    if wrong:
        raise ValueError(f"style ids must be in 0 ... {count - 1}, got {wrong[0]}.")


def _built(stylizer: Stylizer | str, keep: str | None) -> Stylizer:
    check_stylizer(stylizer)
    if isinstance(stylizer, str):
        options: dict[str, Any] = {} if keep is None else {"keep": keep}
        return create_stylizer(stylizer, **options)
    if keep is not None:
        raise ValueError(
            f"keep={keep!r} must be given to create_stylizer, {stylizer.name} is built."
        )
    return stylizer


def _encode(
    image: AnyImage | Images,
    stylizer: Stylizer,
    describe: Describe,
    window: Window | None,
    regions: AnyRegions | None = None,
) -> tuple[StyleCode, Tensor]:
    """Return the code and the statistics of an image or a batch."""
    value_range = None if has_eight_bits(image) else window
    images = as_images(image, value_range=value_range)
    if images.depth > 1:
        images.check_sides(stylizer.least_side, stylizer.name)
    content = to_content(images.batch)
    stylizer.check_sides("style", content)
    seen = to_content(images.some_slices(spread(images.depth)).batch)
    vectors = describe_content(seen, describe)
    if regions is None or not isinstance(stylizer, InRegion):
        return stylizer.encode_checked(content), vectors
    given = stylizer.regions_of(content, regions)
    return stylizer.encode_checked(content, given), vectors


def _write_sheet(
    path: str | Path, images: DatasetImages, groups: dict[Hashable, list[int]]
) -> None:
    """Write a contact sheet of chosen rows: each domain begins a new line."""
    lines = [
        (label, rows[first : first + _SHEET_COLUMNS])
        for label, rows in groups.items()
        for first in range(0, len(rows), _SHEET_COLUMNS)
    ]
    width = max(len(rows) for _, rows in lines)
    tiles = [
        [to_picture(images[row]) for row in rows] + [None] * (width - len(rows))
        for _, rows in lines
    ]
    labels = [f"{label}: {', '.join(map(str, rows))}" for label, rows in lines]
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(tiles, labels, [""] * width).save(target)
