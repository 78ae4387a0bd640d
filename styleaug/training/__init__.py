"""The companion trainer: builds the weights of the stylizers from folders of images."""

from styleaug.training.config import TrainConfig
from styleaug.training.trainer import Trainer

__all__ = ["TrainConfig", "Trainer"]
