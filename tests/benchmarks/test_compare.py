"""One comparison of all stylizers, on small made images."""

import argparse
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import compare, tables
from benchmarks.built import WITHOUT_DETAIL
from benchmarks.quality import read_kinds
from benchmarks.record import write_record
from styleaug import create_stylizer
from styleaug.features import FeatureExtractor
from styleaug.metrics import LPIPS
from styleaug.stylizers import STYLIZERS


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(0)
    for place, kind in enumerate(("breakhis", "fundus", "isic")):
        (root / kind).mkdir()
        for number in range(4):
            coarse = rng.integers(30 * place, 120 + 40 * place, (6, 7, 3)).astype(np.uint8)
            Image.fromarray(coarse).resize((210, 200), 3).save(root / kind / f"{number}.png")
    return root


def test_what_can_be_built_is_built_and_the_rest_says_why(tmp_path):
    found, missing = compare.build_all({})
    assert set(found) | set(missing) == set(STYLIZERS)
    assert {"colorist", "micro", "appearance"} <= set(found)
    assert {"contextual-adain", "rast", "style-kernel", "stylizing-vit-tiny"} <= set(found)
    assert missing["stylizing-vit-small"] == "weights are not at hand"
    _, missing = compare.build_all({"rast": str(tmp_path / "none.safetensors")})
    assert "none.safetensors" in missing["rast"]
    with pytest.raises(ValueError, match=r"stylizers of .* got \['rust'\]"):
        compare.build_all({"rust": "x"})


def test_those_that_put_detail_back_are_measured_without_it_too():
    found, _ = compare.build_all({}, without_detail=True)
    plain = [name for name in found if name.endswith(WITHOUT_DETAIL)]
    names = ("contextual-adain", "rast", "style-kernel", "stylizing-vit-tiny")
    assert plain == [f"{name}, without detail" for name in names]
    for name in names:
        assert found[name].detail is True
        assert found[name + WITHOUT_DETAIL].detail is False
        assert found[name].weights_id == found[name + WITHOUT_DETAIL].weights_id


def test_every_content_meets_its_own_kind_and_others(images):
    kinds = read_kinds(images, 2)
    pairs = compare.pairs_of(kinds)
    assert len(pairs) == 3 * 2 * 3
    for place, (name, crops) in enumerate(kinds.items()):
        styles = [style for content, style, _ in pairs if content is crops[0]]
        own = [any(style is crop for crop in kinds[name]) for style in styles]
        assert own == [True, False, False], place
    assert all(content is not style for content, style, _ in pairs)
    assert all(any(style is crop for crop in kinds[kind]) for _, style, kind in pairs)


def test_the_figures_tell_a_stylizer_from_doing_nothing(images):
    named = compare.pairs_of(read_kinds(images, 1))
    pairs = [(content, style) for content, style, _ in named]
    extractor = FeatureExtractor("vgg19", ["relu1_1"], weights=None)
    colorist, none = create_stylizer("colorist"), create_stylizer("colorist")
    none.stylize = lambda content, code: content
    outputs = {"nothing": none, "colorist": colorist}
    outputs = {name: compare.paint_all(each, pairs) for name, each in outputs.items()}
    table = compare.looks(outputs, pairs, extractor)
    nothing, found = table.values()
    assert list(table) == ["nothing", "colorist"]
    assert nothing["style"] == pytest.approx(1.0, abs=1e-4)
    assert nothing["edges"] > 0.999
    assert found["style"] < 0.3
    assert found["most clouds"] >= found["clouds"] >= 0.0
    cases = compare.known_answers(images, 1, 0)
    assert {case.style_of for case in cases} == {"same", "another"}
    assert compare.truths(none, cases) == {"truth": 0.0, "worse": 0.0}
    assert compare.truths(colorist, cases)["truth"] != 0.0
    silent = argparse.Namespace(lpips="", artfid=False, device="cpu")
    assert compare.distances(outputs["colorist"], named, {}, silent) == {}


def test_a_way_back_is_measured_and_an_image_in_its_own_style(images):
    kinds = read_kinds(images, 1)
    pairs = [(content, style) for content, style, _ in compare.pairs_of(kinds)]
    plain, dark = create_stylizer("colorist"), create_stylizer("colorist")
    found = compare.backwards(plain, compare.paint_all(plain, pairs), pairs)
    assert found["own style"] > 50.0  # it gives back what it was given
    assert 0.8 < found["restored"] <= 1.0
    dark.stylize = lambda content, code: 0.5 * content
    lost = compare.backwards(dark, compare.paint_all(dark, pairs), pairs)
    assert lost["restored"] < found["restored"]
    assert lost["own style"] < 20.0 < found["own style"]


