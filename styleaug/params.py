"""The record of a draw: which images, whose style, how strong."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class StyleParams:
    """Everything random about one call, one entry per image.

    Applying the same params to the same images gives the same pixels. They can be written to
    JSON, read back and sliced.

    Attributes:
        applied: Whether the image is stylized.
        style: Id of its style in the source that was drawn from.
        alpha: Its stylization strength in [0, 1].
        fingerprint: The source that the ids belong to.

    Raises:
        ValueError: If the entries differ in number.

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

    def __len__(self) -> int:
        return len(self.applied)

    def __getitem__(self, index: int | slice) -> StyleParams:
        """Return the params of one image or of a slice of images."""
        rows = index if isinstance(index, slice) else slice(index, index + 1 or None)
        return StyleParams(self.applied[rows], self.style[rows], self.alpha[rows], self.fingerprint)

    def repeat(self, times: int) -> StyleParams:
        """Return params in which every entry stands ``times`` times in a row."""
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
            ValueError: If fields are missing or unknown.
        """
        expected = set(cls.__dataclass_fields__)
        if set(record) != expected:
            raise ValueError(
                f"record must have the fields {sorted(expected)}, got {sorted(record)}."
            )
        return cls(
            applied=tuple(map(bool, record["applied"])),
            style=tuple(map(int, record["style"])),
            alpha=tuple(map(float, record["alpha"])),
            fingerprint=str(record["fingerprint"]),
        )

    @classmethod
    def from_json(cls, text: str) -> StyleParams:
        """Read what `to_json` wrote."""
        return cls.from_dict(json.loads(text))
