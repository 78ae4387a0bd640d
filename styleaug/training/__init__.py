"""The trainer of stylizers: it makes weights from folders of images.

`TrainConfig` needs nothing but the core; `Trainer` needs ``pip install 'styleaug[train]'`` and is
imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from styleaug.training.config import TrainConfig

if TYPE_CHECKING:
    from styleaug.training.trainer import Trainer

__all__ = ["TrainConfig", "Trainer"]


def __getattr__(name: str) -> Any:
    if name == "Trainer":
        return import_module("styleaug.training.trainer").Trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
