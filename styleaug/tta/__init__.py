"""Test-time augmentation: predict under several styles of the training images, and merge."""

from styleaug.tta.advice import Advice, advise
from styleaug.tta.guard import KeepsEdges, KeepsStructure, Restores
from styleaug.tta.merging import StyleStats
from styleaug.tta.wrapper import StyleTTA

__all__ = [
    "Advice",
    "KeepsEdges",
    "KeepsStructure",
    "Restores",
    "StyleStats",
    "StyleTTA",
    "advise",
]
