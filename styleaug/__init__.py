"""styleaug: style-transfer augmentation for PyTorch that keeps structures and labels.

The public names are imported when they are first asked for, so that ``styleaug --help`` need not
wait for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from styleaug.auditing import audit
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
    "audit",
    "create_stylizer",
    "list_stylizers",
]

_HOMES = {
    "styleaug.auditing": ("audit",),
    "styleaug.params": ("StyleParams",),
    "styleaug.styles": ("BatchStyles", "StyleBank", "StyleSource"),
    "styleaug.stylizers": ("StyleCode", "Stylizer", "create_stylizer", "list_stylizers"),
    "styleaug.transform": ("StyleTransfer",),
    "styleaug.weights": ("Weights",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(home), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
