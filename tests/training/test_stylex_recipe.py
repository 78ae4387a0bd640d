"""The recipe of StyleX leaves an encoder that loads."""

import pytest
import torch

from styleaug.stylex import StyleX
from styleaug.training import TrainConfig
from styleaug.training.recipes.stylex import StyleXRecipe


def test_the_recipe_trains_and_its_weights_load(train):
    run = train("stylex", 3, batch_size=4, size=32, features="")
    metric = StyleX(run / "model.safetensors")
    assert metric.embed(torch.rand(3, 1, 48, 48)).shape == (3, 512)
    with pytest.raises(ValueError, match="pipelines must be one of"):
        StyleXRecipe(TrainConfig("stylex", ("x",), "y", options={"pipelines": ["clahe"]}))
