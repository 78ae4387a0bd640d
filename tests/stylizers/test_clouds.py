"""Clouds and grain that a content does not have go; its map of colours and texture stay."""

import pytest
import torch
import torch.nn.functional as F

import styleaug
from styleaug import create_stylizer
from styleaug.images import as_batch, read_image, to_content
from styleaug.stylizers.clouds import cloudless


def _smooth(height, width, seed=0):
    """A field that changes over a fifth of a side, of deviation 0.05."""
    drawn = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    field = F.interpolate(drawn, (height, width), mode="bicubic")
    return 0.05 * (field - field.mean((2, 3), keepdim=True)) / field.std()


def _content(height, width):
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    return (0.5 * noise + 4.0 * _smooth(height, width, seed=2) + 0.25).clamp(0.0, 1.0)


def _map(colors):
    mixed = torch.einsum(
        "dc,bchw->bdhw", torch.tensor([[0.5, 0.3, 0], [-0.4, 0.9, 0.2], [0, 0, 0.8]]), colors
    )
    return 0.1 + 0.8 * mixed - 0.3 * mixed**3


def _picture(name):
    image = read_image(f"{styleaug.__path__[0]}/samples/{name}")
    return F.interpolate(to_content(as_batch(image.pixels)[0]), (96, 96), mode="area")


SIZES = [(96, 96), (32, 150), (301, 203)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_map_of_colours_stays(height, width):
    content = _content(height, width)
    assert (cloudless(_map(content), content) - _map(content)).abs().max() < 0.004


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_cloud_goes_and_texture_stays(height, width):
    content, cloud = _content(height, width), _smooth(height, width, seed=3)
    texture = 0.05 * torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(4))
    left = cloudless(_map(content) + cloud, content) - _map(content)
    assert left.std() < 0.3 * cloud.std()  # of the rest a map of colours can make a part
    kept = cloudless(_map(content) + texture, content) - _map(content)
    assert (kept - texture).std() < 0.2 * texture.std()


def test_even_ground_comes_out_even():
    content = torch.full((1, 3, 80, 80), 0.9)
    painted = 0.5 + _smooth(80, 80)
    assert cloudless(painted, content).std() < 0.2 * painted.std()


def test_grain_goes_on_even_ground_alone():
    content = torch.cat([_content(96, 64), torch.full((1, 3, 96, 64), 0.8)], dim=3)
    grain = 0.05 * torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(5))
    left = cloudless(_map(content) + grain, content) - _map(content)
    uneven, even = slice(0, 56), slice(80, 128)
    assert (left - grain)[..., uneven].std() < 0.2 * grain.std()
    assert left[..., even].std() < 0.1 * grain.std()


def test_grey_contents_have_maps_to_colours():
    grey = _content(90, 70).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    painted = torch.cat([grey[:, :1].square(), 0.4 * grey[:, 1:2], 1.0 - grey[:, 2:]], dim=1)
    assert (cloudless(painted, grey) - painted).abs().max() < 0.004


def test_images_of_a_batch_do_not_see_each_other():
    contents = torch.cat([_content(64, 64), _content(64, 64).flip(1)])
    painted = _map(contents) + _smooth(64, 64)
    alone = cloudless(painted[1:], contents[1:])
    assert torch.allclose(cloudless(painted, contents)[1:], alone, atol=1e-5)


def test_what_a_compiler_sees_is_the_same(monkeypatch):
    content = _content(64, 64)
    painted = _map(content) + _smooth(64, 64)
    expected = cloudless(painted, content)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.allclose(cloudless(painted, content), expected, atol=1e-3)


def test_even_ground_stays_even_in_patches():
    content, style = torch.tensor([0.5, 0.3, 0.5]).view(1, 3, 1, 1), _picture("nuclei-pink.png")
    stylizer = create_stylizer("stylizing-vit-tiny")
    painted = stylizer.stylize(content.expand(-1, -1, 224, 224), stylizer.encode_style(style))
    assert painted.std(dim=(2, 3)).max() < 0.02


@pytest.mark.parametrize("name", ["contextual-adain", "rast", "style-kernel"])
def test_decoders_paint_no_clouds(name):
    content, style = _picture("nuclei-pink.png"), _picture("nuclei-purple-on-white.png")
    changed = {}
    for detail in (True, False):
        stylizer = create_stylizer(name, detail=detail)
        painted = stylizer.stylize(content, stylizer.encode_style(style))
        changed[detail] = (cloudless(painted, content) - painted).std()
    assert changed[True] < 0.4 * changed[False]
