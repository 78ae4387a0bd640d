"""The recipe of StyleKernel: all five losses pull, at the ratio of the paper."""

import json

import pytest
import torch

from styleaug import create_stylizer
from styleaug.features import FeatureExtractor
from styleaug.training import TrainConfig
from styleaug.training.recipes.networks import Perception
from styleaug.training.recipes.style_kernel import StyleKernelRecipe
from styleaug.weights import save_tensors

SMALL = {
    "backbone": "vgg19",
    "layer": "relu3_1",
    "style_layers": ["relu1_1", "relu2_1", "relu3_1"],
    "content_layers": ["relu3_1"],
    "scales": [1.0, 1.0, 1.0],
    "remd_layer": "relu3_1",
}


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    torch.manual_seed(0)
    body = FeatureExtractor("vgg19", ["relu3_1"], weights=None).body
    path = tmp_path_factory.mktemp("vgg") / "vgg19.safetensors"
    save_tensors({f"features.{key}": t for key, t in body.state_dict().items()}, path, {})
    return str(path)


def _recipe(vgg, weights=None, **options):
    torch.manual_seed(0)
    config = TrainConfig(
        "style-kernel",
        ("images",),
        "unused",
        features=vgg,
        weights=weights or {},
        options={**SMALL, **options},
    )
    return StyleKernelRecipe(config)


def _pairs():
    return torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


_OURS = {"edges": 1.0, "flatness": 1.0}
"""Losses that have no weight unless they are given one."""


@pytest.mark.parametrize(
    "name", ["content", "style", "remd", "identity", "adversarial", "edges", "flatness"]
)
def test_every_loss_pulls_on_the_network(vgg, name):
    recipe = _recipe(vgg, _OURS)
    losses = recipe(*_pairs(), "generator")
    assert set(losses) == set(recipe.default_weights) - {"discriminator"}
    assert set(_recipe(vgg)(*_pairs(), "generator")) == set(losses) - set(_OURS)
    losses[name].backward()
    assert recipe.network.decoder[-2].weight.grad.abs().max() > 0
    assert recipe.network.predictor.layers[-1].weight.grad.abs().max() > 0


def test_the_gate_learns(vgg):
    recipe = _recipe(vgg)
    torch.nn.init.normal_(recipe.network.predictor.layers[-1].weight, std=0.02)
    recipe.weigh(recipe(*_pairs(), "generator")).backward()
    assert all(p.grad.abs().max() > 0 for p in recipe.network.alignment.parameters())


def test_the_literal_distance_leaves_the_decoder_alone(vgg):
    recipe = _recipe(vgg, remd_on="aligned")
    recipe(*_pairs(), "generator")["remd"].backward()
    assert recipe.network.decoder[-2].weight.grad is None
    assert recipe.network.alignment.query.weight.grad.abs().max() > 0
    with pytest.raises(ValueError, match="remd_on must be one of"):
        _recipe(vgg, remd_on="kernels")


def test_with_identity_alone_nothing_is_painted_in_another_style(vgg, monkeypatch):
    none = dict.fromkeys(StyleKernelRecipe.default_weights, 0.0)
    expected = _recipe(vgg, groups=1)(*_pairs(), "generator")["identity"]
    monkeypatch.setattr(Perception, "__call__", lambda *_: pytest.fail("the loss network ran"))
    found = _recipe(vgg, none | {"identity": 1.0}, groups=1)(*_pairs(), "generator")
    assert set(found) == {"identity"}
    torch.testing.assert_close(found["identity"], expected)


def test_without_the_adversarial_loss_there_is_no_discriminator(vgg):
    recipe = _recipe(vgg, {"adversarial": 0.0})
    assert recipe.discriminator() is None
    assert "adversarial" not in recipe(*_pairs(), "generator")


def test_a_run_is_one_update_of_the_discriminator_for_two(train, vgg):
    run = train("style-kernel", 4, options={**SMALL, "gate": "relu"}, features=vgg)
    judged = ["discriminator" in entry for entry in json.loads((run / "history.json").read_text())]
    assert judged == [False, True, False, True]
    stylizer = create_stylizer("style-kernel", weights=str(run / "model.safetensors"))
    assert stylizer.network.config.gate == "relu"