def test_artfid_sees_that_nothing_was_done(images, monkeypatch):
    monkeypatch.setattr(compare, "LPIPS", lambda weights: LPIPS(weights=None))
    monkeypatch.setattr(compare, "EarlyFeatures", _Colors)
    kinds = read_kinds(images, 2)
    models = {kind: torch.cat(list(map(compare.squares, found))) for kind, found in kinds.items()}
    colorist, none = create_stylizer("colorist"), create_stylizer("colorist")
    none.stylize = lambda content, code: content
    asked = argparse.Namespace(lpips="any", artfid=True, device="cpu")
    named = compare.pairs_of(kinds)
    pairs = [(content, style) for content, style, _ in named]
    found, nothing = (
        compare.distances(compare.paint_all(each, pairs), named, models, asked)
        for each in (colorist, none)
    )
    assert nothing["lpips"] == 0.0
    assert 1.0 < found["artfid"] < 0.7 * nothing["artfid"]


def test_images_are_cut_into_squares():
    image = torch.arange(2 * 3 * 130 * 70.0).view(2, 3, 130, 70)
    found = compare.squares(image)
    assert found.shape == (4, 3, 64, 64)
    assert torch.equal(found[3], image[1, :, 64:128, :64])


class _Colors(torch.nn.Module):
    """Mean colours, ten times, as they would be features."""

    size = 3

    def forward(self, images):
        return 10.0 * images.mean(dim=(2, 3))


def test_memory_and_the_picture(images):
    used = compare.memory(create_stylizer("colorist"), "cpu", side=512)
    if sys.platform == "linux":
        assert 1.0 < used["peak mb"] < 200.0  # one image is 3 MB
    kinds = read_kinds(images, 1)
    stylizers = {"colorist": create_stylizer("colorist"), "mkl": create_stylizer("mkl")}
    picture = compare.sheet(stylizers, kinds, ["fundus", "isic:fundus"], "cpu")
    assert picture.width > 4 * 192
    assert 3 * 192 > picture.height > 2 * 192
    named = compare.sheet(stylizers, kinds, ["fundus", "isic:fundus=skin as fundus"], "cpu")
    assert named.size == picture.size
    assert named.tobytes() != picture.tobytes()  # the label
    whole = compare.sheet(stylizers, kinds, [], "cpu")
    assert whole.height < 2 * 192  # fundus alone is a kind of ROWS


def test_rows_of_the_picture_are_of_kinds_that_are_there():
    kinds = dict.fromkeys(("camelyon", "midog", "skin", "mine"), ())
    assert compare._at_hand(kinds) == list(compare.ROWS[:1] + compare.ROWS[2:3])
    assert compare._at_hand({"mine": (), "yours": ()}) == ["mine", "yours"]
    assert compare._row("a:b=a as b") == ("a", "b", "a as b")
    assert compare._row("a:b") == ("a", "b", "a in the style of b")
    assert compare._row("a") == ("a", "a", "a")


def test_the_record_becomes_the_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = f"before\n{tables.MARKS[0]}\nold\n{tables.MARKS[1]}\nafter\n"
    assert tables.readme(text) == text  # no record, no change
    row = {"style": 0.25, "edges": 0.9, "truth": 1.5, "peak mb": 12.0}
    results = {
        "pairs": 4, "cases": 2, "kinds": ["a", "b"], "missing": {"rast": "no weights published"},
        "table": {"colorist": row, "micro": {**row, "lpips": 0.1}},
    }  # fmt: skip
    write_record("compare", results, folder=tmp_path / "0.1.0")
    page = tables.page()
    assert "| `micro` | 0.25 | 0.9 | 0.1 | 1.5 | 12.0 |" in page
    assert "Not measured: `rast` (no weights published)." in page
    assert "restored" not in page
    assert "weights_id" not in page
    assert tables.readme(text).splitlines() == [
        "before",
        tables.MARKS[0],
        "",
        "|  | style, of the content's | edges | truth, dB |",
        "| --- | --- | --- | --- |",
        "| `colorist` | 0.25 | 0.9 | 1.5 |",
        "| `micro` | 0.25 | 0.9 | 1.5 |",
        "",
        tables.MARKS[1],
        "after",
    ]


def test_columns_and_weights_are_shown_where_the_record_has_them():
    shipped = create_stylizer("micro").weights_id
    row = {"style": 0.25, "restored": 0.9, "own style": 45.0, "truth": 1.5}
    results = {
        "pairs": 4, "cases": 2, "kinds": ["a"], "missing": {}, "table": {"micro": row, "old": row},
        "weights": {"micro": shipped, "old": "0123456789ab"},
    }  # fmt: skip
    text = tables._compare(results)
    assert f"`micro` {shipped}, `old` 0123456789ab (not those that ship now)." in text
    assert "|  | style, of the content's | restored, SSIM | own style, dB | truth, dB |" in text
    assert "| `micro` | 0.25 | 0.9 | 45.0 | 1.5 |" in text
    assert "restored" not in tables._compared(results, tables.SHORT)


def test_times_are_in_units_of_colorist():
    stylizers = {name: create_stylizer(name) for name in ("colorist", "reinhard")}
    found = compare.speeds(stylizers, "cpu", batch=1, side=32)
    assert found["colorist"] == 1.0
    assert found["reinhard"] > 0.0
