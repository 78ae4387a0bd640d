"""The record of a draw: the values of every effect for every image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from styleaug.appearance.kinds import EFFECTS


@dataclass(frozen=True)
class AppearanceParams:
    """Everything random about one call: for each effect, one row of values per image.

    Applying the same params to the same images gives the same pixels. They can be written to
    JSON, read back and sliced; values may be changed by hand.

    Attributes:
        values: For each effect, by its name, ``N`` rows of its parameters in their order.

    Raises:
        ValueError: If an effect is unknown, or its rows do not fit.

    Example:
        >>> params = AppearanceParams({"saturation": ((1.2,), (1.0,))})
        >>> AppearanceParams.from_json(params.to_json()) == params
        True
        >>> params[1:].values["saturation"]
        ((1.0,),)
    """

    values: Mapping[str, tuple[tuple[float, ...], ...]]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.values) - set(EFFECTS))
        if unknown:
            raise ValueError(f"values must be of {sorted(EFFECTS)}, got {unknown}.")
        counts = {name: len(rows) for name, rows in self.values.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"values must hold as many rows for every effect, got {counts}.")
        for name, rows in self.values.items():
            expected = [p.name for p in EFFECTS[name].parameters]
            if {len(row) for row in rows} - {len(expected)}:
                raise ValueError(f"values of {name!r} must be rows of {expected}, got {rows[:2]}.")

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __getitem__(self, index: int | slice) -> AppearanceParams:
        """Return the params of one image or of a slice of images."""
        rows = index if isinstance(index, slice) else slice(index, index + 1 or None)
        return AppearanceParams({name: value[rows] for name, value in self.values.items()})

    def repeat(self, times: int) -> AppearanceParams:
        """Return params in which every row stands ``times`` times in a row."""
        if times == 1:
            return self
        return AppearanceParams(
            {name: tuple(row for row in v for _ in range(times)) for name, v in self.values.items()}
        )

    def without(self, *names: str) -> AppearanceParams:
        """Return params without some effects; at least one must be left."""
        return AppearanceParams({k: v for k, v in self.values.items() if k not in names})

    def tensor(self, name: str) -> Tensor:
        """Return the values of an effect as float32 ``(N, P)``."""
        return torch.tensor(self.values[name], dtype=torch.float32)

    def to_json(self) -> str:
        """Return the params as a JSON object."""
        return json.dumps({name: [list(row) for row in v] for name, v in self.values.items()})

    @classmethod
    def from_json(cls, text: str) -> AppearanceParams:
        """Read what `to_json` wrote."""
        record: dict[str, Any] = json.loads(text)
        return cls(
            {name: tuple(tuple(map(float, row)) for row in rows) for name, rows in record.items()}
        )
