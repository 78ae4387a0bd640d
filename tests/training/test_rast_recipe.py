"""The recipe of RAST: every loss is reached, and restoration and idempotency do what they say."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug import create_stylizer
from styleaug.features import FeatureExtractor
from styleaug.images.batch import as_batch, to_content
from styleaug.training import TrainConfig
from styleaug.training.losses import multi_restoration_losses, style_loss, stylization_losses
from styleaug.training.losses.restoration import RESTORING
from styleaug.training.recipes import rast
from styleaug.training.recipes.cycle import low_resolution_sizes, run_cycle
from styleaug.training.recipes.rast import RASTRecipe
from styleaug.weights import save_tensors

SMALL = {
    "layer": "relu3_1",
    "style_layers": ["relu1_1", "relu2_1", "relu3_1"],
    "content_layers": ["relu3_1", "pool3"],
    "scales": [1.0, 1.0, 1.0],
    "contrast_layer": "relu2_1",
    "discriminator_scales": 1,
}


def _recipe(folder, weights=None, size=32, **options):
    config = TrainConfig(
        "rast",
        (str(folder / "images"),),
        "unused",
        size=size,
        features=str(folder / "vgg.safetensors"),
        weights=weights or {},
        options={**SMALL, **options},
    )
    torch.manual_seed(0)
    return RASTRecipe(config)


def _pairs(count=2, size=32):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, count, 3, size, size, generator=generator)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Random VGG-16 and EfficientNet with torchvision's names."""
    root = tmp_path_factory.mktemp("stand-ins")
    torch.manual_seed(0)
    for name, layer, prefix in (
        ("vgg16", "relu5_3", "features"),
        ("efficientnet_b0", "features5", "features"),
        ("vgg19", "pool3", "features"),
    ):
        body = FeatureExtractor(name, [layer], weights=None).body
        state = {f"{prefix}.{key}": tensor for key, tensor in body.state_dict().items()}
        save_tensors(state, root / f"{name}.safetensors", {})
    return root


def test_the_published_terms_are_all_there(folder):
    recipe = _recipe(folder)
    content, style = _pairs()
    found = recipe(content, style, "generator")
    switched_off = {
        *("content", "style", "contrastive_style", "contrastive_content"),
        *("idempotency", "low_res_restoration", "lpips", "edges", "flatness"),
    }
    assert set(found) == set(RASTRecipe.default_weights) - switched_off - {"discriminator"}
    assert set(recipe(content, style, "discriminator")) == {"discriminator"}
    assert all(torch.isfinite(loss) for loss in found.values())


def test_the_cycle_is_made_of_the_transfers_of_the_paper(folder):
    network = _recipe(folder).network
    content, style = _pairs()
    with torch.no_grad():
        cycle = run_cycle(network, network.encode(content), network.encode(style))
        forth, back = network(content, style), network(style, content)
        expected = {
            "forth": forth,
            "back": back,
            "content_right": network(forth, content),
            "style_right": network(style, forth),
            "content_left": network(content, back),
            "style_left": network(back, style),
        }
    for name, image in expected.items():
        assert torch.allclose(cycle[name], image, atol=1e-5), name


def test_losses_compare_what_the_paper_compares():
    names = ["content", "style", "forth", "back"]
    names += ["content_right", "style_right", "content_left", "style_left"]
    maps = {name: [torch.rand(1, 4, 6, 6)] for name in names}
    found = _losses(maps)
    inverse = 1 / style_loss(maps["forth"], maps["content"], unbiased=True)
    inverse += 1 / style_loss(maps["back"], maps["style"], unbiased=True)
    assert torch.allclose(found["style_difference"], inverse, rtol=1e-3)
    norms = {
        n: (m - m.mean((2, 3), True)) / (m.var((2, 3), keepdim=True) + 1e-5).sqrt()
        for n, (m,) in maps.items()
    }
    kept = (norms["forth"] - norms["content"]).square().mean()
    kept += (norms["back"] - norms["style"]).square().mean()
    assert torch.allclose(found["content"], kept, rtol=1e-3)  # deviations are unbiased
    same = dict.fromkeys(names, maps["content"])
    equal = _losses(same)
    assert all(equal[name] < 1e-4 for name in equal if name != "style_difference")
    assert torch.isfinite(equal["style_difference"])
    for name, parts in {
        "content_transitive": ("content_right", "style_left"),
        "style_transitive": ("style_right", "content_left"),
        "content_restoration": ("content_right", "content_left", "style_right", "style_left"),
        "content": ("forth", "back"),
    }.items():
        for part in parts:
            changed = {**same, part: maps["forth"]}
            assert _losses(changed)[name] > equal[name] + 1e-3, part


