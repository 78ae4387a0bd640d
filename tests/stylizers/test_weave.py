"""What is painted again in every patch goes; what the content has, and free texture, stays."""

import torch

from styleaug.stylizers.weave import unwoven

COLOR = torch.tensor([0.9, 0.5, 0.2]).view(1, 3, 1, 1)


def _waves(period, side=112):
    columns = torch.sin(torch.arange(side) * (2 * torch.pi / period))
    return columns.expand(1, 3, side, side)


def _amount(image, wave):
    """How much of a wave is in the middle of an image, by regression."""
    middle = (..., slice(16, 96), slice(16, 96))
    wave = wave[middle] - wave[middle].mean()
    return ((image[middle] * wave).sum() / (wave.square().sum() * len(image))).item()


def test_a_weave_on_flat_ground_goes_and_its_colour_stays():
    color, weave = COLOR.expand(1, 3, 112, 112), _waves(16)
    calm = unwoven(color + 0.03 * weave, torch.full((1, 3, 112, 112), 0.7), 16)
    assert abs(_amount(calm, weave)) < 0.003
    assert torch.allclose(calm.mean(dim=(2, 3)), color.mean(dim=(2, 3)), atol=1e-3)


def test_a_weave_goes_where_the_content_has_contrast():
    torch.manual_seed(0)
    content, weave = 0.5 + 0.1 * torch.randn(1, 3, 112, 112), _waves(16)
    color = COLOR * content.mean(dim=1, keepdim=True)
    assert abs(_amount(unwoven(color + 0.05 * weave, content, 16), weave)) < 0.01
    assert (unwoven(color, content, 16) - color).abs().mean() < 1e-3


def test_structures_of_the_content_stay_even_of_the_same_period():
    structure = _waves(16)
    calm = unwoven(0.4 - 0.02 * structure, 0.7 + 0.05 * structure, 16)
    assert abs(_amount(calm, structure) + 0.02) < 0.002


def test_texture_that_does_not_keep_to_patches_stays_to_eight_ninths():
    torch.manual_seed(0)
    texture = 0.05 * torch.randn(1, 3, 112, 112)
    painted, content = 0.5 + texture, torch.full((1, 3, 112, 112), 0.7)
    assert 0.85 < _amount(unwoven(painted, content, 16), texture) < 0.95


def test_one_image_of_a_batch_is_as_alone():
    torch.manual_seed(0)
    content, painted = torch.rand(2, 3, 48, 64), torch.rand(2, 3, 48, 64)
    alone = unwoven(painted[1:], content[1:], 16)
    assert torch.allclose(unwoven(painted, content, 16)[1:], alone, atol=1e-6)
