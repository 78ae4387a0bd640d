"""The recipe of "appearance": its pairs have an answer, its losses pull, its data are alike."""

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug.stylizers.appearance_code import AppearanceEncoder
from styleaug.training import TrainConfig
from styleaug.training.composition import is_grey, paste_empty, shuffle_blocks, vary_thickness
from styleaug.training.data import ImageCache, PairDataset, scaled_crop, unlikeness
from styleaug.training.recipes.appearance import (
    AppearanceRecipe,
    class_loss,
    code_loss,
    pair_weights,
    truth_losses,
)


def _recipe(**changes):
    return AppearanceRecipe(TrainConfig("appearance", ("unused",), "unused", **changes))


def test_without_strength_content_style_and_answer_are_the_crops():
    options = {"strength": 0.0, "thickness": 0.0, "empty": 0.0, "shuffled": 0.0, "itself": 0.0}
    recipe = _recipe(options=options)
    content, style = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    made = recipe.make_pairs(content, style)
    both, mirrored = torch.cat([content, style]), torch.cat([style, content])
    for image, expected in zip(made, (both, mirrored, both), strict=True):
        assert torch.allclose(image, expected, atol=1e-4)


def test_content_and_style_change_places_in_the_second_half():
    torch.manual_seed(0)
    content, style, truth = _recipe().make_pairs(torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32))
    assert len(content) == len(style) == len(truth) == 8
    assert torch.equal(style, torch.cat([content[4:], content[:4]]))


def test_one_crop_in_the_styles_appearance_is_the_answer():
    """With the same crop as content and style, the answer is the style, but for what is random."""
    torch.manual_seed(0)
    recipe = _recipe(options={"thickness": 0.0, "empty": 0.0, "shuffled": 0.0})
    crop = torch.nn.functional.interpolate(torch.rand(16, 3, 6, 6), (32, 32), mode="bicubic")
    crop = crop.clamp(0, 1)
    content, style, truth = recipe.make_pairs(crop, crop)
    near = (style - truth).flatten(1).abs().mean(dim=1)
    far = (content - truth).flatten(1).abs().mean(dim=1)
    assert near.mean() < 0.3 * far.mean()
    assert (near == 0).any()


def test_some_styles_are_the_contents_own_crop():
    torch.manual_seed(0)
    options = {"strength": 0.0, "thickness": 0.0, "empty": 0.0, "shuffled": 0.0, "itself": 0.5}
    content, style = torch.rand(64, 3, 32, 32), torch.rand(64, 3, 32, 32)
    made = _recipe(options=options).make_pairs(content, style)[1]
    own = (made[:64] - content).abs().flatten(1).amax(dim=1) < 1e-4
    assert 0.3 < own.float().mean() < 0.7


def test_grey_pairs_are_made_grey_mostly():
    torch.manual_seed(0)
    grey = torch.rand(32, 1, 32, 32).expand(-1, 3, -1, -1)
    recipe = _recipe(options={"empty": 0.0})
    content, _, truth = recipe.make_pairs(grey.contiguous(), grey.contiguous())
    both = is_grey(content) & is_grey(truth)
    assert 0.6 < both.float().mean() < 1.0


def test_every_loss_pulls():
    torch.manual_seed(0)
    recipe = _recipe(options={"foreign": 0.5}, batch_size=8)
    losses = recipe(torch.rand(8, 3, 48, 48), torch.rand(8, 3, 48, 48), "generator")
    named = {"truth", "slope", "code", "classes", "gate", "color", "edges", "range"}
    assert set(losses) == named
    for name, loss in losses.items():
        recipe.zero_grad()
        loss.backward(retain_graph=True)
        pulled = sum(float(p.grad.abs().sum()) for p in recipe.parameters() if p.grad is not None)
        assert pulled > 0 or (name == "range" and float(loss) == 0.0)


def test_truth_losses_are_their_formulas():
    truth, output = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    output[..., 2:] = 0.5
    content = torch.full((1, 3, 4, 4), 0.12)  # .12 from the answer: a weight of .15 / .15
    losses = truth_losses(output, truth, pair_weights(content, truth))
    assert losses["truth"].item() == pytest.approx(0.25 + 0.125**0.5, abs=1e-4)
    assert losses["slope"].item() == pytest.approx(0.5 / 3)


def test_an_error_counts_by_how_far_the_content_was():
    truth = torch.rand(1, 3, 8, 8)
    near, far = (pair_weights(truth + away, truth) for away in (0.02, 0.27))
    assert near.item() == pytest.approx(3.0)
    assert near.item() == pytest.approx(6.0 * far.item(), rel=1e-4)
    losses = [truth_losses(truth + 0.01, truth, weight)["truth"] for weight in (near, far)]
    assert losses[0].item() == pytest.approx(6.0 * losses[1].item(), rel=1e-3)


