"""Changes in plain words: every effect has them, and the strength is the one that was drawn."""

import pytest
import torch

import styleaug
from styleaug.appearance import EFFECTS, KINDS
from styleaug.auditing.changes import effect_ends
from styleaug.auditing.wording import (
    WORDS,
    appearance_words,
    change_words,
    kind_title,
    percent,
    seen_change,
    strength_of,
)
from styleaug.styles.medoids import color_statistics


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("strength", [0.016, 0.5, 1.0])
def test_the_strength_is_the_one_that_was_drawn(effect, strength):
    names = [f"image {number}" for number in range(8)]
    rows = effect_ends(EFFECTS[effect], names, [strength] * 8, 0).values[effect]
    assert [strength_of(effect, row) for row in rows] == pytest.approx([strength] * 8, abs=1e-5)
    for row in rows:
        assert seen_change(effect, row)
        assert percent(strength) in change_words(effect, row)


def test_every_effect_has_a_name_of_its_own():
    assert set(WORDS) == set(EFFECTS)
    assert len({kind_title(effect) for effect in EFFECTS}) == len(EFFECTS)


@pytest.mark.parametrize(
    ("effect", "values", "words"),
    [
        ("exposure", (0.2, 0.0), "brighter"),
        ("gamma", (1.3,), "darker mid-tones"),
        ("gamma", (0.8,), "brighter mid-tones"),
        ("stain-amounts", (1.2, 1.1, 1.3), "more stain"),
        ("stain-amounts", (1.2, 0.9, 1.3), "other proportions of the stains"),
        ("jpeg", (60.0,), "more compressed"),
        ("white-balance", (0.2, -0.05), "redder"),
        ("white-balance", (0.03, -0.14), "more magenta"),
        ("exposure", (-0.05, 0.06), "paler black"),
    ],
)
def test_words_say_what_the_change_does(effect, values, words):
    assert seen_change(effect, values) == words
    image = torch.full((1, 3, 8, 8), 0.5)
    after = EFFECTS[effect].apply(image, torch.tensor([values])).mean(dim=(0, 2, 3))
    if "bright" in words:
        assert bool((after > 0.5).all())
    if words == "more magenta":
        assert float(after[1]) < min(float(after[0]), float(after[2]))
    if "dark" in words or words == "more stain":
        assert bool((after < 0.5).all())
    if words == "redder":
        assert float(after[0]) > float(after[2])


def test_an_appearance_is_told_from_its_strongest_change_on():
    neutral = {effect: tuple(EFFECTS[effect].neutral) for effect in KINDS["stained"]}
    text = appearance_words(neutral | {"exposure": (-0.3, 0.0), "point-spread": (1.7,)})
    assert text == "blurred 100 %, darker 50 %"
    assert appearance_words(neutral) == ""


def test_the_page_is_in_words_and_its_values_are_folded():
    images = torch.linspace(0.35, 0.65, 12).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)

    def model(batch):
        light = batch.mean((1, 2, 3))
        return 8.0 * torch.stack([0.5 - light, light - 0.5], dim=1)

    page = styleaug.audit(
        model, [images], "stained", laboratories=2, search=2, trial=(), describe=color_statistics
    ).to_html()
    folds = page.split("<details>")
    shown = folds[0] + "".join(part.split("</details>")[1] for part in folds[1:])
    for name in ("haematoxylin", "share of the density", "stain-vectors", "EV of"):
        assert name not in shown
    assert "stain-vectors" in page
    assert "colour of the stains" in shown
    assert page.count("<details>") == page.count("</details>") >= 3
