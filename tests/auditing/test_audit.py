"""The laws of an audit: what a model does not look at cannot hurt it; what was found is true."""

import csv
import json

import pytest
import torch
from torch import nn

import styleaug
from styleaug import StyleBank
from styleaug.appearance import KINDS, AppearanceParams, change_appearance
from styleaug.auditing.reference import mask_dice
from styleaug.auditing.scores import class_figures
from styleaug.styles.medoids import color_statistics

FAST = {"laboratories": 2, "search": 0, "trial": (), "describe": color_statistics}


def brighter(images):
    """Scores of a model that thresholds the mean brightness at one half."""
    light = images.mean((1, 2, 3))
    return 8.0 * torch.stack([0.5 - light, light - 0.5], dim=1)


def left_or_right(images):
    """Scores of a model that asks which half is brighter, in each channel alike."""
    left, right = images.tensor_split(2, dim=3)
    sides = torch.stack([left.mean((1, 2, 3)), right.mean((1, 2, 3))], dim=1)
    return 20.0 * sides


def masks(images):
    """Maps of a model that thresholds every pixel."""
    light = images.mean(1, keepdim=True)
    return 20.0 * torch.cat([0.5 - light, light - 0.5], dim=1)


@pytest.fixture
def lights():
    """Images around the threshold, and their labels."""
    generator = torch.Generator().manual_seed(1)
    level = torch.linspace(0.35, 0.62, 16).view(-1, 1, 1, 1)
    images = (level + 0.05 * torch.rand(16, 3, 16, 16, generator=generator)).clamp(0, 1)
    return images, (images.mean((1, 2, 3)) > 0.5).long()


