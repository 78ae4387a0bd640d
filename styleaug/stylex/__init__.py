"""StyleX: a learned similarity of X-ray styles, its pipelines, style selection and matching."""

from styleaug.appearance.pipelines import PIPELINES, LocalLaplacian, Pipeline, UnsharpTone
from styleaug.stylex.encoder import StyleX
from styleaug.stylex.matching import match_pipeline
from styleaug.stylex.selection import select_styles

__all__ = [
    "PIPELINES",
    "LocalLaplacian",
    "Pipeline",
    "StyleX",
    "UnsharpTone",
    "match_pipeline",
    "select_styles",
]
