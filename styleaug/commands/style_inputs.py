"""What ``--style`` names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from styleaug.commands.painting import encode_styles
from styleaug.images.files import find_images
from styleaug.images.scan import AnyWindow
from styleaug.styles.bank import StyleBank
from styleaug.styles.volumes import Slices
from styleaug.stylizers import DEFAULT_STYLIZER, create_stylizer
from styleaug.stylizers.base import Precision, Stylizer


@dataclass(frozen=True)
class StyleInputs:
    """What ``--style`` names: image files, and banks that were encoded before."""

    files: list[Path]
    banks: list[StyleBank]
    inputs: list[Path]

    @classmethod
    def find(cls, paths: Sequence[str]) -> StyleInputs:
        """Return the files and banks that paths name."""
        saved = [path for path in paths if path.endswith(".safetensors")]
        others = [path for path in paths if path not in saved]
        files = find_images(others) if others else []
        return cls(files, [StyleBank.load(path) for path in saved], [*files, *map(Path, saved)])

    @property
    def stylizer(self) -> str:
        """Name of the stylizer that encoded the banks, or the default."""
        return self.banks[0].code.stylizer if self.banks else DEFAULT_STYLIZER

    def create(
        self,
        name: str | None,
        *,
        region: str | None = None,
        weights: str | None = None,
        precision: Precision = "auto",
    ) -> Stylizer:
        """Return the stylizer that is named, or that of the banks, with their region.

        Raises:
            ValueError: If it needs masks or label maps, which files do not have.
        """
        chosen = name or self.stylizer
        of_bank = self.banks[0].code.region if self.banks and chosen == self.stylizer else None
        where = region or of_bank
        if isinstance(where, int):
            raise ValueError(
                f"--style holds a bank of region={where}, for contents that come with masks or "
                "label maps: use it in Python, with regions=."
            )
        return create_stylizer(chosen, weights=weights, precision=precision, region=where)

    def encoded(
        self,
        stylizer: Stylizer,
        console: Console,
        advance: Callable[[int], object],
        window: AnyWindow,
        slices: Slices = None,
        seed: int = 0,
    ) -> tuple[StyleBank, list[Path]]:
        """Return one bank of all styles, and the files that cannot be read."""
        for bank in self.banks:
            bank.check_fits(stylizer)
        if not self.files:
            return StyleBank.cat(self.banks), []
        bank, broken = encode_styles(self.files, stylizer, console, advance, window, slices, seed)
        return StyleBank.cat([bank, *self.banks]), broken
