"""Parity with the reference implementation, wherever it is installed."""

import pytest
import torch

from styleaug.stylizers.vit.engine import StylizingViTEngine
from styleaug.stylizers.vit.network import CONFIGS, StylizingViTNetwork

reference = pytest.importorskip("stylizing_vit", reason="pip install 'styleaug[test]'")

PARAMETERS = {"tiny": 5_820_513, "small": 22_847_457, "base": 90_521_313}


@pytest.fixture(scope="module", params=list(CONFIGS))
def pair(request):
    """The reference and our network of one size, with the same lively random weights."""
    theirs = reference.create_model(backbone=request.param, train=False).eval()
    generator = torch.Generator().manual_seed(3)
    state = {name: _lively(name, tensor, generator) for name, tensor in theirs.state_dict().items()}
    theirs.load_state_dict(state)
    ours = StylizingViTNetwork(CONFIGS[request.param]).eval()
    ours.load_state_dict(state, strict=True)
    return request.param, theirs, ours


def _lively(name, tensor, generator):
    """Random weights with norms and biases far from their initial 1 and 0."""
    noise = torch.randn(tensor.shape, generator=generator)
    if "norm" in name and name.endswith("weight"):
        return 1.0 + 0.2 * noise
    if name.endswith("bias"):
        return 0.1 * noise
    return tensor + 0.02 * noise


def test_every_parameter_is_there(pair):
    size, theirs, ours = pair
    expected = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == expected
    assert len(expected) == 203
    assert sum(parameter.numel() for parameter in ours.parameters()) == PARAMETERS[size]


def test_training_starts_from_the_same_positions():
    theirs = reference.create_model(backbone="tiny", train=False)
    ours = StylizingViTNetwork(CONFIGS["tiny"])
    assert torch.allclose(ours.encoder.pos_embed, theirs.encoder.pos_embed, atol=1e-6)


@torch.no_grad()
def test_outputs_agree(pair):
    """As it is trained, and as it is run: with the style encoded before."""
    _, theirs, ours = pair
    content, style = torch.randn(2, 2, 3, 224, 224).unbind()
    expected = theirs(content, style)
    span = expected.max() - expected.min()
    assert (ours(content, style) - expected).abs().max() <= 1e-5 * span
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.02)):
        engine = StylizingViTEngine(ours, torch.device("cpu"), dtype)
        layers = enumerate(engine.style_layers(engine.tokens(style)))
        styles = [engine.keys_values(index, normed) for index, normed in layers]
        tokens = engine.stylized(engine.content_layers(engine.tokens(content)), styles)
        found = engine.pixels(tokens, (14, 14))
        assert (found - expected).abs().max() <= tolerance * span
