"""The network of "micro": starts as the channel statistics, keeps grey grey, has no seams."""

import pytest
import torch

from styleaug import create_stylizer
from styleaug.stylizers.micro_network import (
    MicroNetwork,
    apply_field,
    laplacian_pyramid,
    match_channels,
    match_strength,
    rebuild,
    strength,
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MicroNetwork().eval()


def test_untrained_it_has_the_strength_of_the_style_in_every_band(network):
    torch.manual_seed(1)
    content, style = 0.4 + 0.2 * torch.rand(2, 3, 64, 64), 0.3 + 0.3 * torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        output = network(content, **network.encode_style(style))
    (bands, low), (wanted, coarse) = laplacian_pyramid(output), laplacian_pyramid(style)
    for band, target in zip(bands, wanted, strict=True):
        assert torch.allclose(strength(band), strength(target), rtol=0.1)
    assert torch.allclose(low.mean((2, 3)), coarse.mean((2, 3)), atol=0.01)


def test_a_content_in_its_own_style_stays(network):
    content = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(network(content, **network.encode_style(content)), content, atol=1e-5)


def test_a_pyramid_is_rebuilt_exactly():
    image = torch.rand(1, 3, 48, 64)
    assert torch.allclose(rebuild(*laplacian_pyramid(image)), image, atol=1e-6)


def test_the_identity_field_changes_nothing():
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(apply_field(image, torch.zeros(1, 21, 8, 8)), image)


def test_a_constant_field_is_a_colour_matrix():
    image, matrix = torch.rand(1, 3, 16, 16), 0.2 * torch.rand(3, 3)
    field = torch.cat([matrix.flatten(), torch.full((12,), 0.1)]).view(1, 21, 1, 1)
    expected = image + torch.einsum("cd,bdhw->bchw", matrix, image - 0.5) + 0.1
    assert torch.allclose(apply_field(image, field.expand(1, 21, 8, 8)), expected, atol=1e-6)


def test_contrast_is_raised_four_fold_at_most():
    flat = 0.5 + 0.001 * torch.rand(1, 3, 32, 32)
    matched = match_channels(flat, torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.3))
    assert (matched - 0.5).abs().max() < 0.004
    band = 0.01 * torch.randn(1, 3, 32, 32)
    assert torch.allclose(match_strength(band, torch.ones(1, 3, 1, 1)), 4.0 * band)
    assert torch.allclose(match_strength(band, torch.zeros(1, 3, 1, 1)), 0.25 * band)


def test_every_parameter_takes_part(network):
    network.zero_grad()
    for head in network.heads:
        torch.nn.init.normal_(head.weight, std=0.02)
    output = network(torch.rand(2, 3, 64, 64), **network.encode_style(torch.rand(2, 3, 64, 64)))
    output.square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # a bias before an instance normalisation has no effect
    assert [name for name in idle if not name.endswith("bias")] == []


def test_weights_are_asked_for():
    with pytest.raises(ValueError, match="styleaug train micro"):
        create_stylizer("micro")
