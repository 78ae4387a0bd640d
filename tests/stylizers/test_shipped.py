"""The weights of ``styleaug-weights``: they are found by name, and what they paint is usable."""

import sys

import pytest
import torch

from styleaug import create_stylizer
from styleaug.functional import edge_correlation
from styleaug.images import to_content
from styleaug.samples import load_samples
from styleaug.stylizers import STYLIZERS
from styleaug.weights import EXTRA, fetch

SHIPPED = [
    (name, record.name)
    for name, entry in STYLIZERS.items()
    for record in entry.weights
    if record.package == EXTRA
]


@pytest.fixture(scope="module", params=SHIPPED, ids=" ".join)
def stylizer(request):
    name, weights = request.param
    return create_stylizer(name, weights=weights)


def test_without_the_distribution_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, EXTRA, None)
    for name, weights in SHIPPED:
        with pytest.raises(FileNotFoundError, match=r"pip install 'styleaug\[weights\]'"):
            create_stylizer(name, weights=weights)
