"""Losses of decoders see what their stylizers paint with ``detail=True``."""

import json

import pytest
import torch

from styleaug import create_stylizer
from styleaug.features import FeatureExtractor
from styleaug.training import TrainConfig
from styleaug.training.recipes import RECIPES
from styleaug.weights import save_tensors

LAYERS = {
    "layer": "relu3_1",
    "style_layers": ["relu1_1", "relu2_1"],
    "content_layers": ["relu3_1"],
    "scales": [1.0, 1.0],
    "backbone": "vgg19",
}
OWN = {
    "contextual-adain": {},
    "rast": {"contrast_layer": "relu2_1", "discriminator_scales": 1},
    "style-kernel": {"remd_layer": "relu3_1"},
}


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    torch.manual_seed(0)
    body = FeatureExtractor("vgg19", ["pool3"], weights=None).body
    path = tmp_path_factory.mktemp("vgg") / "vgg19.safetensors"
    save_tensors({f"features.{key}": t for key, t in body.state_dict().items()}, path, {})
    return str(path)


def _recipe(name, vgg, detail, weights):
    torch.manual_seed(0)
    options = {**LAYERS, **OWN[name], "detail": detail}
    config = TrainConfig(
        name, ("images",), "unused", size=32, features=vgg, weights=weights, options=options
    )
    recipe = RECIPES[name](config).eval()
    convolutions = [m for m in recipe.generator().modules() if isinstance(m, torch.nn.Conv2d)]
    last = next(layer for layer in reversed(convolutions) if layer.out_channels == 3)
    last.bias.data.fill_(0.5)  # else a new decoder paints black, or grey
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        last.weight.mul_(0.1 / recipe.network(images, images).std())
    return recipe


@pytest.mark.parametrize("name", OWN)
def test_losses_see_the_detail_that_the_stylizer_puts_back(name, vgg, tmp_path):
    content, style = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    losses, shown = {}, {}
    for detail in (False, True):
        recipe = _recipe(name, vgg, detail, {"identity": 1.0, "edges": 1.0})
        path = tmp_path / "weights.safetensors"
        (tmp_path / "config.json").write_text(json.dumps(recipe.file_config()))
        save_tensors(recipe.generator().state_dict(), path, {})
        stylizer = create_stylizer(name, weights=path, detail=detail)
        stylizer.style_size = None
        with torch.no_grad():
            losses[detail] = recipe(content, style, "generator")
            shown[detail] = recipe.preview(content, style)
        painted = stylizer.stylize(content, stylizer.encode_style(style))
        assert torch.allclose(shown[detail], painted, atol=1e-3)
    assert (shown[True] - shown[False]).abs().mean() > 0.05
    assert losses[True]["identity"] == losses[False]["identity"]
    assert losses[True]["edges"] < losses[False]["edges"]


@pytest.mark.parametrize("name", ["rast", "style-kernel"])
def test_discriminators_see_it_too(name, vgg):
    content, style = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    seen = []
    for detail in (False, True):
        recipe = _recipe(name, vgg, detail, {})
        seen.append(recipe(content, style, "discriminator")["discriminator"])
    assert seen[0] != seen[1]
