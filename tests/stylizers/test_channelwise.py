"""Tables of 256 levels paint what the stylizer paints on floats."""

import numpy as np
import pytest
import torch

from styleaug import StyleBank, StyleTransfer, create_stylizer
from styleaug.adapters.albumentations import StyleTransfer as OnAlbumentations
from styleaug.stylizers.channelwise import ChannelwiseStylizer

NAMES = ("colorist", "histogram")


def _images(channels, count=5, sides=(61, 47)):
    """Smooth images with noise, bright and dark, whose sums are no multiples of a power of two."""
    coarse = torch.nn.functional.interpolate(torch.rand(count, channels, 6, 6), sides)
    noisy = 0.7 * coarse + 0.3 * torch.rand(count, channels, *sides)
    return (255 * noisy * torch.rand(count, channels, 1, 1)).to(torch.uint8)


def _by_floats(monkeypatch, transform, images, params):
    with monkeypatch.context() as patch:
        patch.setattr(ChannelwiseStylizer, "takes", lambda *_: False)
        return transform.apply_transform(images, params)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("styles", ["batch", "bank"])
@pytest.mark.parametrize("per_instance", [True, False])
def test_tables_give_the_pixels_of_floats(monkeypatch, name, channels, styles, per_instance):
    images = _images(channels)
    bank = StyleBank.from_images(_images(3), name) if styles == "bank" else "batch"
    transform = StyleTransfer(
        name, styles=bank, p=0.8, alpha=(0.0, 1.0), per_instance=per_instance, seed=3
    )
    params = transform.make_params(images)
    painted = transform.apply_transform(images, params)
    assert any(params.applied)
    assert not torch.equal(painted, images)
    assert torch.equal(painted, _by_floats(monkeypatch, transform, images, params))


@pytest.mark.parametrize("name", NAMES)
def test_sums_that_round_otherwise_change_a_level_at_most(monkeypatch, name):
    images = torch.randint(0, 256, (4, 3, 256, 300), dtype=torch.uint8)
    transform = StyleTransfer(name, styles=_images(3), p=1.0, alpha=(0.0, 1.0), seed=1)
    params = transform.make_params(images)
    painted = transform.apply_transform(images, params).int()
    apart = (painted - _by_floats(monkeypatch, transform, images, params).int()).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_layouts_and_batches_agree_to_the_bit(name):
    images = _images(3)
    transform = StyleTransfer(name, styles=_images(3, 3), p=1.0, alpha=(0.2, 0.9), seed=5)
    params = transform.make_params(images)
    painted = transform.apply_transform(images, params)
    array = transform.apply_transform(images.permute(0, 2, 3, 1).numpy(), params)
    flipped = transform.apply_transform(images.flip(3), params).flip(3)
    single = [transform.apply_transform(images[i : i + 1], params[i : i + 1]) for i in range(5)]
    assert np.array_equal(array, painted.permute(0, 2, 3, 1).numpy())
    assert torch.equal(flipped, painted)
    assert torch.equal(torch.cat(single), painted)


@pytest.mark.parametrize("name", NAMES)
def test_no_strength_and_one_color_keep_their_bits(name):
    stylizer = create_stylizer(name)
    images = torch.stack([_images(3)[0], torch.full((3, 61, 47), 200, dtype=torch.uint8)])
    code = stylizer.encode_bytes(_images(3, 2))
    assert torch.equal(stylizer.stylize_bytes(images, code, [0.0, 0.0]), images)
    flat = stylizer.stylize_bytes(images, code, [1.0, 1.0])[1]
    assert all(len(channel.unique()) == 1 for channel in flat)


@pytest.mark.parametrize("name", NAMES)
def test_codes_of_bytes_are_those_of_floats(name):
    stylizer, images = create_stylizer(name), _images(3)
    bytes_, floats = stylizer.encode_bytes(images), stylizer.encode_style(images / 255.0)
    for key, kept in bytes_.maps.items():
        assert kept.dtype == floats.maps[key].dtype
        assert torch.allclose(kept, floats.maps[key], atol=1e-6)


def test_an_adapter_makes_no_float_image(monkeypatch):
    def refuse(*_):
        raise AssertionError("a float image was made")

    image = _images(3)[0].permute(1, 2, 0).numpy()
    transform = OnAlbumentations("colorist", styles=[image[::-1]], p=1.0)
    monkeypatch.setattr("styleaug.transform.to_content", refuse)
    assert transform(image=image)["image"].shape == image.shape
