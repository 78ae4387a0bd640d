"""Sources of styles: banks, batches, and the choice of representative images."""

from styleaug.styles.bank import StyleBank
from styleaug.styles.medoids import color_statistics, find_medoids
from styleaug.styles.source import BatchStyles, Styles, StyleSource, as_style_source

__all__ = [
    "BatchStyles",
    "StyleBank",
    "StyleSource",
    "Styles",
    "as_style_source",
    "color_statistics",
    "find_medoids",
]
