"""``styleaug evaluate``: scores, tables, report; resumed, and with broken files."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug import create_stylizer
from styleaug.cli import main
from styleaug.evaluation import MEASURES, build_measures, pair_files, scores
from styleaug.metrics import SSIM


@pytest.fixture
def folders(tmp_path):
    for seed, name in enumerate(("contents", "styles")):
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(seed)
        for index in range(3):
            pixels = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((60, 48)).save(tmp_path / name / f"{index}.png")
    return tmp_path


def _run(folders, *more):
    words = ["evaluate", "--content", folders / "contents", "--style", folders / "styles"]
    return main([str(word) for word in (*words, "-o", folders / "report", *more)])


def _summary(folders):
    return json.loads((folders / "report" / "summary.json").read_text())


def test_the_report_holds_what_the_metrics_say(folders):
    assert _run(folders, "--stylizer", "colorist") == 0
    report = folders / "report"
    table = _summary(folders)
    assert list(table) == ["colorist", "reinhard", "mkl", "histogram", "fda"]
    metric, stylizer = SSIM(), create_stylizer("colorist")
    for pair in pair_files([str(folders / "contents")], [str(folders / "styles")], 0):
        content, style = (scores.read_sized(path, 256) for path in (pair.content, pair.style))
        metric.update(stylizer.stylize(content, stylizer.encode_style(style)), content)
    assert table["colorist"]["ssim"]["mean"] == pytest.approx(metric.compute().item(), abs=1e-5)
    rows = list(csv.DictReader((report / "scores.csv").read_text().splitlines()))
    assert len(rows) == 15
    assert {"stylizer", "content", "ssim", "edges", "color", "drift"} <= set(rows[0])
    page = (report / "report.html").read_text()
    assert page.count("<svg") == 6
    assert page.count("data:image/jpeg;base64") == 7  # a sheet, and the worst cases of six
    assert "http" not in page  # it needs no network
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    boxed = page.count('<div class="wide"><table') + page.count("<div class='wide'><svg")
    assert boxed == 7  # what is wider than a phone scrolls in a box of its own
    assert page.count('<figure class="wide"><img') == 7
    with Image.open(report / "grid.png") as sheet:
        assert sheet.width > 800


def test_a_second_run_computes_nothing_again(folders, monkeypatch):
    assert _run(folders) == 0
    first = _summary(folders)
    known = (folders / "report" / "scores.jsonl").read_text()
    monkeypatch.setattr(scores.Scores, "add", lambda *_: pytest.fail("computed again"))
    assert _run(folders) == 0
    assert _summary(folders) == first
    assert (folders / "report" / "scores.jsonl").read_text() == known


def test_a_stopped_run_goes_on_and_survives_a_torn_line(folders):
    assert _run(folders) == 0
    first, file = _summary(folders), folders / "report" / "scores.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:4]) + "\n" + lines[4][:30])
    assert _run(folders) == 0
    assert _summary(folders) == first


def test_images_made_elsewhere_are_scored_beside(folders):
    made = folders / "made"
    made.mkdir()
    for path in (folders / "contents").iterdir():
        shutil.copy(path, made)  # not stylized at all
    assert _run(folders, "--stylized", made) == 0
    row = _summary(folders)["made"]
    assert row["ssim"]["mean"] == pytest.approx(1.0, abs=1e-4)
    assert row["edges"]["mean"] == pytest.approx(1.0, abs=1e-4)
    assert "drift" not in row
    assert "<td>–</td>" in (folders / "report" / "report.html").read_text()


def test_broken_files_are_named_and_the_rest_is_done(folders, capsys):
    (folders / "contents" / "broken.png").write_bytes(b"no image")
    assert _run(folders) == 1
    assert "broken.png" in capsys.readouterr().err
    rows = list(csv.DictReader((folders / "report" / "scores.csv").read_text().splitlines()))
    assert len({row["content"] for row in rows}) == 3


def test_wrong_arguments_are_refused(folders, capsys):
    for words, message in (
        (("--metrics", "beauty"), "metrics must be one of"),
        (("--size", "8"), "--size must be at least 32"),
        (("--stylized", folders / "nowhere"), "--stylized must be a folder"),
        (("--stylizer", "micro", "colorist", "--weights", "x"), "--weights needs one"),
    ):
        assert _run(folders, *words) == 2
        assert message in capsys.readouterr().err.replace("\n", " ")


def test_every_measure_can_be_built_without_a_network(monkeypatch):
    monkeypatch.setattr("styleaug.evaluation.measures._vgg", lambda files: None)
    names = [name for name in MEASURES if name != "lpips"]
    built = build_measures(names, create_stylizer("colorist"), {})
    image = torch.rand(1, 3, 64, 64)
    assert all(torch.isfinite(metric.measure(image, image)).all() for metric in built.values())
    assert built["stylex"].measure(image, image) < 1e-5 < built["stylex"].measure(image**2, image)
    assert "drift" not in build_measures(names, None, {})
