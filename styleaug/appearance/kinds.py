"""Tables of all effects, and of the kinds of images they apply to."""

from __future__ import annotations

from collections.abc import Mapping

from styleaug.appearance.ct import Kernel, Window
from styleaug.appearance.dermoscopy import SkinTone, Veil
from styleaug.appearance.effect import Effect
from styleaug.appearance.exposure import Exposure
from styleaug.appearance.fluorescence import FluorescenceGain
from styleaug.appearance.gamma import ChannelGamma, Gamma
from styleaug.appearance.glass import Glass
from styleaug.appearance.illumination import Illumination
from styleaug.appearance.jpeg import Jpeg
from styleaug.appearance.noise import Noise
from styleaug.appearance.saturation import Saturation
from styleaug.appearance.sensor import SensorMatrix
from styleaug.appearance.sharpness import PointSpread, Sharpening
from styleaug.appearance.stain import StainAmounts, StainVectors
from styleaug.appearance.tone_curve import ToneCurve
from styleaug.appearance.white_balance import WhiteBalance
from styleaug.appearance.xray import FilmPyramid, FilmUnsharp

EFFECTS: Mapping[str, Effect] = {
    effect.name: effect
    for effect in (
        StainAmounts(),
        StainVectors(),
        SkinTone(),
        FluorescenceGain(),
        Veil(),
        Glass(),
        Illumination(),
        WhiteBalance(),
        Exposure(),
        PointSpread(),
        SensorMatrix(),
        Noise(),
        Gamma(),
        ChannelGamma(),
        ToneCurve(),
        Window(),
        Kernel(),
        FilmPyramid(),
        FilmUnsharp(),
        Saturation(),
        Sharpening(),
        Jpeg(),
    )
}
"""All effects in the order of image formation: specimen, light, optics, sensor, file."""

_CAMERA = (
    *("illumination", "white-balance", "exposure", "point-spread", "sensor", "noise", "gamma"),
    *("channel-gamma", "tone-curve", "saturation", "sharpening", "jpeg"),
)

KINDS: Mapping[str, tuple[str, ...]] = {
    "stained": ("stain-amounts", "stain-vectors", "glass", *_CAMERA),
    "dermoscopy": ("skin-tone", "veil", *_CAMERA),
    "photograph": _CAMERA,
    "fluorescence": (
        *("fluorescence", "illumination", "point-spread", "noise", "gamma", "sharpening"),
        "jpeg",
    ),
    "xray": (
        *("point-spread", "noise", "gamma", "tone-curve", "film-pyramid", "film-unsharp"),
        *("sharpening", "jpeg"),
    ),
    "ct": ("window", "kernel", "noise", "gamma", "sharpening"),
}
"""The effects that apply to each kind of image. "stained" is histology, cytology and blood smears;
"dermoscopy" and "photograph" are colour cameras (fundus: "photograph"). Grey images of the last
three kinds stay grey."""
