"""The figures of ``benchmarks.truth`` see what they are for."""

import math
import time

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.answers import glass_of, kind_of, made_cases, registered_cases
from benchmarks.truth import clouds, grain, measure, psnr, tabulate
from styleaug.samples import sample_images

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def picture():
    with Image.open(sample_images()[0]) as image:
        array = np.asarray(image.convert("RGB").resize((160, 160))) / 255.0
    return torch.from_numpy(array).permute(2, 0, 1)[None].float()


@pytest.fixture
def pairs(tmp_path, picture):
    """Two slides of three registered tiles each."""
    for side, gain in (("a", 1.0), ("b", 0.8)):
        for slide in ("s1", "s2"):
            for tile in range(3):
                path = tmp_path / side / f"{slide}_{tile}.png"
                path.parent.mkdir(exist_ok=True)
                shifted = torch.roll(picture, 20 * tile, dims=3) * gain
                pixels = shifted[0].permute(1, 2, 0).mul(255).round().byte().numpy()
                Image.fromarray(pixels).save(path)
    return tmp_path


def test_psnr_is_its_formula():
    assert psnr(torch.full((1, 3, 8, 8), 0.6), torch.full((1, 3, 8, 8), 0.5)) == pytest.approx(20.0)
    half = torch.zeros(1, 1, 8, 8)
    half[..., :4] = 1.0
    one_side = torch.full((1, 3, 8, 8), 0.5) + 0.1 * half
    assert psnr(one_side, torch.full((1, 3, 8, 8), 0.5), 1 - half) == 60.0


def test_clouds_are_seen_and_maps_of_colours_are_not(picture):
    mapped = (picture**1.5 * torch.tensor([0.9, 0.7, 1.0]).view(1, 3, 1, 1)).clamp(0, 1)
    across = torch.linspace(0, 6.28, 160).sin().view(1, 1, 1, -1)
    cloudy = mapped + 0.05 * across * torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1, 1)
    assert clouds(mapped, picture) < 0.6
    assert clouds(cloudy, picture) > 3.0


def test_grain_is_seen_on_even_ground_alone():
    drawn = torch.Generator().manual_seed(0)
    busy = torch.rand(1, 3, 96, 64, generator=drawn)
    content = torch.cat([busy, torch.full((1, 3, 96, 64), 0.8)], dim=3)
    noise = 0.04 * torch.randn(1, 3, 96, 128, generator=drawn)
    left = (torch.arange(128) < 64).float()
    assert 8.0 < grain(content + noise, content) < 11.0  # 255 * 0.04, less what a blur keeps
    assert grain(content + left * noise, content) < 1.0
    assert grain(0.5 * content**2, content) < 0.5
    assert math.isnan(grain(busy, busy))


def test_registered_pairs_go_both_ways_with_styles_of_the_other_side(pairs):
    cases = list(registered_cases(pairs, r"^s\d", 100, 0))
    assert len(cases) == 2 * 6 * 3
    assert {case.style_of for case in cases} == {"same", "another", "oracle"}
    ahead = [case for case in cases if case.kind.endswith("a to b")]
    for case in ahead:
        assert torch.allclose(case.truth, 0.8 * case.content, atol=0.01)
        assert case.style.max() < 0.85
        if case.style_of == "same":
            assert not torch.equal(case.style, case.truth)
    with pytest.raises(ValueError, match="slide must be found"):
        list(registered_cases(pairs, r"^case", 100, 0))


def test_made_pairs_have_an_answer_and_another_crop_as_style(tmp_path, picture):
    for index in range(2):
        path = tmp_path / "stained_x" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = (255 * picture[0].permute(1, 2, 0)).round().byte().numpy()
        Image.fromarray(pixels).resize((300, 300)).save(path)
    cases = list(made_cases(tmp_path, 3, 0))
    again = list(made_cases(tmp_path, 3, 0))
    assert all(torch.equal(a.truth, b.truth) for a, b in zip(cases, again, strict=True))
    labels = {(case.kind, case.style_of) for case in cases}
    assert ("stained_x, half-empty", "same") in labels
    oracle = [case for case in cases if case.style_of == "oracle"]
    assert all(torch.equal(case.style, case.truth) for case in oracle)
    half = next(case for case in cases if case.empty is not None)
    assert 0.4 < float(half.empty.mean()) < 0.6


def test_figures_know_a_perfect_painter_from_nothing(pairs):
    case = next(registered_cases(pairs, r"^s\d", 1, 0))
    painters = {"nothing": lambda c, s: c, "perfect": lambda c, s, t=case.truth: t}
    rows = measure(case, painters, 0)
    assert rows[1]["psnr"] == 60.0
    assert rows[1]["ciede2000"] < 0.01 < rows[0]["ciede2000"]
    assert rows[0]["over nothing"] == 0.0
    table = tabulate(rows)["groups"]["registered, style of same"]
    assert table["perfect"]["worse"] == 0.0


def test_milliseconds_are_the_median_of_the_pictures(pairs):
    seconds = iter((0.0, 0.3, 0.0))

    def paint(content, style):
        time.sleep(next(seconds))
        return content

    case = next(registered_cases(pairs, r"^s\d", 1, 0))
    rows = [row for number in range(3) for row in measure(case, {"slow": paint}, number)]
    found = tabulate(rows)["groups"]["registered, style of same"]["slow"]
    assert max(row["ms"] for row in rows) >= 300.0
    assert found["ms"] == pytest.approx(sorted(row["ms"] for row in rows)[1], abs=1e-3)


def test_glass_is_what_both_scans_show_as_bright_and_colourless():
    tile = torch.full((1, 3, 64, 64), 0.9)
    tile[..., :32] = torch.tensor([0.6, 0.3, 0.6]).view(1, 3, 1, 1)
    empty = glass_of(tile, 0.95 * tile)
    assert 0.35 < float(empty.mean()) < 0.5
    assert glass_of(tile, 0.7 * tile) is None


@pytest.mark.parametrize(
    ("folder", "kind"), [("purple_on_white", "stained"), ("ct_lung", "ct"), ("cats", "photograph")]
)
def test_folders_name_their_kind(folder, kind):
    assert kind_of(folder) == kind
