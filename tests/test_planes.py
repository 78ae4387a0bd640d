"""Planes of 8 bits: exact numbers, whether OpenCV counts or NumPy does."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from styleaug import create_stylizer
from styleaug.images import planes

pytest.importorskip("cv2")


@pytest.fixture(params=[True, False], ids=["opencv", "numpy"])
def counter(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(planes, "opencv", lambda: None)


def _image(height, width, channels=3, seed=0):
    shape = (2, height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(st.integers(1, 700), st.integers(1, 40), st.integers(0, 255), st.integers(0, 255))
def test_sums_are_whole_numbers(height, width, low, high):
    image = np.random.default_rng(low).integers(min(low, high), max(low, high) + 1, (height, width))
    plane = image.astype(np.uint8)[None, None]
    total, squares = planes.sums(plane)
    assert total.item() == image.sum()
    assert squares.item() == (image.astype(np.int64) ** 2).sum()


def test_a_large_nearly_flat_plane_keeps_its_sums(counter):
    plane = np.full((1, 1, 5000, 4000), 255, np.uint8)
    plane[0, 0, 17, 23] = 254
    total, squares = planes.sums(plane)
    assert total.item() == 255 * plane.size - 1
    assert squares.item() == 255**2 * plane.size - 509


def test_counts_are_those_of_every_level(counter):
    pixels = _image(37, 53).transpose(0, 3, 1, 2)
    found = planes.counts(np.ascontiguousarray(pixels))
    for image, rows in zip(pixels, found, strict=True):
        for plane, row in zip(image, rows, strict=True):
            assert np.array_equal(row, np.bincount(plane.ravel(), minlength=256))


def test_tables_are_looked_up_beyond_one_block(counter):
    pixels = _image(700, 400, 1)[:1].transpose(0, 3, 1, 2)
    assert pixels.size > planes._BLOCK
    table = np.random.default_rng(1).permutation(256).astype(np.uint8).reshape(1, 1, 256)
    out = np.empty_like(np.ascontiguousarray(pixels))
    planes.mapped(np.ascontiguousarray(pixels), table, out)
    assert np.array_equal(out, table[0, 0][pixels])


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("layout", ["planar", "interleaved", "cut", "flipped"])
def test_planes_come_apart_and_together_in_any_layout(counter, layout, channels):
    interleaved = torch.from_numpy(_image(30, 40, channels)).permute(0, 3, 1, 2)
    images = {
        "planar": interleaved.contiguous(),
        "interleaved": interleaved,
        "cut": interleaved[:, :, 3:20, 5:31],
        "flipped": interleaved.transpose(2, 3),
    }[layout]
    apart = planes.split(images)
    assert apart.flags.c_contiguous
    assert np.array_equal(apart, images.numpy())
    together = planes.joined(torch.from_numpy(apart.copy()), images)
    assert torch.equal(together, images)
    assert channels == 1 or together.stride() == torch.empty_like(images).stride()


@pytest.mark.parametrize("name", ["colorist", "histogram"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_do_not_depend_on_what_counts_them(monkeypatch, name, channels):
    stylizer = create_stylizer(name)
    images = torch.from_numpy(_image(61, 47, channels)).permute(0, 3, 1, 2)
    styles = torch.from_numpy(_image(50, 60, seed=1) // 2 + 60).permute(0, 3, 1, 2)
    strengths = [1.0, 0.4]

    def painted():
        return stylizer.stylize_bytes(images, stylizer.encode_bytes(styles), strengths)

    with_opencv = painted()
    monkeypatch.setattr(planes, "opencv", lambda: None)
    assert torch.equal(with_opencv, painted())
    assert channels == 1 or with_opencv.stride() == images.stride()
