"""The losses of contextual AdaIN that have no weight unless they are given one."""

import pytest
import torch

from styleaug.training import TrainConfig
from styleaug.training.losses import edge_loss, flatness_loss
from styleaug.training.recipes.contextual_adain import ContextualAdaINRecipe
from styleaug.training.recipes.networks import Perception

OPTIONS = {
    "backbone": "vgg19-normalised",
    "layer": "relu3_1",
    "content_layers": ["relu3_1"],
    "style_layers": ["relu1_1", "relu2_1"],
}


@pytest.fixture
def recipe(folder):
    def build(**weights):
        torch.manual_seed(0)
        features = str(folder / "vgg.safetensors")
        content = (str(folder / "images"),)
        return ContextualAdaINRecipe(
            TrainConfig(
                "contextual-adain",
                content,
                "unused",
                features=features,
                weights=weights,
                options=OPTIONS,
            )
        )

    return build


def test_identity_compares_the_decoded_content_with_the_content(recipe):
    content, style = torch.rand(2, 2, 3, 32, 32)
    network = (made := recipe(identity=2.0)).network
    found = made(content, style, "generator")
    assert set(found) == {"content", "style", "identity"}
    expected = (network.decoder(network.encode(content)) - content).square().mean()
    torch.testing.assert_close(found["identity"], expected)
    assert set(recipe()(content, style, "generator")) == {"content", "style"}


def test_losses_without_weight_are_not_computed(recipe, monkeypatch):
    made = recipe(identity=1.0, content=0.0, style=0.0)
    monkeypatch.setattr(Perception, "__call__", lambda *_: pytest.fail("the loss network ran"))
    content, style = torch.rand(2, 2, 3, 32, 32)
    assert set(made(content, style, "generator")) == {"identity"}


def test_edges_and_flatness_compare_the_output_with_the_content(recipe):
    content, style = torch.rand(2, 2, 3, 32, 32)
    network = (made := recipe(edges=1.0, flatness=1.0)).network
    found = made(content, style, "generator")
    assert set(found) == {"content", "style", "edges", "flatness"}
    output = network(content, style)
    torch.testing.assert_close(found["edges"], edge_loss(output, content))
    torch.testing.assert_close(found["flatness"], flatness_loss(output, content))
    (found["edges"] + found["flatness"]).backward()
    assert all(p.grad.abs().sum() > 0 for p in network.decoder.parameters())


def test_edges_alone_are_enough_to_transfer(recipe):
    content, style = torch.rand(2, 2, 3, 32, 32)
    found = recipe(content=0.0, style=0.0, edges=1.0)(content, style, "generator")
    assert "edges" in found


def test_a_run_without_any_loss_is_refused(recipe):
    with pytest.raises(ValueError, match="at least one loss a weight over 0"):
        recipe(content=0.0, style=0.0)
