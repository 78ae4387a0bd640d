"""Detail that a decoder loses comes back as it was, in the colours that were painted."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import styleaug
from styleaug import create_stylizer
from styleaug.functional import edge_correlation
from styleaug.stylizers.lost_detail import keeps_detail, local_contrast, put_back
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


def test_what_was_lost_comes_back_in_every_channel_alike(pictures):
    content, _ = pictures
    soft = _blurred(content)
    painted = 0.5 * soft.roll(1, dims=1) + 0.3
    sharp = put_back(painted, content, soft)
    added = sharp - painted
    assert (added - added.mean(dim=1, keepdim=True)).abs().max() < 1e-6
    assert edge_correlation(painted, content).item() < 0.9
    assert edge_correlation(sharp, content).item() > 0.97


def test_detail_is_as_strong_as_the_painted_contrast(pictures):
    content, _ = pictures
    soft = _blurred(content)
    for gain in (0.5, 1.0, 1.5):
        painted = gain * (soft - 0.5) + 0.5
        added = (put_back(painted, content, soft) - painted).mean(dim=1, keepdim=True)
        lost = (content - soft).mean(dim=1, keepdim=True)
        slope = (added * lost).sum() / lost.square().sum()
        assert slope.item() == pytest.approx(gain, rel=0.2)


def test_flat_ground_gets_nothing_and_errors_of_the_level_stay_out():
    content = torch.full((1, 3, 60, 60), 0.6)
    painted = torch.full((1, 3, 60, 60), 0.2)
    assert torch.allclose(put_back(painted, content, content - 0.1), painted, atol=1e-6)
    assert local_contrast(content).max() < 2e-3  # half a level of 8 bits


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
