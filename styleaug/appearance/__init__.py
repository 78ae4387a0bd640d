"""Appearances: how laboratories, scanners, cameras and file formats change a picture.

One module per idea, each with its ranges, units and sources. `Appearance` draws from them as an
augmentation, `change_appearance` applies params, and `EFFECTS` and `KINDS` are the tables of
effects.
"""

from styleaug.appearance.effect import Effect, Parameter
from styleaug.appearance.kinds import EFFECTS, KINDS
from styleaug.appearance.params import AppearanceParams
from styleaug.appearance.transform import Appearance, change_appearance

__all__ = [
    "EFFECTS",
    "KINDS",
    "Appearance",
    "AppearanceParams",
    "Effect",
    "Parameter",
    "change_appearance",
]
