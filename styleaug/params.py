"""The record of a draw: which images, whose style, how strong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any


@dataclass(frozen=True)
class StyleParams:
    """Everything random about one call, one entry per image.

    Applying the same params to the same images gives the same pixels. They can be written to
    JSON, read back and sliced.

    Attributes:
        applied: Whether the image is stylized.
        style: Id of its style in the source that was drawn from: 0, 1, 2 ...
        alpha: Its stylization strength in [0, 1].
        fingerprint: The source that the ids belong to.

    Raises:
        ValueError: If the fields differ in length, or hold invalid values: anything but booleans in
            ``applied``, ids that are not whole numbers from 0 on, strengths outside [0, 1].

    Example:
        >>> params = StyleParams((True, False), (3, 0), (0.5, 1.0), "bank:0123")
        >>> StyleParams.from_json(params.to_json()) == params
        True
        >>> params[1:].applied
        (False,)
    """

    applied: tuple[bool, ...]
    style: tuple[int, ...]
    alpha: tuple[float, ...]
    fingerprint: str

    def __post_init__(self) -> None:
        counts = (len(self.applied), len(self.style), len(self.alpha))
        if len(set(counts)) != 1:
            raise ValueError(f"applied, style and alpha must be equally long, got {counts}.")
        _check_entries("applied", self.applied, "True or False", lambda x: isinstance(x, bool))
        _check_entries("style", self.style, "ids from 0 on", _is_id)
        _check_entries("alpha", self.alpha, "numbers in [0, 1]", _is_strength)
        if not isinstance(self.fingerprint, str):
            raise ValueError(f"fingerprint must be text, got {self.fingerprint!r}.")

    def __len__(self) -> int:
        return len(self.applied)

    def __getitem__(self, index: int | slice) -> StyleParams:
        """Return the params of one image or of a slice of images."""
        rows = index if isinstance(index, slice) else slice(index, index + 1 or None)
        return StyleParams(self.applied[rows], self.style[rows], self.alpha[rows], self.fingerprint)

    def repeat(self, times: int) -> StyleParams:
        """Return params in which every entry stands ``times`` times in a row."""
        if times == 1:
            return self
        rows = [row for row in range(len(self)) for _ in range(times)]
        return StyleParams(
            tuple(self.applied[row] for row in rows),
            tuple(self.style[row] for row in rows),
            tuple(self.alpha[row] for row in rows),
            self.fingerprint,
        )

    @property
    def rows(self) -> list[int]:
        """Positions of the images that change: applied, with a strength above 0."""
        pairs = zip(self.applied, self.alpha, strict=True)
        return [row for row, (applied, alpha) in enumerate(pairs) if applied and alpha > 0.0]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, ready for JSON."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    def to_json(self) -> str:
        """Return the params as a JSON object."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> StyleParams:
        """Read what `to_dict` returned.

        Raises:
            ValueError: If fields are missing or unknown, or hold what does not belong there.
        """
        expected = set(cls.__dataclass_fields__)
        if set(record) != expected:
            raise ValueError(
                f"record must have the fields {sorted(expected)}, got {sorted(record)}."
            )
        applied, style, alpha = (record[name] for name in ("applied", "style", "alpha"))
        if not all(isinstance(item, list | tuple) for item in (applied, style, alpha)):
            raise ValueError(f"applied, style and alpha must be lists, got {record!r}.")
        return cls(tuple(applied), tuple(style), tuple(alpha), record["fingerprint"])

    @classmethod
    def from_json(cls, text: str) -> StyleParams:
        """Read what `to_json` wrote."""
        return cls.from_dict(json.loads(text))


def _check_entries(
    name: str, entries: tuple[object, ...], expected: str, fits: Callable[[object], bool]
) -> None:
    wrong = [item for item in entries if not fits(item)]
    if wrong:
        raise ValueError(f"{name} must hold {expected}, got {wrong[0]!r}.")


def _is_id(item: object) -> bool:
    if type(item) is int:  # asking an abstract class takes several times as long
        return item >= 0
    return isinstance(item, Integral) and not isinstance(item, bool) and int(item) >= 0


def _is_strength(item: object) -> bool:
    if type(item) is float:
        return 0.0 <= item <= 1.0
    return isinstance(item, Real) and not isinstance(item, bool) and 0.0 <= float(item) <= 1.0
