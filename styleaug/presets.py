"""Recommended settings by kind of image: a table, and the arguments made from it.

The figures behind every row are on the page of benchmarks ("Presets"), written from the records
that the rows name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TABLES = "noise becomes edges"
_FOURIER = "clouds of colour that the style has not"
_LESIONS = "of a lesion of +30 HU, 0.05 to 3 times the contrast was left"


@dataclass(frozen=True)
class Preset:
    """A row of the table.

    Attributes:
        stylizer: Name of the recommended stylizer.
        styles: Where its styles should come from, in words.
        alpha: Range of the strength.
        p: Probability that an image is stylized.
        value_range: Black and white in the unit of the images; None where they have 8 bits.
        avoid: What is not advised, and why.
        measured: Kinds of images in the records "truth" and "mr" that stand for this one; empty
            where it was not measured.
        changes: Kind of `styleaug.appearance.Appearance` that suits: changes of stain, light and
            sensor, or of windows and kernels, that need no style; empty where there is none.
        note: What else one should know.
    """

    stylizer: str
    styles: str
    alpha: tuple[float, float] = (0.3, 1.0)
    p: float = 0.5
    value_range: tuple[float, float] | None = None
    avoid: Mapping[str, str] = field(default_factory=dict)
    measured: tuple[str, ...] = ()
    changes: str = ""
    note: str = ""


PRESETS: Mapping[str, Preset] = {
    "he": Preset(
        "appearance",
        "tiles of other laboratories' slides, with tissue",
        avoid={
            "histogram": _TABLES,
            "fda": _FOURIER,
            "mkl": "tints glass on half-empty tiles, and one case in four gets worse",
        },
        measured=("midog", "breakhis", "tcga", "tcga, half-empty", "midog, half-empty"),
        changes="stained",
    ),
    "ihc": Preset(
        "appearance",
        "tiles of other scans or laboratories with the same marker",
        avoid={"histogram": _TABLES, "fda": _FOURIER},
        measured=("ihc a to b", "ihc b to a"),
        changes="stained",
        note="gains 1 dB, where the others gain 0.2 and lose 7 in the worst case. Of styles "
        "from another slide there is no record",
    ),
    "smear": Preset(
        "appearance",
        "smears of other laboratories, or other kinds of images where there are none",
        avoid={"histogram": _TABLES, "fda": _FOURIER},
        measured=("bccd",),
        changes="stained",
        note="aligned by it, classifiers without augmentation gained 17 points in other "
        "laboratories and lost none at home; in training, changes of appearance gained most. In "
        "segmentation they were as good as strong colour jitter. `micro` comes 2 dB nearer on "
        "average, and made some cases worse, this one none",
    ),
    "dermoscopy": Preset(
        "appearance",
        "images of other cameras, of the same type of skin",
        avoid={"histogram": _TABLES},
        measured=("isic",),
        changes="dermoscopy",
        note="in the style of another lesion it varies and does not align: 0.1 dB nearer on "
        "average, where `mkl` goes 3 dB away",
    ),
    "fundus": Preset(
        "appearance",
        "images of other cameras",
        avoid={"histogram": _TABLES},
        measured=("fundus",),
        changes="photograph",
        note="`mkl` gains 1 dB more; one case in eight got worse, with this one none",
    ),
    "xray": Preset(
        "micro",
        "films of other hospitals or processings",
        avoid={"histogram": _TABLES},
        measured=("cxr",),
        changes="xray",
        note="it gains 3 dB and lost 16 in the worst case; `appearance` gains 1.4 and lost 0.8",
    ),
    "ct": Preset(
        "appearance",
        "slices of other scanners, in the same window",
        value_range=(-160.0, 240.0),
        avoid={"histogram": _LESIONS, "fda": _LESIONS},
        measured=("ct_soft", "ct_lung"),
        changes="ct",
        note="the range is a soft-tissue window in Hounsfield units; give that of your task. Of a "
        "lesion of +30 HU, 0.83 to 1.10 times the contrast was left (96 pairs of slices; "
        "`colorist` 0.73 to 1.44)",
    ),
    "mr": Preset(
        "appearance",
        "slices of other scanners, of the same sequence",
        avoid={"histogram": _TABLES},
        measured=("mr", "mr, bias field"),
        note="intensities have no unit: scale by percentiles of the volume first, "
        '`window="percentile"` of files and in MONAI. In the style of another slice of the volume '
        "`colorist` gains 2 to 3 dB more; of another sequence it lost 16 in the worst case, this "
        "one 3",
    ),
    "fluorescence": Preset(
        "appearance",
        "images of the same stains; of another kind every stylizer did harm",
        avoid={
            "histogram": _TABLES,
            "micro": "half-way to a bright style no contrast is left",
            "mkl": "noise is brightened with the nuclei: half of the cases got worse",
        },
        measured=("fluorescence",),
        changes="fluorescence",
        note="in the style of another image it loses 1.4 dB on average, 21 in the worst case",
    ),
}
"""Recommendations by kind of image: stained tissue, smears, skin, retina, X-ray, CT, MR, and
fluorescence. Where it was measured (white blood cells), drawing ``alpha`` from 0.3 to 1 cost no
accuracy on images of the training domain. ``p`` is the default of `StyleTransfer` and was not
measured for each kind. Where both were measured, on white blood cells and nuclei across stains,
``changes`` in training gained more in other laboratories than styles did, and cost about a point
at home; on CT, in another window, they gained 12 points, colour jitter 16, and styles of that
window up to 17."""


def preset(kind: str, **changes: Any) -> dict[str, Any]:
    """Return the arguments that are recommended for a kind of image.

    They are keyword arguments of `StyleTransfer` and of the adapters of torchvision and
    Albumentations. MONAI calls ``p`` ``prob`` and ``value_range`` ``a_min`` and ``a_max``: there,
    take the fields of `PRESETS`. The styles you give yourself.

    Args:
        kind: "he", "ihc", "smear", "dermoscopy", "fundus", "xray", "ct", "mr" or "fluorescence".
        **changes: Arguments that replace those of the table or add to them.

    Raises:
        ValueError: If the kind is unknown; the message lists the known ones.

    Example:
        >>> from styleaug import StyleTransfer
        >>> transform = StyleTransfer(**preset("ct", styles="batch", value_range=(-1000, 400)))
        >>> transform.alpha, transform.value_range
        ((0.3, 1.0), (-1000.0, 400.0))
    """
    if kind not in PRESETS:
        raise ValueError(f"kind must be one of {list(PRESETS)}, got {kind!r}.")
    row = PRESETS[kind]
    found = {"stylizer": row.stylizer, "alpha": row.alpha, "p": row.p}
    if row.value_range is not None:
        found["value_range"] = row.value_range
    return {**found, **changes}
