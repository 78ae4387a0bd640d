"""Detail that a decoder loses comes back as it was, in the colours that were painted."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import styleaug
from styleaug import create_stylizer
from styleaug.functional import edge_correlation
from styleaug.stylizers import decoding
from styleaug.stylizers.lost_detail import keeps_detail, mended, put_back
from styleaug.weights import EXTRA, Weights

OPTIONS = {
    "contextual-adain": {},
    "rast": {},
    "style-kernel": {},
    "stylizing-vit-tiny": {"resize": "tile"},  # small images as they are
}


@pytest.fixture(scope="module")
def pictures():
    folder = styleaug.__path__[0] + "/samples/"
    found = []
    for name in ("nuclei-pink.png", "nuclei-purple-on-white.png"):
        with Image.open(folder + name) as picture:
            array = np.asarray(picture.convert("RGB").resize((96, 96)))
        found.append(torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 255.0)
    return found


def _blurred(image):
    return F.avg_pool2d(F.pad(image, (2,) * 4, mode="replicate"), 5, 1)


def test_a_decoder_that_loses_nothing_changes_nothing(pictures):
    content, painted = pictures
    assert torch.equal(put_back(painted, content, content), painted)


def test_an_image_in_its_own_style_comes_back(pictures):
    content, _ = pictures
    soft = 0.8 * _blurred(content) + 0.1
    left = (put_back(soft, content, soft) - content).abs().mean()
    assert left < 0.2 * (soft - content).abs().mean()


def test_what_was_lost_comes_back_in_the_colours_that_were_painted(pictures):
    content, _ = pictures
    soft = _blurred(content)
    colors = torch.tensor([[0.2, 0.7, 0.0], [-0.5, 0.3, 0.4], [0.1, 0.0, 1.2]])
    painted, whole = (torch.einsum("dc,bchw->bdhw", colors, x) + 0.3 for x in (soft, content))
    sharp = put_back(painted, content, soft)
    assert edge_correlation(painted, whole).item() < 0.9
    assert (sharp - whole).abs().max() < 0.02


def test_what_is_painted_beyond_a_map_of_colours_stays(pictures):
    content, _ = pictures
    torch.manual_seed(0)
    texture = 0.1 * torch.randn_like(content)
    plain, textured = (
        put_back(0.5 * _blurred(content) + more, content, _blurred(content))
        for more in (0.0, texture)
    )
    assert (textured - plain - texture).abs().max() < 0.02


def test_where_an_image_is_flat_nothing_is_known_and_nothing_added():
    content, painted = torch.full((1, 3, 60, 60), 0.6), torch.rand(1, 3, 60, 60)
    assert torch.allclose(put_back(painted, content, content - 0.1), painted, atol=1e-4)


def test_a_grey_image_in_colour_gets_its_detail_along_what_was_painted():
    torch.manual_seed(0)
    content = torch.rand(1, 1, 60, 60).expand(1, 3, 60, 60)
    soft = _blurred(content)
    color = torch.tensor([0.9, 0.4, 0.1]).view(1, 3, 1, 1)
    sharp = put_back(color * soft, content, soft + 1e-3 * torch.randn_like(soft))
    assert (sharp - color * content).abs().max() < 0.05


def test_images_do_not_see_each_other(pictures):
    content, painted = (torch.cat([one, other]) for one, other in (pictures, pictures[::-1]))
    decoded = _blurred(content)
    whole = put_back(painted, content, decoded)
    alone = put_back(painted[1:], content[1:], decoded[1:])
    assert torch.allclose(whole[1:], alone, atol=1e-6)


def test_it_is_for_the_weights_that_ship_unless_asked():
    ours = Weights("medical", "x", "CC BY 4.0", "", package=EXTRA)
    published = Weights("camelyon17wilds", "y", "Apache-2.0", "", repository="someone/else")
    assert keeps_detail(None, ours)
    assert not keeps_detail(None, published)
    assert not keeps_detail(None, None)
    assert keeps_detail(True, None)
    assert not keeps_detail(False, ours)


@pytest.mark.parametrize("name", OPTIONS)
def test_stylizers_paint_more_sharply_with_it(name, pictures):
    content, style = pictures
    soft, sharp = (create_stylizer(name, detail=d, **OPTIONS[name]) for d in (False, None))
    code = soft.encode_style(style)
    edges = [
        edge_correlation(each.stylize(content, code), content).item() for each in (soft, sharp)
    ]
    assert sharp.detail
    assert edges[1] > 0.9
    assert edges[1] > edges[0] + 0.02
    grid = sharp.stylize_grid(content, sharp.encode_style(torch.cat(pictures)))
    alone = sharp.stylize(content, code)
    assert torch.allclose(grid[:, 1], alone, atol=2e-3)
    weak = sharp.stylize(content, code, 0.01)
    assert edge_correlation(weak, content).item() > 0.97


@pytest.mark.parametrize("name", ["contextual-adain", "rast", "style-kernel"])
def test_decoders_are_mended_at_the_stride_of_their_features(name, pictures, monkeypatch):
    content, style = pictures
    plain, sharp = (create_stylizer(name, detail=detail) for detail in (False, True))
    seen = []
    monkeypatch.setattr(decoding, "mended", lambda *given: seen.append(given) or mended(*given))
    painted = sharp.stylize(content, sharp.encode_style(style))
    ((soft, shown, own, period, across),) = seen
    for image, told in ((style, soft), (content, own)):
        expected = plain.stylize(content, plain.encode_style(image))
        assert torch.allclose(told.clamp(0.0, 1.0), expected, atol=1e-5)
    assert torch.equal(shown, content)
    height, width = (side // period for side in content.shape[2:])
    assert sharp.network.encode(content)[0].shape[-2:] == (height, width)
    assert torch.allclose(mended(soft, content, own, period, across).clamp(0.0, 1.0), painted)


@pytest.mark.parametrize("name", ["contextual-adain", "rast", "style-kernel"])
@pytest.mark.parametrize("detail", [False, True])
def test_a_grid_encodes_contents_once_and_their_own_style_once(name, detail, monkeypatch):
    stylizer = create_stylizer(name, detail=detail)
    assert stylizer.encodes_content_once
    code, content = stylizer.encode_style(torch.rand(3, 3, 64, 64)), torch.rand(2, 3, 64, 48)
    each = torch.stack([stylizer.stylize(content, code[[index] * 2]) for index in range(3)], 1)
    calls, encode = [], stylizer.network.encode
    monkeypatch.setattr(
        type(stylizer.network),
        "encode",
        lambda _, images: calls.append(len(images)) or encode(images),
    )
    assert torch.allclose(stylizer.stylize_grid(content, code), each, atol=1e-4)
    assert calls == [2] * (1 + detail)


def test_autocast_takes_no_precision_from_it(pictures):
    content, painted = pictures
    expected = put_back(painted, content, _blurred(content))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(put_back(painted, content, _blurred(content)), expected)
