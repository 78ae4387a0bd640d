"""Encoders of large features: the file says by what they are divided, and it is done."""

import json
from dataclasses import asdict

import pytest
import torch

from styleaug import create_stylizer
from styleaug.stylizers.adain_network import AdaINConfig, AdaINNetwork
from styleaug.stylizers.rast_network import RASTConfig, RASTNetwork
from styleaug.stylizers.style_kernel_network import StyleKernelConfig, StyleKernelNetwork
from styleaug.weights import save_tensors

FAMILIES = {
    "contextual-adain": (AdaINConfig, AdaINNetwork),
    "rast": (RASTConfig, RASTNetwork),
    "style-kernel": (StyleKernelConfig, StyleKernelNetwork),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_features_are_divided_by_what_the_file_says(name, tmp_path):
    settings, build = FAMILIES[name]
    config = settings("vgg19", "relu3_1", feature_scale=20.0)
    network, plain = build(config), build(settings("vgg19", "relu3_1"))
    plain.load_state_dict(network.state_dict())
    save_tensors(network.state_dict(), tmp_path / "model.safetensors", {})
    (tmp_path / "config.json").write_text(json.dumps(asdict(config)))
    stylizer = create_stylizer(name, weights=str(tmp_path / "model.safetensors"))
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        found, whole = (
            torch.cat([maps.flatten() for maps in model.encode(image)])
            for model in (stylizer.network, plain)
        )
    assert torch.allclose(20.0 * found, whole, rtol=1e-4, atol=1e-6)
    assert whole.abs().max() > 0


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), "300"])
def test_a_scale_is_a_number_over_0(name, value):
    with pytest.raises(ValueError, match="feature_scale must be a number over 0"):
        FAMILIES[name][0](feature_scale=value)