def test_codes_of_one_appearance_are_wanted_together():
    torch.manual_seed(0)
    code = torch.randn(6, 96)
    assert code_loss(code, code) < 0.1 < code_loss(code, code.roll(1, 0))


@pytest.fixture
def slides(tmp_path):
    rng = np.random.default_rng(0)
    for slide, level in (("s1", 40), ("s2", 200)):
        for tile in range(3):
            pixels = np.clip(level + rng.normal(0, 10, (80, 80, 3)), 0, 255).astype(np.uint8)
            (tmp_path / "a").mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "a" / f"{slide}_{tile}.png")
    return tmp_path / "a"


def test_pairs_are_of_one_group(slides):
    dataset = PairDataset([str(slides)], [str(slides)], size=32, alike=True, group=r"s\d+_")
    for number in range(20):
        pair = dataset[number]
        assert (pair["content"].mean() - pair["style"].mean()).abs() < 0.1
        assert torch.equal(pair["content"], dataset[number]["content"])
    levels = {round(float(dataset[n]["content"].mean()), 1) for n in range(20)}
    assert len(levels) == 2


def test_groups_must_be_a_regular_expression(slides):
    with pytest.raises(ValueError, match="group must be a regular expression"):
        PairDataset([str(slides)], [str(slides)], size=32, group="(")


def test_the_cache_reads_a_file_once_while_there_is_room(slides, monkeypatch):
    from styleaug.training import data

    read, seen = data.open_image, []
    monkeypatch.setattr(data, "open_image", lambda path: (seen.append(path), read(path))[1])
    paths = sorted(slides.iterdir())
    cache = ImageCache(2 * 80 * 80 * 3)
    first = [cache(path) for path in paths]
    again = [cache(path) for path in paths]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(seen) == 6 + 4


def test_a_crop_at_scale_one_is_a_part_of_the_image():
    image = torch.rand(1, 3, 100, 120)
    crop = scaled_crop(image, 40, 1.0, np.random.default_rng(0))
    windows = image.unfold(2, 40, 1).unfold(3, 40, 1)[0].permute(1, 2, 0, 3, 4)
    turned = [t for k in range(4) for r in (crop[0].rot90(k, (1, 2)),) for t in (r, r.flip(2))]
    assert any(bool((windows == t).flatten(2).all(dim=2).any()) for t in turned)


def test_unlikeness_sees_colour_and_glass():
    pink, white = torch.full((1, 3, 8, 8), 0.6), torch.full((1, 3, 8, 8), 0.95)
    half = torch.cat([pink[..., :4], white[..., 4:]], dim=3)
    assert unlikeness(pink, pink) == 0.0 < unlikeness(half, pink) < unlikeness(white, pink)


def test_composition_changes_what_it_says():
    torch.manual_seed(0)
    images = 0.3 + 0.4 * torch.rand(16, 3, 32, 32)
    assert torch.equal(paste_empty(images, 0.0), images)
    pasted = paste_empty(images, 1.0)
    assert (pasted > 0.88).float().mean() > 0.2
    dark = paste_empty(0.1 * images, 1.0)
    assert (dark < 0.025).float().mean() > 0.2
    shuffled = shuffle_blocks(images, 1.0)
    assert not torch.equal(shuffled, images)
    assert torch.equal(shuffled.flatten(2).sort().values, images.flatten(2).sort().values)
    varied = vary_thickness(images, 0.5)
    ratio = varied.log() / images.log()
    assert (ratio.flatten(1).std(dim=1) < 1e-3).all()
    assert 0 < int((ratio.flatten(1).mean(dim=1).sub(1).abs() > 1e-3).sum()) < 16


def test_classes_that_land_on_their_answers_cost_nothing():
    torch.manual_seed(0)
    truth = torch.rand(2, 3, 32, 32)
    code, share = AppearanceEncoder().read(truth)
    weight = torch.ones(2)
    assert class_loss(code, share, truth, weight).item() < 1e-6
    assert class_loss(code, share, 0.5 * truth, weight).item() > 0.1
    assert class_loss(code, share, 0.5 * truth, 0 * weight).item() == 0


def test_statistics_are_wanted_where_they_alone_come_nearer():
    torch.manual_seed(0)
    recipe = _recipe(options={"foreign": 0.0})
    content = torch.rand(2, 3, 48, 48)
    truth = 0.2 + 0.6 * content  # what statistics give exactly
    own, code = (recipe.network.encoder(images) for images in (content, truth))
    bias = recipe.network.transport.gate[-1].bias
    for output, down in ((content, True), (truth, False)):
        recipe.zero_grad()
        recipe._gate_loss(content, own, code, output, truth, 2).backward(retain_graph=True)
        assert (bias.grad.item() < 0) == down