@pytest.fixture
def halves():
    """Coloured images whose left or right half is brighter."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(12) % 2
    colors = 0.6 + 0.3 * torch.rand(12, 3, 1, 1, generator=generator)
    images = colors.repeat(1, 1, 16, 16)
    images[labels == 0, :, :, 8:] *= 0.4
    images[labels == 1, :, :, :8] *= 0.4
    return images, labels


def test_a_model_that_ignores_colour_has_no_drop_under_colour_changes(halves):
    found = styleaug.audit(left_or_right, [halves], "stained", **FAST)
    assert found.before["score"] == 1.0
    for kind in ("white-balance", "saturation", "sensor", "channel-gamma", "stain-vectors"):
        assert found.drop(kind) == 0.0, kind
    assert found.drop("laboratory") == 0.0


def test_a_model_that_thresholds_brightness_falls_with_exposure(lights):
    found = styleaug.audit(brighter, [lights], "photograph", **FAST)
    by_strength = {row["kind"]: list(row["by strength"].values()) for row in found.kinds}
    assert found.score == "balanced accuracy"
    assert by_strength["exposure"] == sorted(by_strength["exposure"], reverse=True)
    assert found.drop("exposure") > 0.2 > found.drop("sharpening")
    worst = found.kinds[0]
    assert worst["kind"] in ("exposure", "gamma", "tone-curve")
    assert worst["beyond chance"]
    assert found.lowest == (worst["kind"], worst["score"])


def test_the_search_finds_nothing_better_than_it_started_with(lights):
    found = styleaug.audit(brighter, [lights], "photograph", **{**FAST, "search": 8})
    rows = {row["kind"]: row for row in found.changes}
    scores = [row["score"] for row in found.changes if row["kind"] == "laboratory"]
    assert rows["worst found"]["score"] <= min(scores)
    assert found.worst
    assert found.lowest[0] != "worst found"


def test_a_flip_flips_and_a_little_less_does_not(lights):
    images, _ = lights
    found = styleaug.audit(brighter, [lights], "photograph", **FAST)
    assert 0 < len(found.flips) < len(images)
    for flip in found.flips:
        neutral = styleaug.appearance.EFFECTS[flip.effect].neutral
        decided = []
        for share in (1.0, 0.5):
            towards = zip(neutral, flip.values, strict=True)
            values = tuple(a + share * (b - a) for a, b in towards)
            params = AppearanceParams({flip.effect: (values,)})
            image = change_appearance(images[flip.image : flip.image + 1], params)
            decided.append(int(brighter(image).argmax()))
        before = int(brighter(images[flip.image : flip.image + 1]).argmax())
        assert decided[0] != before
        assert flip.strength <= 0.0625 or decided[1] == before


def test_a_batch_split_changes_nothing(lights):
    images, labels = lights
    whole = styleaug.audit(brighter, [lights], "ct", **{**FAST, "search": 3})
    parts = zip(images.split(5), labels.split(5), strict=True)
    split = styleaug.audit(brighter, parts, "ct", **{**FAST, "search": 3})
    assert split.to_json() == whole.to_json()
    assert split.to_csv() == whole.to_csv()


def test_the_seed_is_all_that_is_random(lights):
    first, again, other = (
        styleaug.audit(brighter, [lights], "photograph", seed=seed, **FAST).to_csv()
        for seed in (0, 0, 1)
    )
    assert first == again != other


class StoppedError(Exception):
    pass


def test_a_stopped_run_goes_on_with_the_same_figures(lights, tmp_path):
    calls = []

    def model(images):
        calls.append(len(images))
        return brighter(images)

    settings = {**FAST, "search": 3}
    whole = styleaug.audit(model, [lights], "ct", **settings)
    full = len(calls)

    def stop(done, total):
        if done == total // 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        styleaug.audit(model, [lights], "ct", folder=tmp_path / "run", advance=stop, **settings)
    calls.clear()
    resumed = styleaug.audit(model, [lights], "ct", folder=tmp_path / "run", **settings)
    assert len(calls) < 0.75 * full
    assert resumed.to_json() == whole.to_json()
    seen = []
    styleaug.audit(
        model,
        [lights],
        "ct",
        folder=tmp_path / "run",
        advance=lambda *now: seen.append(now),
        **settings,
    )
    assert [done for done, _ in seen] == list(range(1, seen[0][1] + 1))


def test_a_folder_of_something_else_is_refused_and_kept(lights, tmp_path):
    images, labels = lights
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "audit.html").write_text("my own")

    def never(images):
        raise AssertionError("called before the folder was checked")

    with pytest.raises(FileExistsError, match="not written by an audit"):
        styleaug.audit(never, [lights], "ct", folder=mine, **FAST)
    assert (mine / "audit.html").read_text() == "my own"
    run = tmp_path / "run"
    styleaug.audit(brighter, [lights], "ct", folder=run, **FAST)
    with pytest.raises(FileExistsError, match="other seed"):
        styleaug.audit(brighter, [lights], "ct", folder=run, seed=1, **FAST)
    with pytest.raises(FileExistsError, match="other digest"):
        styleaug.audit(brighter, [(images, 1 - labels)], "ct", folder=run, **FAST)
    with pytest.raises(FileExistsError, match="another model"):
        styleaug.audit(lambda x: -brighter(x), [lights], "ct", folder=run, **FAST)


def test_without_labels_the_model_agrees_with_itself(lights):
    images, _ = lights
    own = styleaug.audit(brighter, [images], "photograph", **FAST)
    assert own.score == "agreement with itself"
    assert own.before["score"] == 1.0
    assert own.before["accuracy"] is own.before["calibration error"] is None
    for row in own.changes:
        assert row["score"] == pytest.approx(1.0 - row["flipped"], abs=1e-6)
    truth = styleaug.audit(brighter, [lights], "photograph", **FAST)
    assert [row["flipped"] for row in truth.changes] == [row["flipped"] for row in own.changes]


def test_classes_and_groups_add_up(lights):
    images, labels = lights
    groups = ["a", "b", "b", "b"] * 4
    found = styleaug.audit(
        brighter, [(images, labels, groups)], "photograph", classes=["dark", "light"], **FAST
    )
    by_class = {row["name"]: row["scores"]["exposure"] for row in found.classes}
    overall = next(row["score"] for row in found.kinds if row["kind"] == "exposure")
    assert sum(by_class.values()) / 2 == pytest.approx(overall, abs=1e-5)
    assert {row["name"]: row["images"] for row in found.groups} == {"a": 4, "b": 12}


def test_styles_are_tried_at_two_strengths_and_all_of_few(lights):
    bank = StyleBank.from_images([torch.rand(3, 16, 16) * k for k in (0.3, 1.0)], "colorist")
    found = styleaug.audit(brighter, [lights], "ct", styles=bank, **FAST)
    rows = [(r["member"], r["strength"]) for r in found.changes if r["kind"] == "style"]
    assert rows == [("0: 0", 0.5), ("0: 0", 1.0), ("1: 1", 0.5), ("1: 1", 1.0)]
    one = styleaug.audit(brighter, [lights], "ct", styles=bank, style_count=1, **FAST)
    assert {r["member"] for r in one.changes if r["kind"] == "style"} == {"0: 0"}
    darkest = [r["score"] for r in found.changes if r["member"] == "0: 0"]
    assert darkest[1] == 0.5  # everything in a dark style is dark


def test_what_is_known_of_scores_is_what_they_are_by_hand():
    scores = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], dtype=torch.float64)
    found = class_figures(scores, torch.tensor([0, 0, 0, 1]))
    assert found["accuracy"] == 0.75
    assert found["calibration error"] == pytest.approx(0.9 - 0.75, abs=1e-6)
    assert found["macro AUC"] == 0.5
    assert class_figures(scores, torch.tensor([0, 0, 0, 0]))["macro AUC"] is None


def test_dice_is_that_of_each_image_and_class():
    truth = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]])
    found = torch.tensor([[[1, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 0], [0, 0]]])
    dice = mask_dice(found, truth, 2)[:, 0]
    assert dice[0] == pytest.approx(2 / 3)
    assert dice[1].isnan()  # neither has the class
    assert dice[2] == 0.0


def _volumes():
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(3, 1, 4, 4, 3, generator=generator)
    return nn.functional.interpolate(coarse, (16, 16, 3), mode="trilinear")


def test_segmentation_is_audited_by_dice():
    images = _volumes()[..., 0].repeat(1, 3, 1, 1)
    truth = (images.mean(1) > 0.5).long()
    found = styleaug.audit(masks, [(images, truth)], "ct", **FAST)
    assert (found.score, found.before["score"]) == ("Dice", 1.0)
    assert found.drop("window") > found.drop("noise") >= 0.0
    assert [row["name"] for row in found.classes] == ["1"]
    assert "Dice" in found.to_html()


def test_volumes_are_audited_whatever_axis_their_slices_are_on():
    volumes = _volumes()
    truth = (volumes > 0.5).long()
    last = styleaug.audit(masks, [{"image": volumes, "label": truth}], "ct", **FAST)
    first = styleaug.audit(
        masks,
        [{"image": volumes.movedim(-1, 2), "label": truth.movedim(-1, 2)}],
        "ct",
        slice_axis=0,
        **FAST,
    )
    assert last.before["score"] == 1.0
    assert last.drop("window") > 0.0
    assert [row["score"] for row in first.changes] == [row["score"] for row in last.changes]


def test_slices_of_a_volume_get_the_change_of_the_volume(lights):
    volumes = lights[0][:4, :1].unsqueeze(-1).repeat(1, 1, 1, 1, 2)
    seen = []

    def model(images):
        seen.append(images.clone())
        return images.mean((1, 2, 3, 4))[:, None] * torch.tensor([1.0, -1.0])

    styleaug.audit(model, [volumes], "ct", **FAST)
    changed = [x for x in seen if not torch.equal(x, volumes)]
    equal = [torch.equal(x[..., 0], x[..., 1]) for x in changed]
    assert sum(equal) > len(equal) / 2  # all but those with noise, which differs between slices
    assert not all(equal)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_models_with_one_score_or_probabilities_are_taken(lights, activation):
    def model(images):
        light = images.mean((1, 2, 3))
        if activation == "sigmoid":
            return 16.0 * (light[:, None] - 0.5)
        return brighter(images).softmax(1)

    expected = styleaug.audit(brighter, [lights], "ct", **FAST)
    found = styleaug.audit(model, [lights], "ct", activation=activation, **FAST)
    scores = [[row["score"] for row in item.changes] for item in (expected, found)]
    assert scores[0] == scores[1]


def test_volumes_of_a_monai_loader_and_a_3d_network_are_taken():
    from monai.data import DataLoader, MetaTensor
    from monai.networks.nets import UNet

    volumes = _volumes()
    data = [
        {"image": MetaTensor(volume), "label": MetaTensor((volume > 0.5).float())}
        for volume in torch.cat([volumes, volumes.flip(2)])
    ]
    torch.manual_seed(0)
    net = UNet(3, 1, 2, channels=(4, 8), strides=((2, 2, 1),))
    found = styleaug.audit(net, DataLoader(data, batch_size=2), "ct", **FAST)
    assert (found.score, found.settings["images"]) == ("Dice", 6)
    assert [row["kind"] for row in found.kinds if row["kind"] == "laboratory"]
    assert {row["name"] for row in found.classes} == {"1"}
    pairs = [(item["image"][None], item["label"][None]) for item in data]
    alone = styleaug.audit(net, pairs, "ct", **FAST)
    assert alone.before["score"] == found.before["score"]
    assert "Dice" in found.to_html()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_exported_program_is_taken_as_it_is(lights):
    class Brighter(nn.Module):
        def forward(self, images):
            return brighter(images)

    images, _ = lights
    sizes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(Brighter(), (images,), dynamic_shapes=sizes)
    found, expected = (
        styleaug.audit(model, [lights], "ct", **FAST) for model in (program, brighter)
    )
    assert found.to_json() == expected.to_json()


def _never(images):
    raise AssertionError("the model was called before the arguments were checked")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "scan"}, "kind must be one of"),
        ({"strengths": (0.5, 0.25)}, "strengths must be rising"),
        ({"strengths": (0.5, 2.0)}, "strengths must be rising"),
        ({"laboratories": 0}, "laboratories must be"),
        ({"search": -1}, "search must be"),
        ({"styles": "batch"}, "styles must be a bank"),
        ({"activation": "relu"}, "activation must be one of"),
        ({"slice_axis": 3}, "slice_axis must be"),
        ({"trial": ("nope",)}, "stylizer must be one of"),
        ({"loader": []}, "at least one image"),
        ({"loader": [torch.full((2, 3, 16, 16), 7.0)]}, "1"),
        ({"loader": [torch.rand(3, 16, 16)]}, "images must be"),
        ({"loader": [torch.rand(2, 3, 8, 16)], "describe": None}, "sides of at least 9"),
        ({"loader": [(torch.rand(2, 3, 16, 16), torch.zeros(3))]}, "targets must be"),
        ({"loader": [(torch.rand(2, 3, 16, 16), torch.rand(2))]}, "whole numbers"),
        (
            {"loader": [(torch.rand(1, 3, 16, 16), torch.zeros(1)), torch.rand(1, 3, 16, 16)]},
            "with every batch or with none",
        ),
    ],
)
def test_what_is_wrong_is_named_before_the_model_is_called(change, words):
    arguments = {"loader": [torch.rand(2, 3, 16, 16)], "kind": "ct"} | change
    with pytest.raises(ValueError, match=words):
        styleaug.audit(_never, **(FAST | arguments))


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="loader must yield tensors"):
        styleaug.audit(_never, [["a.png"]], "ct", **FAST)


@pytest.mark.parametrize(
    ("model", "targets", "more", "words"),
    [
        (brighter, torch.tensor([0, 2]), {}, "columns of the model"),
        (brighter, torch.zeros(2, 16, 16), {}, "targets must be classes"),
        (brighter, torch.tensor([0, 1]), {"classes": ["a"]}, "classes must name the 2 columns"),
        (brighter, torch.tensor([0, 1]), {"activation": "sigmoid"}, "one score"),
        (brighter, torch.tensor([0, 1]), {"activation": None}, "probabilities"),
        (lambda x: x.mean((1, 2, 3))[:, None], torch.tensor([0, 1]), {}, "two columns"),
        (lambda x: {"a": x, "b": x}, None, {}, "one tensor"),
        (lambda x: x[:, :, :4], None, {}, "maps"),
    ],
)
def test_models_and_labels_that_do_not_fit_are_refused_at_the_first_call(
    model, targets, more, words
):
    images = torch.rand(2, 3, 16, 16)
    loader = [images] if targets is None else [(images, targets)]
    with pytest.raises(ValueError, match=words):
        styleaug.audit(model, loader, "ct", **{**FAST, **more})


def test_a_network_is_left_as_it_was(lights):
    net = nn.Sequential(nn.Dropout(0.9), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    net.train()
    styleaug.audit(net, [lights], "ct", **FAST)
    assert all(part.training for part in net.modules())


def test_alignment_is_tried_on_images_whose_style_is_not_in_the_bank(lights):
    found = styleaug.audit(brighter, [lights], "ct", **{**FAST, "trial": ("colorist", "micro")})
    assert {trial.stylizer for trial in found.trials} == {"colorist"}  # micro needs 32 pixels
    assert [trial.change for trial in found.trials][:2] == ["as it is", "laboratory"]
    for trial in found.trials:
        assert trial.images == 8
        assert trial.score - trial.plain == pytest.approx(trial.gain, abs=1e-5)


def test_what_is_written_agrees_and_stands_alone(lights, tmp_path):
    images, labels = lights
    names = [f"<b>{index}</b>.png" for index in range(16)]
    loader = [{"image": images, "label": labels, "name": names}]
    found = styleaug.audit(
        brighter, loader, "photograph", **{**FAST, "search": 2, "trial": ("colorist",)}
    )
    found.save(tmp_path / "report")
    page = (tmp_path / "report" / "audit.html").read_text()
    assert "http" not in page
    assert "<b>0</b>" not in page
    assert '<meta name="viewport"' in page
    assert page.count("<table>") == page.count('<div class="wide"><table')
    record = json.loads((tmp_path / "report" / "audit.json").read_text())
    rows = list(csv.DictReader((tmp_path / "report" / "audit.csv").read_text().splitlines()))
    assert len(rows) == len(record["changes"]) == 4 * len(KINDS["photograph"]) + 2 + 2
    for row, kept in zip(rows, record["changes"], strict=True):
        assert float(row["score"]) == kept["score"]
    assert record["flips"][0]["name"].startswith("<b>")
