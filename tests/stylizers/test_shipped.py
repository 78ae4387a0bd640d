"""The weights of ``styleaug-weights``: they are found by name, and what they paint is usable."""

import itertools
import sys

import pytest
import torch

from styleaug import create_stylizer
from styleaug.evaluation.scores import read_sized
from styleaug.functional import edge_correlation
from styleaug.samples import sample_images
from styleaug.stylizers import STYLIZERS
from styleaug.weights import EXTRA

SHIPPED = [
    (name, record.name)
    for name, entry in STYLIZERS.items()
    for record in entry.weights
    if record.package == EXTRA
]

UNEVEN = {"stylizing-vit-tiny": 0.075}
"""Largest deviation of a painted image that is flat all over, where it is over 0.01: tiny knows
where its patches are, and paints a slope and a border where nothing else is to be seen."""

EDGES = {"style-kernel": 0.72}
"""Least mean correlation of edges, where it is under 0.82."""


@pytest.fixture(scope="module", params=SHIPPED, ids=" ".join)
def stylizer(request):
    name, weights = request.param
    return create_stylizer(name, weights=weights)


@pytest.fixture
def samples(request):
    images = [read_sized(path, 160)[..., :160, :160] for path in sample_images()]
    grey = "ct" in request.node.name  # those weights have seen grey images alone
    return [image.mean(dim=1, keepdim=True).expand_as(image) if grey else image for image in images]


def test_without_the_distribution_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, EXTRA, None)
    for name, weights in SHIPPED:
        with pytest.raises(FileNotFoundError, match=r"pip install 'styleaug\[weights\]'"):
            create_stylizer(name, weights=weights)


def test_flat_ground_stays_flat_up_to_the_border(stylizer, samples):
    for style, grey in itertools.product(samples[::2], (0.1, 0.5, 0.95)):
        painted = stylizer.stylize(torch.full((1, 3, 96, 128), grey), stylizer.encode_style(style))
        assert painted.std(dim=(2, 3)).max() < UNEVEN.get(stylizer.name, 0.01)


def test_edges_stay_and_the_style_arrives(stylizer, samples):
    kept, nearer = [], []
    for content, style in itertools.permutations(samples, 2):
        painted = stylizer.stylize(content, stylizer.encode_style(style))
        kept.append(edge_correlation(painted, content).item())
        means = [image.mean(dim=(2, 3)) for image in (content, painted, style)]
        before, after = ((mean - means[2]).norm() for mean in means[:2])
        nearer.append((after / before).item())
    assert sum(kept) / len(kept) > EDGES.get(stylizer.name, 0.82)
    grey = all(torch.equal(image[:, :1], image[:, 1:2]) for image in samples)
    assert sum(nearer) / len(nearer) < (0.85 if grey else 0.65)  # greys differ little in mean


def test_an_image_in_its_own_style_is_itself(stylizer, samples):
    for content in samples[:3]:
        painted = stylizer.stylize(content, stylizer.encode_style(content))
        assert (painted - content).abs().mean() < 0.09
