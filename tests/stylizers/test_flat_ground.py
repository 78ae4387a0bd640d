"""What is painted on flat ground follows the content there, and is left alone elsewhere."""

import torch

from styleaug.stylizers.flat_ground import calm_ground


def _waves(period, side=112):
    columns = torch.sin(torch.arange(side) * (2 * torch.pi / period))
    return columns.expand(1, 3, side, side)


def _amount(image, wave):
    """How much of a wave is in the middle of an image, by regression."""
    middle = (..., slice(16, 96), slice(16, 96))
    wave = wave[middle] - wave[middle].mean()
    return ((image[middle] * wave).sum() / (wave.square().sum() * len(image))).item()


def test_a_weave_on_flat_ground_goes_and_its_colour_stays():
    color = torch.tensor([0.9, 0.5, 0.2]).view(1, 3, 1, 1).expand(1, 3, 112, 112)
    weave = _waves(16)
    calm = calm_ground(color + 0.03 * weave, torch.full((1, 3, 112, 112), 0.7))
    assert abs(_amount(calm, weave)) < 0.003
    assert torch.allclose(calm.mean(dim=(2, 3)), color.mean(dim=(2, 3)), atol=1e-3)


def test_faint_structures_of_the_content_stay():
    structure, weave = _waves(10), _waves(16).transpose(2, 3)
    painted = 0.4 - 0.02 * structure + 0.03 * weave
    calm = calm_ground(painted, 0.7 + 0.01 * structure)
    assert -0.021 < _amount(calm, structure) < -0.015
    assert abs(_amount(calm, weave)) < 0.012


def test_where_the_content_has_contrast_nothing_changes():
    torch.manual_seed(0)
    content, painted = torch.rand(2, 3, 40, 48), torch.rand(2, 3, 40, 48)
    assert torch.equal(calm_ground(painted, content), painted)


def test_an_image_painted_as_it_is_stays():
    content = (0.5 + 0.01 * torch.randn(1, 1, 50, 60)).expand(1, 3, 50, 60)
    assert (calm_ground(content, content) - content).abs().max() < 0.01
    whole = calm_ground(torch.cat([content, 1 - content]), torch.cat([content, content]))
    assert torch.allclose(whole[:1], calm_ground(content, content), atol=1e-6)
