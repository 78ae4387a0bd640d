"""Advice: align where images lie apart from the styles and the network is less sure in them."""

import math

import pytest
import torch
from torch import nn

from styleaug import StyleBank
from styleaug.tta import StyleTTA, advise


class Level(nn.Module):
    """Two classes by the mean red of an image: sure far from ``middle``, unsure near it."""

    def __init__(self, middle, slope=30.0):
        super().__init__()
        self.middle, self.slope = middle, slope

    def forward(self, images):
        score = self.slope * (images[:, 0].mean(dim=(1, 2)) - self.middle)
        return torch.stack([score, -score], dim=1)


def _images(level, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    levels = level + 0.04 * torch.rand(count, 1, 1, 1, generator=generator)
    return (levels + 0.1 * torch.rand(count, 3, 32, 32, generator=generator)).clamp(0, 1)


@pytest.fixture(scope="module")
def bank():
    return StyleBank.from_images(_images(0.4, 12), "colorist")


def _tta(model, bank, **options):
    return StyleTTA(model, "colorist", bank, 3, select="nearest", **options)


def test_a_network_that_is_too_sure_of_other_images_is_aligned(bank):
    dark, doubtful_at_home = _images(0.0, 8, seed=1), Level(0.47)
    found = advise(_tta(doubtful_at_home, bank), dark.split(3))
    assert found.align
    assert found.distance > 1.5
    assert found.doubt > 0.3
    assert found.images == 8


def test_one_that_gets_surer_by_it_is_not(bank):
    found = advise(_tta(Level(0.07), bank), [_images(0.0, 8, seed=1)])
    assert not found.align
    assert found.distance > 1.5
    assert found.doubt < -0.3


def test_images_from_home_are_not_aligned_whatever_the_network(bank):
    home = _images(0.4, 8, seed=2)
    for middle in (0.07, 0.47):
        found = advise(_tta(Level(middle), bank), [home])
        assert not found.align
        assert found.distance < 1.5


def test_doubt_is_the_difference_of_entropies(bank):
    images, model = _images(0.1, 5, seed=3), Level(0.3, slope=6.0)
    tta = _tta(model, bank)
    each = {"activation": None, "merge": lambda values: values.transpose(0, 1)}
    views = _tta(model, bank, include_identity=False, **each)(images).flatten(0, 1)
    entropies = [
        -(probabilities * probabilities.log()).sum(dim=1).mean()
        for probabilities in (views.softmax(dim=1), model(images).softmax(dim=1))
    ]
    expected = float(entropies[0] - entropies[1])
    assert advise(tta, [images]).doubt == pytest.approx(expected, abs=1e-5)
    assert advise(tta, images.split(2)).doubt == pytest.approx(
        advise(tta, [images]).doubt, abs=1e-6
    )
    assert tta.n == 3
    assert tta.include_identity
    assert tta.accept is None


def test_dicts_maps_and_bytes_are_taken(bank):
    class Heads(nn.Module):
        def forward(self, images):
            values = images.float() / 64.0
            return {"map": values, "class": values.mean(dim=(2, 3))}

    images = _images(0.0, 4, seed=1)
    found = advise(_tta(Heads(), bank), [(255 * images).to(torch.uint8)])
    assert math.isfinite(found.doubt)
    assert advise(_tta(Heads(), bank, activation="sigmoid"), [images]).images == 4


def test_what_cannot_be_judged_is_refused(bank):
    with pytest.raises(ValueError, match="at least one batch"):
        advise(_tta(Level(0.4), bank), [])
    plain = StyleTTA(Level(0.4), "colorist", bank, 3, activation=None, merge="mean_logit")
    with pytest.raises(ValueError, match="'softmax' or 'sigmoid'"):
        advise(plain, [_images(0.4, 2)])
    alone = StyleTTA(Level(0.4), "colorist", bank[:1], 1)
    with pytest.raises(ValueError, match="two styles or more, got 1"):
        advise(alone, [_images(0.4, 2)])
    bare = StyleTTA(Level(0.4), "colorist", StyleBank(bank.code), 3)
    with pytest.raises(ValueError, match="statistics"):
        advise(bare, [_images(0.4, 2)])