def _losses(maps):
    return stylization_losses(maps, maps) | multi_restoration_losses(maps, maps)


def test_without_restoration_the_rest_is_the_same_and_nothing_is_restored(folder, monkeypatch):
    weights = {"content": 1.0, "style": 1.0}
    whole = _recipe(folder, weights=weights)
    part = _recipe(folder, weights={**weights, **dict.fromkeys(RESTORING, 0.0)})
    part.load_state_dict(whole.state_dict())
    monkeypatch.setattr(rast, "run_cycle", lambda *args: pytest.fail("an image was restored"))
    found = part(*_pairs(), "generator")
    monkeypatch.undo()
    expected = whole(*_pairs(), "generator")
    assert set(found) == set(expected) - set(RESTORING)
    assert all(torch.allclose(found[name], expected[name], rtol=1e-4) for name in found)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("idempotency", {}),
        ("idempotency", {"idempotency_form": "feature"}),
        ("low_res_restoration", {"low_res_scales": [0.5]}),
        ("low_res_restoration", {"low_res_scales": [0.5], "low_res_form": "multi"}),
        ("lpips", {}),
        ("lpips", {"lpips_target": "style"}),
        ("lpips", {"lpips_target": "restored"}),
        ("content", {}),
        ("style", {}),
        ("contrastive_style", {}),
        ("contrastive_content", {}),
        ("edges", {}),
        ("flatness", {}),
    ],
)
def test_every_addition_pulls_on_the_network(folder, stand_ins, name, options):
    alone = dict.fromkeys(RASTRecipe.default_weights, 0.0) | {name: 1.0}
    if name == "lpips":
        options = {**options, "lpips_features": str(stand_ins / "vgg16.safetensors")}
    recipe = _recipe(folder, alone, size=64, **options)
    losses = recipe(*_pairs(4, 64), "generator")
    assert set(losses) == {name}
    assert recipe.discriminator() is None
    losses[name].backward()
    gradient = recipe.network.transform.merge_conv.weight.grad
    assert gradient is not None
    assert gradient.abs().max() > 0
    if name.startswith("contrastive"):
        heads = dict(recipe.trained().named_parameters())
        assert any(key.startswith("heads") and p.grad is not None for key, p in heads.items())


def test_with_identity_alone_nothing_is_painted_in_another_style(folder, monkeypatch):
    none = dict.fromkeys(RASTRecipe.default_weights, 0.0)
    expected = _recipe(folder)(*_pairs(), "generator")
    monkeypatch.setattr(rast, "run_cycle", lambda *args: pytest.fail("an image was restored"))
    monkeypatch.setattr(rast, "stylize_both", lambda *args: pytest.fail("an image was painted"))
    found = _recipe(folder, none | {"identity": 1.0})(*_pairs(), "generator")
    assert set(found) == {"identity"}
    torch.testing.assert_close(found["identity"], expected["identity"])
    both = {"identity": 1.0, "identity_features": 1.0}
    assert set(_recipe(folder, none | both)(*_pairs(), "generator")) == set(both)


def test_a_target_that_is_held_fixed_gets_no_gradient(folder):
    gradients = []
    for detach in (False, True):
        alone = dict.fromkeys(RASTRecipe.default_weights, 0.0) | {"idempotency": 1.0}
        recipe = _recipe(folder, alone, detach_target=detach)
        recipe(*_pairs(), "generator")["idempotency"].backward()
        gradients.append(recipe.network.decoder[-1].weight.grad)
    assert not torch.allclose(gradients[0], gradients[1])


