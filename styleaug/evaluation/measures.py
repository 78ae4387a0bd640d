"""The table of measures of a stylized image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from styleaug._checks import check_choice
from styleaug.functional import moment_distance
from styleaug.metrics import (
    LPIPS,
    PSNR,
    SSIM,
    ContentLoss,
    EdgeCorrelation,
    IdempotencyDrift,
    PairMetric,
    RestorationSSIM,
    StyleDistance,
    StyleLoss,
)
from styleaug.stylex import StyleX
from styleaug.stylizers.base import Stylizer


@dataclass(frozen=True)
class Measure:
    """One column of the report.

    Attributes:
        summary: What it measures, in a few words.
        better: "high" or "low".
        against: What the stylized image is compared with.
        build: Returns the metric for a stylizer and files of weights by backbone.
        needs_stylizer: Whether it runs the stylizer again; such a measure is not available for
            files that were stylized elsewhere.
    """

    summary: str
    better: Literal["high", "low"]
    against: Literal["content", "style"]
    build: Callable[[Stylizer, Mapping[str, str]], PairMetric]
    needs_stylizer: bool = False


class ColorDistance(PairMetric):
    """Squared differences of the means and deviations of R, G and B."""

    higher_is_better: bool | None = False
    same_size = False

    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return the distance of every pair."""
        return moment_distance([output], [reference])


def _vgg(files: Mapping[str, str]) -> str:
    return files.get("vgg19", "default")


MEASURES: dict[str, Measure] = {
    "ssim": Measure("structural similarity", "high", "content", lambda s, f: SSIM()),
    "psnr": Measure("signal-to-noise ratio, dB", "high", "content", lambda s, f: PSNR()),
    "edges": Measure("correlation of edges", "high", "content", lambda s, f: EdgeCorrelation()),
    "color": Measure("distance of colour moments", "low", "style", lambda s, f: ColorDistance()),
    "restored": Measure(
        "SSIM of the restored content", "high", "content", lambda s, f: RestorationSSIM(s), True
    ),
    "drift": Measure(
        "change by stylizing again", "low", "style", lambda s, f: IdempotencyDrift(s), True
    ),
    "lpips": Measure(
        "perceptual distance",
        "low",
        "content",
        lambda s, f: LPIPS(weights=f.get("alexnet", "default")),
    ),
    "content": Measure(
        "distance of deep features",
        "low",
        "content",
        lambda s, f: ContentLoss(weights=_vgg(f)),
    ),
    "style": Measure(
        "distance of feature statistics",
        "low",
        "style",
        lambda s, f: StyleLoss(weights=_vgg(f)),
    ),
    "stylex": Measure(
        "distance of X-ray styles",
        "low",
        "style",
        lambda s, f: StyleDistance(StyleX(f.get("stylex", "films"))),
    ),
}
""""lpips", "content" and "style" use downloaded backbones."""

DEFAULT = ("ssim", "psnr", "edges", "color", "restored", "drift")


def build_measures(
    names: Sequence[str], stylizer: Stylizer | None, files: Mapping[str, str]
) -> dict[str, PairMetric]:
    """Return the metrics that apply.

    Args:
        names: Keys of `MEASURES`.
        stylizer: The stylizer of the images; None if it is not available.
        files: Weights by backbone; others are downloaded.

    Raises:
        ValueError: If a name is unknown.
    """
    for name in names:
        check_choice("metrics", name, MEASURES)
    usable = [name for name in names if stylizer is not None or not MEASURES[name].needs_stylizer]
    return {name: MEASURES[name].build(stylizer, files) for name in usable}  # type: ignore[arg-type]
