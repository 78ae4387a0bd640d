"""What an audit says of training again: what was measured, and what the records hold."""

import html
import json
from pathlib import Path

import pytest
import torch
from scipy.stats import t

import styleaug
from benchmarks.tables import newest
from styleaug.appearance import Appearance
from styleaug.auditing.evidence import AUDITED, CLASSES, MASKS, series_text
from styleaug.styles.medoids import color_statistics

FAST = {"laboratories": 2, "search": 2, "trial": (), "describe": color_statistics}
CHANGES = "changes of appearance of every second image"


def brighter(images):
    """Scores of a model that thresholds the mean brightness at one half."""
    light = images.mean((1, 2, 3))
    return 8.0 * torch.stack([0.5 - light, light - 0.5], dim=1)


def nothing_of_light(images):
    """Scores of a model that always says the second class."""
    return torch.tensor([[0.0, 8.0]]).expand(len(images), 2)


@pytest.fixture
def lights():
    """Images around the threshold, and their labels."""
    generator = torch.Generator().manual_seed(1)
    level = torch.linspace(0.35, 0.62, 16).view(-1, 1, 1, 1)
    images = (level + 0.05 * torch.rand(16, 3, 16, 16, generator=generator)).clamp(0, 1)
    return images, (images.mean((1, 2, 3)) > 0.5).long()


def _results(name):
    return json.loads(newest(name)[-1].read_text())["results"]


def test_the_same_model_again_gains_nothing(lights):
    found = styleaug.audit(brighter, [lights], "ct", retrain=lambda augment: brighter, **FAST)
    kinds = {row["kind"] for row in found.kinds} - {"worst found"}
    assert {row["kind"] for row in found.retrained} == {"as it is"} | kinds
    for row in found.retrained:
        assert (row["gain"], row["beyond chance"]) == (0.0, False)
    assert "may be chance" in found.to_html()


def test_the_gain_is_that_of_the_two_audits(lights):
    given = []

    def retrain(augment):
        given.append(augment)
        return nothing_of_light

    found = styleaug.audit(brighter, [lights], "photograph", retrain=retrain, seed=3, **FAST)
    other = styleaug.audit(nothing_of_light, [lights], "photograph", seed=3, **FAST)
    assert isinstance(given[0], Appearance)
    assert (len(given), given[0].kinds, given[0].strength) == (1, ("photograph",), (1.0, 1.0))
    assert given[0].image_p == 0.5
    scores = {row["kind"]: row["score"] for row in found.kinds}
    others = {row["kind"]: row["score"] for row in other.kinds}
    for row in found.retrained[1:]:
        assert row["before"] == scores[row["kind"]]
        assert row["after"] == others[row["kind"]]
        assert row["gain"] == pytest.approx(row["after"] - row["before"], abs=1e-5)
    assert found.retrained[0]["gain"] == -0.5


def test_without_labels_each_model_agrees_with_itself(lights):
    images, _ = lights
    found = styleaug.audit(
        brighter, [images], "ct", retrain=lambda augment: nothing_of_light, **FAST
    )
    assert [row["after"] for row in found.retrained] == [1.0] * len(found.retrained)
    assert found.retrained[0]["before"] == 1.0


def test_a_finished_training_is_not_repeated(lights, tmp_path):
    calls = []

    def retrain(augment):
        calls.append(augment)
        return nothing_of_light

    settings = {**FAST, "retrain": retrain, "folder": tmp_path / "run"}
    first, again = (styleaug.audit(brighter, [lights], "ct", **settings) for _ in range(2))
    assert len(calls) == 1
    assert again.to_json() == first.to_json()
    assert json.loads(first.to_json())["retrained"] == first.retrained


def test_a_model_of_other_classes_is_refused(lights):
    def three(images):
        return torch.zeros(len(images), 3)

    with pytest.raises(ValueError, match="2 classes, got 3"):
        styleaug.audit(brighter, [lights], "ct", retrain=lambda augment: three, **FAST)


def test_the_page_says_what_was_measured_and_what_was_not(lights):
    plain = styleaug.audit(brighter, [lights], "photograph", **FAST).to_html()
    assert "was not measured (retrain=)" in plain
    assert "white blood cells" in plain
    assert "Of the kind photograph there is no such series" in plain
    again = styleaug.audit(
        brighter, [lights], "photograph", retrain=lambda augment: nothing_of_light, **FAST
    ).to_html()
    assert "was not measured" not in again
    assert "This flatters the model" in again


@pytest.mark.parametrize("series", [*CLASSES, *MASKS], ids=lambda series: series.record)
def test_quoted_gains_are_those_of_the_records(series):
    rows = {
        row["arm"]: row for row in _results(series.record)["table"] if row["test"] == "as it is"
    }
    changed, plain = rows[CHANGES], rows["none"]
    half = t.ppf(0.975, changed["runs"] - 1) * changed["standard error"]
    assert series.runs == changed["runs"] == plain["runs"]
    found = (series.plain, series.score, series.gain, series.low, series.high, *series.home)
    expected = (plain["unseen"], changed["unseen"], changed["gain"], changed["gain"] - half)
    expected += (changed["gain"] + half, plain["held"], changed["held"])
    assert found == pytest.approx(expected, abs=6e-4)
    assert series.jitter == pytest.approx(rows["strong jitter"]["gain"], abs=6e-4)


@pytest.mark.parametrize("page", ["plain", "varied"])
def test_pages_of_the_tutorial_quote_what_audits_quote(page):
    path = Path(__file__).parents[2] / "docs" / "tutorials" / f"audit-{page}.html"
    assert series_text(False, "stained") in html.unescape(path.read_text())


def test_quoted_drops_are_those_of_the_record():
    for home, quoted in zip(("bccd", "jtsc"), AUDITED, strict=True):
        own = [
            run
            for run in _results("audit")["networks"]
            if (run["home"], run["arm"]) == (home, "appearance")
        ]
        for key, value in zip(
            ("audit: drop in other laboratories", "true drop"), quoted, strict=True
        ):
            assert sum(run[key] for run in own) / len(own) == pytest.approx(value, abs=6e-3)
