"""Changes in plain words, for readers who do not know the library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from styleaug.appearance import EFFECTS
from styleaug.appearance.effect import Parameter
from styleaug.auditing.changes import LABORATORY, NOTHING, STYLE, WORST


@dataclass(frozen=True)
class Words:
    """Plain words for an effect.

    Attributes:
        name: Short name.
        meaning: What it imitates, one sentence.
        seen: What is seen where a parameter falls, and where it rises: one pair per parameter that
            makes up the strength, from the first. Parameters after them only shape the effect, as
            the pivot of a curve does.
        mixed: What is seen where some parameters rise and others fall, of effects whose parameters
            are alike; the first pair then stands for all. Empty: the strongest parameter decides.
    """

    name: str
    meaning: str
    seen: tuple[tuple[str, str], ...]
    mixed: str = ""


_STAINS = ("other stain colours",) * 2
_COLOURS = ("other camera colours",) * 2
_NOISY = ("noisier",) * 2
_KERNEL = ("a smoother kernel", "a sharper kernel")

WORDS: Mapping[str, Words] = {
    "stain-amounts": Words(
        "amount of stain",
        "Stained longer or shorter, or cut thicker or thinner.",
        (("less stain", "more stain"),) * 3,
        "other proportions of the stains",
    ),
    "stain-vectors": Words(
        "colour of the stains",
        "Another batch, pH or age of the dyes, or another lamp.",
        (_STAINS,) * 6,
        _STAINS[0],
    ),
    "skin-tone": Words(
        "skin tone",
        "Skin with more or less melanin and blood.",
        (("lighter skin", "darker skin"), ("paler skin", "redder skin")),
    ),
    "fluorescence": Words(
        "gain and background",
        "Another gain of the detector, or other background light.",
        (("weaker signal", "stronger signal"), ("darker background", "brighter background")),
    ),
    "veil": Words(
        "reflected light",
        "Light that the surface reflects, as without a polariser.",
        (("less reflected light", "more reflected light"),),
    ),
    "glass": Words(
        "colour of empty glass",
        "Another lamp, or other glass.",
        (("darker glass", "brighter glass"),) * 3,
        "another colour of the glass",
    ),
    "illumination": Words(
        "uneven light",
        "Light that falls off towards the border.",
        (("brighter borders", "darker borders"),),
    ),
    "white-balance": Words(
        "white balance",
        "The camera takes another colour for white.",
        (("bluer", "redder"), ("more magenta", "greener")),
    ),
    "exposure": Words(
        "exposure",
        "More or less light on the sensor, or another black level.",
        (("darker", "brighter"), ("deeper black", "paler black")),
    ),
    "point-spread": Words("blur", "Out of focus, or coarser optics.", (("sharper", "blurred"),)),
    "sensor": Words(
        "colours of the camera",
        "The sensor mixes red, green and blue in another way.",
        (_COLOURS,) * 6,
        _COLOURS[0],
    ),
    "noise": Words("noise", "A noisier sensor, or less light.", (_NOISY, _NOISY)),
    "gamma": Words(
        "brightness of mid-tones",
        "Another curve from light to stored values.",
        (("brighter mid-tones", "darker mid-tones"),),
    ),
    "channel-gamma": Words(
        "colour of mid-tones",
        "Such a curve for red, green and blue, each its own.",
        (("brighter mid-tones", "darker mid-tones"),) * 3,
        "tinted mid-tones",
    ),
    "tone-curve": Words(
        "contrast",
        "A preset of the camera with more or less contrast in the mid-tones.",
        (("less contrast", "more contrast"),),
    ),
    "window": Words(
        "CT window",
        "Another centre or width of the window.",
        (("a lower window", "a higher window"), ("a narrower window", "a wider window")),
    ),
    "kernel": Words("reconstruction kernel", "A sharper or smoother kernel.", (_KERNEL, _KERNEL)),
    "film-pyramid": Words(
        "film, local contrast",
        "Processing of the film that evens out light and dark regions.",
        (("other local contrast",) * 2,),
    ),
    "film-unsharp": Words(
        "film, sharpening",
        "Processing of the film that sharpens and raises contrast.",
        (("other sharpening of the film",) * 2,),
    ),
    "saturation": Words(
        "strength of colours",
        "Colours nearer to grey, or further from it.",
        (("paler colours", "stronger colours"),),
    ),
    "sharpening": Words(
        "sharpening", "Sharpened by software of the scanner.", (("softened", "sharpened"),)
    ),
    "jpeg": Words(
        "compression", "Stored as JPEG with losses.", (("more compressed", "less compressed"),)
    ),
}
"""Plain words for every effect."""

_WHOLE = {
    LABORATORY: ("other laboratories", "Several changes at once, the same for all images."),
    STYLE: ("styles of the bank", "Painted in the style of an image from another place."),
    WORST: (WORST, "Several changes at once, searched to be bad for this model."),
}


def kind_title(kind: str) -> str:
    """Return the plain name of a kind of change.

    Example:
        >>> kind_title("laboratory"), kind_title("stain-vectors")
        ('other laboratories', 'colour of the stains')
    """
    if kind in _WHOLE:
        return _WHOLE[kind][0]
    return kind if kind == NOTHING else WORDS[kind].name


def kind_meaning(kind: str) -> str:
    """Return a sentence on what a kind of change imitates.

    Example:
        >>> kind_meaning("jpeg")
        'Stored as JPEG with losses.'
    """
    return _WHOLE[kind][1] if kind in _WHOLE else WORDS[kind].meaning


def is_single(kind: str) -> bool:
    """Return whether a kind of change is one effect alone."""
    return kind not in _WHOLE and kind != NOTHING


def seen_change(effect: str, values: Sequence[float]) -> str:
    """Return what is seen of an effect with these values, in words.

    Example:
        >>> seen_change("exposure", (-0.25, 0.01)), seen_change("glass", (0.9, 1.0, 0.9))
        ('darker', 'darker glass')
    """
    words, shares = WORDS[effect], _shares(effect, values)
    rises = [
        value > parameter.neutral
        for parameter, value in zip(EFFECTS[effect].parameters, values, strict=True)
    ]
    if not words.mixed:
        strongest = shares.index(max(shares))
        return words.seen[strongest][rises[strongest]]
    moved = {rise for rise, share in zip(rises, shares, strict=False) if share}
    return words.mixed if len(moved) > 1 else words.seen[0][True in moved]


def strength_of(effect: str, values: Sequence[float]) -> float:
    """Return the strength of an effect: 0 is neutral, 1 the end of its range.

    The parameter that is furthest along its way counts.

    Example:
        >>> strength_of("exposure", (-0.3, 0.0))
        0.5
    """
    return max(_shares(effect, values))


def percent(share: float) -> str:
    """Return a share as a percentage of two digits or three.

    Example:
        >>> percent(0.0156), percent(1.0)
        ('1.6 %', '100 %')
    """
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


def change_words(effect: str, values: Sequence[float]) -> str:
    """Return what is seen of an effect, and its strength.

    Example:
        >>> change_words("exposure", (-0.3, 0.0))
        'darker 50 %'
    """
    return f"{seen_change(effect, values)} {percent(strength_of(effect, values))}"


def appearance_words(values: Mapping[str, Sequence[float]]) -> str:
    """Return the effects of an appearance in words, the strongest first.

    Example:
        >>> appearance_words({"exposure": (-0.3, 0.0), "point-spread": (1.7,), "jpeg": (100.0,)})
        'blurred 100 %, darker 50 %'
    """
    graded = [
        (strength_of(effect, row), change_words(effect, row)) for effect, row in values.items()
    ]
    return ", ".join(text for share, text in sorted(graded, key=lambda one: -one[0]) if share > 0)


def _shares(effect: str, values: Sequence[float]) -> list[float]:
    """Return the strength of each parameter that counts."""
    parameters = EFFECTS[effect].parameters[: len(WORDS[effect].seen)]
    return [_share(parameter, value) for parameter, value in zip(parameters, values, strict=False)]


def _share(parameter: Parameter, value: float) -> float:
    """Return how far a value is on the way from neutral to the end of the range on its side."""
    end = parameter.high if value > parameter.neutral else parameter.low
    if end == parameter.neutral:
        return 0.0
    if parameter.log:
        return math.log(value / parameter.neutral) / math.log(end / parameter.neutral)
    return (value - parameter.neutral) / (end - parameter.neutral)