def test_the_simplified_encoder_trains(train, stand_ins):
    options = {
        "simplified": True,
        "encoder": str(stand_ins / "efficientnet_b0.safetensors"),
        **{key: value for key, value in SMALL.items() if key != "layer"},
    }
    run = train("rast", 1, size=64, options=options, features=str(stand_ins / "vgg19.safetensors"))
    stylizer = create_stylizer("rast", weights=str(run / "model.safetensors"), style_size=64)
    assert stylizer.network.config.backbone == "efficientnet_b0"


def test_heads_and_discriminators_survive_a_pause(train, folder):
    weights = {"contrastive_style": 1.0, "contrastive_content": 1.0}
    run = train("rast", 2, batch_size=4, options=SMALL, weights=weights)
    state = torch.load(run / "last.ckpt", weights_only=True)
    assert any(key.startswith("heads.") for key in state["generator"])
    assert state["discriminator"]
    names = create_stylizer("rast", weights=str(run / "model.safetensors"), style_size=32)
    assert names.weights_id
    first, last = (json.loads((run / "history.json").read_text())[i] for i in (0, -1))
    assert first["discriminator"] != last["discriminator"]


@pytest.fixture(scope="module")
def one_pair(tmp_path_factory):
    """A folder with one content and a folder with one style, as large as the crops."""
    root = tmp_path_factory.mktemp("pair")
    images = []
    for name in ("content", "style"):
        (root / name).mkdir()
        pixels = np.random.default_rng(len(name)).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((32, 32))
        picture.save(root / name / "image.png")
        images.append(to_content(as_batch(picture)[0]))
    return root, images


def _trained(train, one_pair, weights, steps=14, seed=0, **options):
    """Train on one pair, and return the stylizer and the pair stylized."""
    root, (content, style) = one_pair
    off = dict.fromkeys(RASTRecipe.default_weights, 0.0)
    run = train(
        "rast",
        steps,
        content=(str(root / "content"),),
        style=(str(root / "style"),),
        seed=seed,
        weights={**off, "style": 1.0, "content": 1.0, **weights},
        options={**SMALL, **options},
    )
    stylizer = create_stylizer("rast", weights=str(run / "model.safetensors"), style_size=32)
    code = stylizer.encode_style(style)
    return stylizer, code, stylizer.stylize(content, code)


def test_restoration_brings_the_content_closer(train, one_pair):
    content = one_pair[1][0]

    def error(weight, seed):
        weights = {"identity": 20.0, "low_res_restoration": weight}
        stylizer, _, stylized = _trained(train, one_pair, weights, seed=seed, low_res_scales=[1.0])
        return (stylizer.restore(stylized, content) - content).square().mean().item()

    seeds = (1, 2, 3, 4)  # one run's ratio is 0.4 to 1.05: rounding decides where it goes
    without, restoring = (sum(error(weight, seed) for seed in seeds) for weight in (0.0, 100.0))
    assert restoring < 0.8 * without


def test_idempotency_lowers_the_drift(train, one_pair):
    drifts = []
    for weight in (0.0, 100.0):
        stylizer, code, once = _trained(train, one_pair, {"idempotency": weight}, 40)
        drifts.append((stylizer.stylize(once, code) - once).square().mean().item())
    assert drifts[1] < 0.5 * drifts[0]


def test_settings_that_cannot_be_are_refused(folder):
    with pytest.raises(ValueError, match="idempotency_form must be one of"):
        _recipe(folder, idempotency_form="both")
    with pytest.raises(ValueError, match="batch_size must be at least 4"):
        _recipe(folder, {"contrastive_style": 1.0})(*_pairs(2), "generator")
    with pytest.raises(ValueError, match="size must be at least 128"):
        _recipe(folder, discriminator_scales=3)
    with pytest.raises(ValueError, match="vgg_normalised"):
        RASTRecipe(TrainConfig("rast", ("x",), "y"))
    assert low_resolution_sizes(32, (0.5,)) == []
