"""Gains of training with changes of appearance in the series of this project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """One series: networks trained with and without ``Appearance("stained")``.

    Attributes:
        record: Name of its record in ``benchmarks/results``.
        networks: The networks.
        runs: Number of pairs of a laboratory and a seed.
        plain: Mean score in unseen laboratories of networks trained without any augmentation.
        score: That of networks trained with changes of appearance.
        gain: Mean difference over the pairs.
        low: Lower end of its 95 % interval.
        high: Upper end.
        home: Scores on held-out images of the training laboratories, without and with.
        jitter: Gain of strong colour jitter.
    """

    record: str
    networks: str
    runs: int
    plain: float
    score: float
    gain: float
    low: float
    high: float
    home: tuple[float, float]
    jitter: float

    @property
    def text(self) -> str:
        """The series in a sentence."""
        return (
            f"{self.networks} scored {self.plain:.2f} without and {self.score:.2f} with changes of "
            f"every second image (a gain of {self.gain:.2f}, {self.low:.2f} to {self.high:.2f}, "
            f"{self.runs} runs; "
            f"{self.home[0]:.2f} and {self.home[1]:.2f} in the laboratories of the training; "
            f"strong colour jitter gained {self.jitter:.2f})"
        )


CLASSES = (
    Series(
        record="shift-arms",
        networks="small networks trained from scratch",
        runs=15,
        plain=0.312,
        score=0.571,
        gain=0.259,
        low=0.177,
        high=0.340,
        home=(0.842, 0.829),
        jitter=0.255,
    ),
    Series(
        record="shift-imagenet",
        networks="EfficientNet-Lite0 from ImageNet weights, fine-tuned,",
        runs=15,
        plain=0.476,
        score=0.568,
        gain=0.092,
        low=0.055,
        high=0.128,
        home=(0.791, 0.809),
        jitter=0.080,
    ),
)
"""Classes of white blood cells, balanced accuracy."""

MASKS = (
    Series(
        record="shift-cells-long",
        networks="small networks trained from scratch",
        runs=36,
        plain=0.605,
        score=0.705,
        gain=0.100,
        low=0.064,
        high=0.135,
        home=(0.924, 0.924),
        jitter=0.103,
    ),
)
"""Masks of white blood cells, Dice."""

AUDITED = ((0.15, 0.37), (0.21, 0.45))
"""Mean audited and true drop of networks trained with changes of appearance, in two laboratories
(record ``audit``)."""


def series_text(masks: bool, kind: str) -> str:
    """Return sentences on what training with changes of appearance gained elsewhere.

    Args:
        masks: Whether the model predicts masks.
        kind: Kind of the audited images.

    Example:
        >>> "Of the kind ct" in series_text(False, "ct")
        True
    """
    score = "Dice" if masks else "balanced accuracy"
    found = "; ".join(series.text for series in (MASKS if masks else CLASSES))
    text = (
        "In this project's series on white blood cells of three laboratories, tested in "
        f"laboratories that the training had not seen ({score}), {found}."
    )
    return text if kind == "stained" else f"{text} Of the kind {kind} there is no such series."


def flattered_text() -> str:
    """Return a sentence on how far audits flatter networks trained on the audit's changes."""
    (audited, true), (other, also) = AUDITED
    return (
        "This flatters the model, which was trained on the changes of the audit: in this project's "
        f"series, networks trained so fell by {audited:.2f} and {other:.2f} in audits, and by "
        f"{true:.2f} and {also:.2f} in other laboratories. Test it on images of one."
    )
