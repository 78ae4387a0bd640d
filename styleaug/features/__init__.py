"""Frozen networks that describe images: backbones of torchvision, AdaIN's VGG-19, LPIPS."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from styleaug.features.extractor import (
        BACKBONES,
        IMAGENET_MEAN,
        IMAGENET_STD,
        FeatureExtractor,
    )

__all__ = ["BACKBONES", "IMAGENET_MEAN", "IMAGENET_STD", "FeatureExtractor"]


def __getattr__(name: str) -> Any:
    """Import the extractor when it is asked for: it alone needs torchvision."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("styleaug.features.extractor"), name)
