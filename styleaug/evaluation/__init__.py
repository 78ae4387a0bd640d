"""Compare stylizers on image files: scores per pair, a table, and a report to look at.

It needs ``pip install 'styleaug[metrics]'``.
"""

from styleaug.evaluation.measures import MEASURES, Measure, build_measures
from styleaug.evaluation.report import write_report
from styleaug.evaluation.scores import Pair, Scores, pair_files, score_stylizer

__all__ = [
    "MEASURES",
    "Measure",
    "Pair",
    "Scores",
    "build_measures",
    "pair_files",
    "score_stylizer",
    "write_report",
]
