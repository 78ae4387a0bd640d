"""Presets by kind of image: they build, and the records say what the rows say."""

import json

import pytest
import torch

from benchmarks.tables import RESULTS, preset_groups
from styleaug import StyleTransfer
from styleaug.appearance import KINDS, Appearance
from styleaug.presets import PRESETS, preset
from styleaug.stylizers import STYLIZERS


@pytest.mark.parametrize("kind", PRESETS)
def test_a_preset_builds_and_paints(kind):
    row = PRESETS[kind]
    low, high = row.value_range or (0.0, 1.0)
    images = low + (high - low) * torch.rand(4, 3, 48, 48)
    transform = StyleTransfer(**preset(kind, p=1.0, seed=0))
    assert (transform.alpha, transform._lazy.label) == (row.alpha, row.stylizer)
    stylized = transform(images)
    assert stylized.shape == images.shape
    assert not torch.equal(stylized, images)
    assert set(row.avoid) <= set(STYLIZERS) - {row.stylizer}


@pytest.mark.parametrize("kind", [kind for kind, row in PRESETS.items() if row.changes])
def test_the_changes_of_a_kind_build_and_change(kind):
    images = torch.rand(4, 1, 48, 48)
    changed = Appearance(PRESETS[kind].changes, image_p=1.0, seed=0)(images)
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)


def test_every_kind_of_changes_is_advised_for_a_kind_of_image():
    assert {row.changes for row in PRESETS.values()} == {*KINDS, ""}


def test_changes_replace_and_add():
    found = preset("ct", stylizer="mkl", seed=3)
    assert (found["stylizer"], found["seed"], found["p"]) == ("mkl", 3, 0.5)
    assert preset("ct")["stylizer"] == "appearance"
    with pytest.raises(ValueError, match=r"kind must be one of \['he'.*got 'brain'"):
        preset("brain")


@pytest.mark.parametrize("kind", [kind for kind, row in PRESETS.items() if row.measured])
def test_what_is_recommended_gains_in_the_record(kind):
    groups = {}
    for record in ("truth", "mr"):
        file = sorted(RESULTS.glob(f"*/{record}--*.json"))[-1]
        groups |= json.loads(file.read_text())["results"]["groups"]
    found = [groups[name] for name in preset_groups(PRESETS[kind], groups)]
    assert found, "the record holds none of the kinds that the row names"
    gain, worst = figures(found, PRESETS[kind].stylizer)
    assert gain > 0.3
    assert min(group[PRESETS[kind].stylizer]["edges, worst 1 %"] for group in found) > 0.8
    for other in found[0]:
        if other in STYLIZERS and other != PRESETS[kind].stylizer:
            more, least = figures(found, other)
            assert not (more > gain + 0.1 and least > worst), f"{other} gains more and harms less"


def figures(groups, name):
    """The mean gain of a stylizer over some groups of the record, and its worst case."""
    gains = [group[name]["over nothing"] for group in groups]
    return sum(gains) / len(gains), min(group[name]["worst over nothing"] for group in groups)
