"""The result of an audit, as a record, as JSON, as CSV and as a page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from styleaug._files import write_text
from styleaug.auditing.advice import Trial
from styleaug.auditing.changes import WORST
from styleaug.auditing.flips import Flip
from styleaug.auditing.page import audit_page
from styleaug.auditing.pictures import Sheet
from styleaug.auditing.summary import Row

FILES = ("audit.html", "audit.json", "audit.csv")


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        settings: Settings of the audit.
        score: Name of the score: "balanced accuracy", "agreement with itself", "Dice", ...
        before: Figures of the unchanged images.
        changes: Figures of every change: ``kind``, ``member``, ``strength``, ``score``, ``drop``
            with its standard error, ``flipped`` (share of decisions that changed), ``confidence``,
            ``distance`` of appearance, and where labels are classes ``accuracy``, ``macro AUC``
            and ``calibration error``.
        kinds: Every kind of change at full strength, the worst first, with scores by strength.
        classes: Scores of every class under every kind.
        groups: Scores of every subgroup under every kind; empty without subgroups.
        distances: Accuracy and confidence of the model by distance of appearance.
        flips: The smallest change that flips the decision on each image that has one.
        names: Names of the images.
        worst: Values of the worst appearance that was found, one text per effect.
        trials: Results of trials of test-time augmentation.
        retrained: Where the audit had ``retrain``: scores of the model and of the one trained again
            under every kind of change at full strength (``kind``, ``before``, ``after``, ``gain``
            with its standard error, ``beyond chance``); else empty.
        sheets: Contact sheets, each with ``title``, ``text``, ``picture``, and the ``values`` of
            its change.

    Example:
        >>> import torch, styleaug
        >>> model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> images = torch.rand(6, 3, 32, 32)
        >>> found = styleaug.audit(model, [images], "ct", laboratories=2, search=0, trial=())
        >>> found.score, len(found.kinds), found.lowest[1] <= 1.0
        ('agreement with itself', 6, True)
    """

    settings: Mapping[str, Any]
    score: str
    before: Row
    changes: Sequence[Row]
    kinds: Sequence[Row]
    classes: Sequence[Row]
    groups: Sequence[Row]
    distances: Sequence[Row]
    flips: Sequence[Flip]
    names: Sequence[str]
    worst: Sequence[str]
    trials: Sequence[Trial]
    retrained: Sequence[Row]
    sheets: Sequence[Sheet]

    @property
    def lowest(self) -> tuple[str, float]:
        """Kind of change with the lowest score at full strength, and that score.

        The searched appearance is left out: it is chosen to be bad, and how bad it is depends on
        the length of the search.
        """
        kinds = [row for row in self.kinds if row["kind"] != WORST and row["score"] is not None]
        row = min(kinds, key=lambda row: row["score"])
        return row["kind"], row["score"]

    def drop(self, kind: str) -> float:
        """Return how much the score falls under a kind of change at full strength.

        Args:
            kind: "laboratory", "style", "worst found", or an effect.

        Raises:
            KeyError: If the audit has no such kind.
        """
        return float({row["kind"]: row["drop"] for row in self.kinds}[kind])

    def to_json(self) -> str:
        """Return everything but the pictures as JSON."""
        record = {
            name: getattr(self, name)
            for name in ("settings", "score", "before", "kinds", "classes", "groups", "distances")
        }
        record |= {"changes": self.changes, "worst": list(self.worst)}
        record["trials"] = [asdict(trial) for trial in self.trials]
        if self.retrained:
            record["retrained"] = self.retrained
        record["flips"] = [
            {"name": self.names[flip.image], "text": flip.text, **asdict(flip)}
            for flip in self.flips
        ]
        return json.dumps(record, indent=1) + "\n"

    def to_csv(self) -> str:
        """Return the figures of every change as a table."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.changes[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.changes)
        return text.getvalue()

    def to_html(self) -> str:
        """Return a self-contained HTML page with all pictures."""
        return audit_page(self)

    def save(self, folder: str | Path) -> None:
        """Write ``audit.html``, ``audit.json`` and ``audit.csv`` to a folder."""
        texts = (self.to_html(), self.to_json(), self.to_csv())
        for name, text in zip(FILES, texts, strict=True):
            write_text(Path(folder) / name, text)
