"""Any layout and data type in, the same out; wrong images get a clear error."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from styleaug.images.batch import as_batch, from_content, put_rows, take_rows, to_content

TENSOR_DTYPES = [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32]


def _random(shape, dtype):
    if dtype in (torch.uint8, torch.uint16):
        top = 256 if dtype == torch.uint8 else 65536
        return torch.randint(0, top, shape).to(dtype)
    return torch.rand(shape).to(dtype)


@pytest.mark.parametrize("dtype", TENSOR_DTYPES)
@given(st.sampled_from([1, 3, 4]), st.integers(32, 40), st.integers(32, 40), st.booleans())
def test_tensor_round_trip_is_exact(dtype, channels, height, width, batched):
    image = _random((2, channels, height, width) if batched else (channels, height, width), dtype)
    batch, restore = as_batch(image)
    again = restore(from_content(to_content(batch), batch))
    assert again.dtype == image.dtype
    assert again.shape == image.shape
    # the mean of three equal float32 numbers may round in the last bit
    assert torch.allclose(again.double(), image.double(), atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(33, 40), (33, 40, 1), (33, 40, 3), (33, 40, 4), (2, 33, 40, 3)])
def test_array_round_trip_is_exact(dtype, shape):
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    image = (np.random.default_rng(0).random(shape) * top).astype(dtype)
    batch, restore = as_batch(image)
    assert batch.shape[-2:] == (33, 40)
    again = restore(from_content(to_content(batch), batch))
    assert again.dtype == image.dtype
    assert again.shape == image.shape
    assert np.allclose(again, image, atol=1e-7)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "I;16"])
def test_pil_modes_are_kept(mode):
    base = Image.effect_noise((40, 36), 60)
    image = Image.fromarray(np.array(base).astype(np.uint16) * 256) if mode == "I;16" else None
    image = image or base.convert(mode)
    batch, restore = as_batch(image)
    again = restore(from_content(to_content(batch), batch))
    assert again.mode == image.mode
    assert np.array_equal(np.array(again), np.array(image))


def test_palette_images_become_rgb():
    image = Image.effect_noise((40, 36), 60).convert("P")
    batch, restore = as_batch(image)
    assert restore(batch).mode == "RGB"


def test_arrays_that_torch_cannot_share_are_copied():
    image = np.random.default_rng(0).random((40, 36, 3)).astype(np.float32)
    flipped = image[::-1]
    image.flags.writeable = False
    assert np.array_equal(as_batch(image)[1](as_batch(image)[0]), image)
    assert np.array_equal(as_batch(flipped)[1](as_batch(flipped)[0]), flipped)


def test_opacity_is_carried_over():
    image = torch.randint(0, 256, (2, 4, 32, 32)).to(torch.uint8)
    changed = from_content(torch.zeros(2, 3, 32, 32), image)
    assert torch.equal(changed[:, 3], image[:, 3])
    assert not changed[:, :3].any()


@pytest.mark.parametrize("dtype", TENSOR_DTYPES)
def test_rows_are_put_back_bit_for_bit(dtype):
    batch = _random((4, 3, 32, 32), dtype)
    values = _random((2, 3, 32, 32), dtype)
    out = put_rows(batch, [1, 3], values)
    assert torch.equal(take_rows(out, [1, 3]), values)
    assert torch.equal(take_rows(out, [0, 2]), take_rows(batch, [0, 2]))


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (torch.rand(3, 32, 32) * 4 - 2, ValueError, r"\[0, 1\].*before Normalize"),
        (torch.rand(3, 32, 32) * 255, ValueError, "Divide by"),
        (torch.full((3, 32, 32), float("nan")), ValueError, "finite"),
        (torch.full((3, 32, 32), float("inf")), ValueError, "finite"),
        (torch.rand(2, 32, 32), ValueError, "1 or 3 or 4 channels"),
        (torch.rand(0, 3, 32, 32), ValueError, "at least one image"),
        (torch.rand(3, 31, 64), ValueError, "at least 32 pixels, got 31x64"),
        (torch.rand(32, 32), ValueError, r"\(C, H, W\)"),
        (torch.zeros(3, 32, 32, dtype=torch.int64), TypeError, "uint8, uint16"),
        (np.zeros((2, 2, 2, 2, 2)), ValueError, "H, W"),
        ("image.png", TypeError, "PIL image, got str"),
    ],
)
def test_errors_name_the_way_out(image, error, words):
    with pytest.raises(error, match=words):
        as_batch(image)
