"""styleaug: style-transfer augmentation for PyTorch that keeps structures and labels."""

from styleaug.params import StyleParams
from styleaug.styles import BatchStyles, StyleBank, StyleSource
from styleaug.stylizers import StyleCode, Stylizer, create_stylizer, list_stylizers
from styleaug.transform import StyleTransfer
from styleaug.weights import Weights

__version__ = "0.1.0"

__all__ = [
    "BatchStyles",
    "StyleBank",
    "StyleCode",
    "StyleParams",
    "StyleSource",
    "StyleTransfer",
    "Stylizer",
    "Weights",
    "create_stylizer",
    "list_stylizers",
]
