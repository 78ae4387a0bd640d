"""Slices of MR are scaled by their volume, and two scanners of one slice are one picture."""

from itertools import cycle

import numpy as np
import pytest
import torch

from benchmarks import mr


@pytest.fixture(scope="module")
def volumes():
    return {name: mr.read_slices(*source) for name, source in mr.FILES.items()}


def test_every_file_is_read_and_fills_its_range(volumes):
    assert {name: len(slices) for name, slices in volumes.items()} == {
        "nibabel, example4d.nii.gz": 5,
        "nibabel, anatomical.nii": 5,
        "pydicom, examples_overlay.dcm": 2,
        "pydicom, MR_small.dcm": 2,
    }
    for slices in volumes.values():
        assert min(slices.shape[2:]) >= 128
        assert torch.equal(slices[:, 0], slices[:, 2])  # grey
        assert 0.0 <= slices.min() < 0.1 < 0.9 < slices.max() <= 1.0


def test_the_gain_of_a_scanner_is_gone_after_scaling(volumes):
    slices = volumes["nibabel, example4d.nii.gz"]
    assert torch.allclose(mr.by_percentiles(0.4 * slices), mr.by_percentiles(slices), atol=1e-5)
    found = mr.scaling({"one": slices}, 4, 0)
    assert found["scaled by percentiles"] > found["in units of the scanner"]


def test_the_answer_is_the_slice_as_the_other_scanner_shows_it(volumes, monkeypatch):
    scanners = cycle([lambda slices: 0.7 * slices**2, lambda slices: 0.5 * slices])
    monkeypatch.setattr(mr, "draw_scanner", lambda kind, rng: next(scanners))
    one, other = (volumes[name] for name in list(volumes)[::2])
    cases = list(mr.scanner_cases({"one": one, "other": other}, 1, 0))
    assert len(cases) == 4 * (len(one) + len(other))
    assert {(case.kind, case.style_of) for case in cases} == {
        (kind, style_of) for kind in (mr.PLAIN, mr.BIAS) for style_of in ("same", "another")
    }
    dark, plain, plain_other = (mr.by_percentiles(each) for each in (one**2, one, other))
    for index, case in enumerate(cases[: 4 * len(one)]):
        row = index // 4
        assert torch.allclose(case.content[0], dark[row], atol=1e-5)
        assert torch.allclose(case.truth[0], plain[row], atol=1e-5)
        pool = plain_other if case.style_of == "another" else plain
        found = [number for number, each in enumerate(pool) if torch.allclose(case.style[0], each)]
        assert len(found) == 1
        assert case.style_of == "another" or found != [row]


def test_scanners_are_drawn_again_from_the_seed_and_a_bias_field_darkens_the_border():
    slices = torch.full((2, 3, 64, 64), 0.5)
    draws = [mr.draw_scanner(mr.BIAS, np.random.default_rng(3))(slices) for _ in range(2)]
    assert torch.equal(*draws)
    field = draws[0][0, 0]
    assert field.max() > 1.1 * field.min()
    assert mr.draw_scanner(mr.PLAIN, np.random.default_rng(3))(slices)[0, 0].unique().numel() == 1
