"""The recipe of StyleX leaves an encoder that loads."""

import json

import pytest
import torch

from styleaug.metrics import StyleDistance
from styleaug.stylex import StyleX
from styleaug.training import TrainConfig
from styleaug.training.recipes.contextual_adain import ContextualAdaINRecipe
from styleaug.training.recipes.stylex import StyleXRecipe

WEIGHTS = {"graded": 1.0, "contrastive": 1.0}


def test_the_recipe_trains_and_its_weights_load(train):
    run = train("stylex", 3, batch_size=4, size=32, features="", weights=WEIGHTS)
    assert set(WEIGHTS) < set(json.loads((run / "history.json").read_text())[-1])
    metric = StyleX(run / "model.safetensors")
    assert metric.embed(torch.rand(3, 1, 48, 48)).shape == (3, 512)
    with pytest.raises(ValueError, match="pipelines must be one of"):
        StyleXRecipe(TrainConfig("stylex", ("x",), "y", options={"pipelines": ["clahe"]}))


def test_it_serves_as_a_loss_and_as_a_metric(train, folder):
    encoder = train("stylex", 1, batch_size=4, features="") / "model.safetensors"
    options = {
        "backbone": "vgg19-normalised",
        "layer": "relu3_1",
        "content_layers": ["relu3_1"],
        "style_layers": ["relu1_1", "relu2_1"],
        "scales": [1.0, 1.0],
        "stylex": str(encoder),
    }
    config = TrainConfig(
        "contextual-adain",
        (str(folder / "images"),),
        "unused",
        features=str(folder / "vgg.safetensors"),
        weights={"stylex": 1.0},
        options=options,
    )
    torch.manual_seed(0)
    recipe = ContextualAdaINRecipe(config)
    content, style = torch.rand(2, 2, 3, 32, 32)
    losses = recipe(content, style, "generator")
    losses["stylex"].backward()
    assert recipe.network.decoder[-1].weight.grad.abs().max() > 0
    assert "stylex" not in ContextualAdaINRecipe(config.with_changes(weights={}))(
        content, style, "generator"
    )
    metric, stylex = StyleDistance(StyleX(encoder)), StyleX(encoder)
    metric.update(content, style)
    expected = stylex.distance(content, style).mean().item()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-5)
