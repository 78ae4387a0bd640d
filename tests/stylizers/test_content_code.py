"""A picture in one piece and in tiles comes out the same, where the picture's code is given."""

import pytest
import torch

from styleaug import create_stylizer
from styleaug.stylizers.content_code import check_takes_content_code

NAMES = ("appearance", "colorist", "histogram", "mkl", "reinhard")
LEVEL = 1.0 / 255.0


def _picture(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6, generator=generator)
    fine = torch.rand(1, 3, height, width, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return 0.75 * smooth + 0.25 * fine


@pytest.fixture(scope="module", params=NAMES)
def stylizer(request):
    return create_stylizer(request.param)


def _in_tiles(stylizer, picture, style, own, side=64):
    out = torch.empty_like(picture)
    height, width = picture.shape[2:]
    for top in range(0, height, side):
        for left in range(0, width, side):
            y, x = max(0, top - stylizer.reach), max(0, left - stylizer.reach)
            bottom, right = min(top + side, height), min(left + side, width)
            part = picture[..., y : bottom + stylizer.reach, x : right + stylizer.reach]
            painted = stylizer.stylize(part, style, 0.8, content_code=own)
            cut = painted[..., top - y : bottom - y, left - x : right - x]
            out[..., top:bottom, left:right] = cut
    return out


def test_tiles_have_no_seam(stylizer):
    picture, style = _picture(150, 201, 0), stylizer.encode_style(_picture(80, 90, 1) ** 2)
    whole = stylizer.stylize(picture, style, 0.8)
    own = stylizer.encode_content(picture)
    tiles = _in_tiles(stylizer, picture, style, own)
    assert (tiles - whole).abs().max() <= LEVEL
    alone = _in_tiles(stylizer, picture, style, None)  # what the code is for
    assert (alone - whole).abs().max() > 5 * LEVEL


def test_one_code_of_parts_is_that_of_the_whole(stylizer):
    picture = _picture(128, 128, 2)
    rows = picture.unflatten(2, (2, 64)).transpose(1, 2).flatten(0, 1)
    own = stylizer.encode_content(rows, together=True)
    assert len(own) == 1
    assert len(stylizer.encode_content(rows)) == 2
    if stylizer.pointwise:
        for name, tensor in stylizer.encode_content(picture).maps.items():
            torch.testing.assert_close(own.maps[name], tensor, rtol=1e-4, atol=1e-4)


def test_alpha_0_keeps_parts_bit_for_bit(stylizer):
    picture = _picture(40, 40, 3)
    code = stylizer.encode_content(picture)
    assert torch.equal(
        stylizer.stylize(picture[:, :, :12], code, 0.0, content_code=code)[0], picture[0, :, :12]
    )


def test_what_has_no_code_of_a_content_says_so():
    with pytest.raises(ValueError, match="'fda' does not"):
        check_takes_content_code(create_stylizer("fda"))
    assert check_takes_content_code(create_stylizer("mkl")).reach == 0


def test_codes_of_others_are_refused():
    picture = _picture(40, 40, 5)
    other = create_stylizer("mkl").encode_content(picture)
    stylizer = create_stylizer("colorist")
    with pytest.raises(ValueError, match="content_code must come from 'colorist'"):
        stylizer.stylize(picture, stylizer.encode_style(picture), content_code=other)
    style, two = stylizer.encode_style(picture), stylizer.encode_content(picture)[[0, 0]]
    with pytest.raises(ValueError, match="content_code must hold 1"):
        stylizer.stylize(picture, style, content_code=two)
