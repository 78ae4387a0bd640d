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
        more: What is seen where its parameters rise.
        less: What is seen where they fall.
        mixed: What is seen where some rise and some fall; empty if the first one decides.
        parameters: How many parameters, from the first, make up its strength. Those after them
            only shape it, as the pivot of a curve does.
    """

    name: str
    meaning: str
    more: str
    less: str
    mixed: str = ""
    parameters: int = 1


WORDS: Mapping[str, Words] = {
    "stain-amounts": Words(
        "amount of stain",
        "Stained longer or shorter, or cut thicker or thinner.",
        "more stain",
        "less stain",
        "other proportions of the stains",
        3,
    ),
    "stain-vectors": Words(
        "colour of the stains",
        "Another batch, pH or age of the dyes, or another lamp.",
        "other stain colours",
        "other stain colours",
        "other stain colours",
        6,
    ),
    "skin-tone": Words(
        "skin tone",
        "Skin with more or less melanin and blood.",
        "darker skin",
        "lighter skin",
        "",
        2,
    ),
    "fluorescence": Words(
        "gain and background",
        "Another gain of the detector, or other background light.",
        "brighter signal",
        "weaker signal",
        "",
        2,
    ),
    "veil": Words(
        "reflected light",
        "Light that the surface reflects, as without a polariser.",
        "more reflected light",
        "less reflected light",
    ),
    "glass": Words(
        "colour of empty glass",
        "Another lamp, or other glass.",
        "brighter glass",
        "darker glass",
        "another colour of the glass",
        3,
    ),
    "illumination": Words(
        "uneven light",
        "Light that falls off towards the border.",
        "darker borders",
        "brighter borders",
    ),
    "white-balance": Words(
        "white balance",
        "The camera takes another colour for white.",
        "redder",
        "bluer",
        "",
        2,
    ),
    "exposure": Words(
        "exposure",
        "More or less light on the sensor.",
        "brighter",
        "darker",
        "",
        2,
    ),
    "point-spread": Words(
        "blur",
        "Out of focus, or coarser optics.",
        "blurred",
        "sharper",
    ),
    "sensor": Words(
        "colours of the camera",
        "The sensor mixes red, green and blue in another way.",
        "other camera colours",
        "other camera colours",
        "other camera colours",
        6,
    ),
    "noise": Words(
        "noise",
        "A noisier sensor, or less light.",
        "noisier",
        "less noisy",
        "",
        2,
    ),
    "gamma": Words(
        "brightness of mid-tones",
        "Another curve from light to stored values.",
        "darker mid-tones",
        "brighter mid-tones",
    ),
    "channel-gamma": Words(
        "colour of mid-tones",
        "Such a curve for red, green and blue, each its own.",
        "darker mid-tones",
        "brighter mid-tones",
        "tinted mid-tones",
        3,
    ),
    "tone-curve": Words(
        "contrast",
        "A preset of the camera with more or less contrast in the mid-tones.",
        "more contrast",
        "less contrast",
    ),
    "window": Words(
        "CT window",
        "Another centre or width of the window.",
        "a higher window",
        "a lower window",
        "",
        2,
    ),
    "kernel": Words(
        "reconstruction kernel",
        "A sharper or smoother kernel.",
        "a sharper kernel",
        "a smoother kernel",
        "",
        2,
    ),
    "film-pyramid": Words(
        "film, local contrast",
        "Processing of the film that evens out light and dark regions.",
        "other local contrast",
        "other local contrast",
    ),
    "film-unsharp": Words(
        "film, sharpening",
        "Processing of the film that sharpens and raises contrast.",
        "sharper film",
        "softer film",
    ),
    "saturation": Words(
        "strength of colours",
        "Colours nearer to grey, or further from it.",
        "stronger colours",
        "paler colours",
    ),
    "sharpening": Words(
        "sharpening",
        "Sharpened by software of the scanner.",
        "sharpened",
        "softened",
    ),
    "jpeg": Words(
        "compression",
        "Stored as JPEG with losses.",
        "less compressed",
        "more compressed",
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
    words = WORDS[effect]
    parameters = EFFECTS[effect].parameters[: words.parameters if words.mixed else 1]
    pairs = zip(parameters, values, strict=False)
    rises = {value > item.neutral for item, value in pairs if value != item.neutral}
    if len(rises) > 1:
        return words.mixed
    return words.less if rises == {False} else words.more


def strength_of(effect: str, values: Sequence[float]) -> float:
    """Return the strength of an effect: 0 is neutral, 1 the end of its range.

    The parameter that is furthest along its way counts.

    Example:
        >>> strength_of("exposure", (-0.3, 0.0))
        0.5
    """
    parameters = EFFECTS[effect].parameters[: WORDS[effect].parameters]
    return max(_share(item, value) for item, value in zip(parameters, values, strict=False))


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


def _share(parameter: Parameter, value: float) -> float:
    """Return how far a value is on the way from neutral to the end of the range on its side."""
    end = parameter.high if value > parameter.neutral else parameter.low
    if end == parameter.neutral:
        return 0.0
    if parameter.log:
        return math.log(value / parameter.neutral) / math.log(end / parameter.neutral)
    return (value - parameter.neutral) / (end - parameter.neutral)
