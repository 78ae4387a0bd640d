"""Any layout and data type in, the same out; wrong images get a clear error."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from styleaug.images import as_volumes
from styleaug.images.batch import (
    Images,
    as_batch,
    as_images,
    collect,
    from_content,
    has_eight_bits,
    put_rows,
    row_index,
    take_rows,
    to_content,
)
from styleaug.images.sheet import contact_sheet

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


def _of_mode(mode):
    """An image with some colours, in any mode."""
    color = Image.merge("RGB", [Image.effect_noise((40, 36), 60).resize((40, 36))] * 3)
    color = Image.blend(color, Image.linear_gradient("L").resize((40, 36)).convert("RGB"), 0.5)
    if mode == "I;16B":
        return Image.frombytes(mode, (40, 36), np.arange(0, 14400, 10, dtype=">u2").tobytes())
    if mode in ("P", "PA"):
        indexed = color.quantize(32)
        return indexed if mode == "P" else indexed.convert("PA")
    if mode in ("La", "RGBa"):
        return color.convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    return color.convert(mode)


CONVERTED = ["1", "P", "PA", "La", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "I;16B"]


@pytest.mark.parametrize("mode", CONVERTED)
@pytest.mark.filterwarnings("ignore:16-bit images use 1. bits only")
def test_pil_images_come_back_in_their_mode(mode):
    image = _of_mode(mode)
    batch, restore = as_batch(image)
    same = restore(batch)
    assert same.mode == image.mode == mode
    assert same.tobytes() == image.tobytes()  # neither palette nor ink is computed anew
    assert same.getpalette() == image.getpalette()
    assert same is not image
    painted = restore(from_content(1.0 - to_content(batch), batch))
    assert painted.mode == mode
    assert painted.size == image.size
    assert painted.tobytes() != image.tobytes()
    content = to_content(as_batch(painted)[0])
    # black and white by a threshold, palettes of their own, inks and hues by rounding
    assert (content - (1.0 - to_content(batch))).abs().mean() < 0.03


def test_a_palette_with_transparency_keeps_it():
    image = _of_mode("P")
    image.info["transparency"] = 3
    batch, restore = as_batch(image)
    assert batch.shape[1] == 4
    assert restore(batch).info["transparency"] == 3
    assert restore(from_content(1.0 - to_content(batch), batch)).mode == "P"


def test_hues_are_not_taken_for_colours():
    red = Image.new("HSV", (40, 36), (0, 255, 255))
    assert to_content(as_batch(red)[0])[0, :, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_lab_images_are_refused():
    with pytest.raises(ValueError, match=r"PIL mode 'LAB'.*ImageCms"):
        as_batch(Image.new("LAB", (40, 36)))


@pytest.mark.parametrize(
    "image",
    [
        torch.rand(1, 3, 40, 40).to_sparse(),
        torch.empty(1, 3, 40, 40, device="meta"),
        torch.empty(3, 40, 40, device="meta"),
    ],
)
def test_tensors_without_plain_numbers_are_refused(image):
    with pytest.raises(TypeError, match="must be a dense tensor, got a tensor o"):
        as_batch(image)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused():
    parts = [torch.rand(3, 40, 40), torch.rand(3, 50, 40)]
    with pytest.raises(TypeError, match=r"a nested tensor.*stacked"):
        as_batch(torch.nested.nested_tensor(parts))


def test_masked_arrays_are_refused():
    image = np.ma.masked_greater(np.random.default_rng(0).random((40, 36)), 0.5)
    with pytest.raises(TypeError, match=r"masked one. Pass image.filled"):
        as_batch(image)


@pytest.mark.parametrize(("top", "bits"), [(3680, 12), (1000, 10), (1, 1)])
def test_sixteen_bits_that_are_hardly_used_are_named(top, bits):
    image = np.full((40, 36), top, dtype=np.uint16)
    with pytest.warns(UserWarning, match=rf"use {bits} bits only.*\(0, {2**bits - 1}\)"):
        as_batch(image)


@pytest.mark.parametrize("top", [0, 4096, 65535])
def test_other_sixteen_bits_pass_without_a_word(top):
    as_batch(np.full((40, 36), top, dtype=np.uint16))


def test_fields_of_records_are_taken():
    pixels = np.zeros((40, 50), dtype=[("level", np.uint16), ("mark", np.uint8)])
    pixels["level"] = 65535
    assert as_batch(pixels["level"])[0].shape == (1, 1, 40, 50)


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
    painted, others = row_index([1, 3], batch), row_index([0, 2], batch)
    out = put_rows(batch, painted, values)
    assert torch.equal(take_rows(out, painted), values)
    assert torch.equal(take_rows(out, others), take_rows(batch, others))


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (torch.rand(3, 32, 32) * 4 - 2, ValueError, r"\[0, 1\].*before Normalize"),
        (torch.rand(3, 32, 32) * 255, ValueError, "Divide by"),
        (torch.linspace(-3, 3, 3072).view(3, 32, 32), ValueError, "before Normalize"),
        (torch.linspace(0, 1.4, 3072).view(3, 32, 32), ValueError, "before Normalize"),
        (torch.full((3, 32, 32), float("nan")), ValueError, "finite"),
        (torch.full((3, 32, 32), float("inf")), ValueError, "finite"),
        (torch.rand(2, 32, 32), ValueError, "1 or 3 or 4 channels"),
        (torch.rand(0, 3, 32, 32), ValueError, "at least one image"),
        (torch.rand(3, 0, 64), ValueError, "at least one image"),
        (torch.rand(32, 32), ValueError, r"\(C, H, W\)"),
        (torch.zeros(3, 32, 32, dtype=torch.int64), TypeError, "uint8, uint16"),
        (np.zeros((2, 2, 2, 2, 2)), ValueError, "H, W"),
        ("image.png", TypeError, "PIL image, got str"),
    ],
)
def test_errors_name_the_way_out(image, error, words):
    with pytest.raises(error, match=words):
        as_batch(image)


def test_a_sheet_puts_every_image_in_its_cell():
    colors = [[(255, 0, 0), (0, 255, 0), None], [(0, 0, 255), None, (255, 255, 0)]]
    rows = [[color and Image.new("RGB", (40, 40), color) for color in row] for row in colors]
    sheet = contact_sheet(rows, ["", ""], ["", "", ""], cell=40)
    found = np.array(sheet)
    width = sheet.width / 3
    for row, line in enumerate(colors):
        for column, color in enumerate(line):
            places = np.argwhere((found == color).all(axis=-1)) if color else np.empty((0, 2))
            if color is None:
                continue
            assert len(places) == 40 * 40
            assert (places[:, 1] // width == column).all()
            assert (places[:, 0] // (sheet.height / 2) == row).all()


def test_a_part_of_a_batch_is_a_batch_but_not_with_a_range():
    images = as_images(torch.rand(3, 3, 40, 36))
    assert torch.equal(images[1:].batch, images.batch[1:])
    ranged = as_images(torch.rand(3, 3, 40, 36) * 100, value_range=(0, 100))
    with pytest.raises(ValueError, match="images with a value range go as a whole"):
        ranged[1:]


def test_joined_volumes_stay_volumes():
    volume = as_volumes(torch.rand(1, 1, 32, 40, 5))
    joined = Images.cat([volume, volume])
    assert (len(joined), joined.depth, joined.shape) == (2, 5, volume.shape)
    assert torch.equal(joined.restore(joined.batch), torch.cat([volume.batch] * 2))


def test_the_middle_of_a_volume_is_its_middle_slice():
    stack = torch.rand(2, 1, 32, 40, 5)
    volume = as_volumes(stack)
    assert torch.equal(volume.middle().batch, stack[..., 2])
    some = volume.some_slices([3, 0])
    assert some.depth == 2
    assert torch.equal(some.batch, torch.cat([stack[..., 3], stack[..., 0]], dim=2))
    backwards = volume.some_slices([4, 3, 2, 1, 0])
    assert torch.equal(backwards.middle().batch, stack[..., 2])
    assert torch.equal(backwards.some_slices([0]).batch, stack[..., 4])
    assert volume.some_slices(range(5)) is volume


@pytest.mark.parametrize("shape", [(3, 40, 31), (3, 31, 40)])
def test_both_sides_have_a_least_length(shape):
    as_images(torch.rand(3, 32, 32)).check_sides(32, "micro")
    with pytest.raises(ValueError, match=r"at least 32 pixels for 'micro', got shape \(3, "):
        as_images(torch.rand(shape)).check_sides(32, "micro")
    picture = Image.new("RGB", (40, 31))  # PIL counts width first
    with pytest.raises(ValueError, match=r"got shape \(31, 40\)"):
        as_images(picture).check_sides(32, "micro")


def test_values_are_trusted_where_nobody_looks():
    wrong = torch.full((3, 40, 36), float("nan"))
    assert as_images(wrong, check=False).batch.isnan().all()
    shallow = torch.full((1, 40, 36), 1000, dtype=torch.uint16)
    as_images(shallow, check=False)  # without the warning, which would fail this test


def test_clamping_is_for_floats():
    levels = torch.randint(0, 256, (3, 40, 36), dtype=torch.uint8)
    assert torch.equal(as_images(levels, out_of_range="clamp").batch[0], levels)
    floats = torch.linspace(-0.5, 1.5, 3 * 40 * 36).view(3, 40, 36)
    images = as_images(floats, out_of_range="clamp")
    assert torch.equal(images.batch[0], floats.clamp(0, 1))
    assert torch.equal(images.restore(images.batch), floats)


@pytest.mark.parametrize(
    ("mode", "eight"), [("RGB", True), ("P", True), ("I;16", False), ("I", False), ("F", False)]
)
def test_eight_bits_are_known_whatever_holds_them(mode, eight):
    assert has_eight_bits(Image.new(mode, (40, 36))) is eight
    if mode in ("RGB", "I;16"):
        assert has_eight_bits(as_images(Image.new(mode, (40, 36)))) is eight


def test_rows_in_another_order_are_taken_in_it():
    batch = torch.rand(3, 1, 2, 2)
    assert torch.equal(take_rows(batch, row_index([2, 0, 1], batch)), batch[[2, 0, 1]])
    assert take_rows(batch, row_index([0, 1, 2], batch)) is batch


def test_putting_rows_leaves_the_batch_alone():
    batch = torch.zeros(3, 1, 2, 2)
    out = put_rows(batch, torch.tensor([1]), torch.ones(1, 1, 2, 2))
    assert not batch.any()
    assert out.flatten(1).amax(dim=1).tolist() == [0.0, 1.0, 0.0]


def test_grey_is_the_mean_of_the_channels_and_levels_are_rounded():
    colors = torch.tensor([0.1, 0.2, 0.9]).view(1, 3, 1, 1)
    grey = from_content(colors.clone(), torch.zeros(1, 1, 1, 1))
    assert grey.item() == pytest.approx(0.4)
    levels = from_content(torch.full((1, 3, 1, 1), 0.705), torch.zeros(1, 3, 1, 1).byte())
    assert levels.unique().tolist() == [180]  # 179.8, of which a cut would leave 179
    deep = to_content(torch.full((1, 1, 1, 1), 65535, dtype=torch.uint16))
    assert deep.unique().tolist() == [1.0]


def test_parts_are_joined_in_their_order():
    parts = list(torch.arange(10.0).view(10, 1).split([4, 3, 3]))
    assert torch.equal(collect(iter(parts), 10), torch.arange(10.0).view(10, 1))
    whole = torch.rand(4, 2)
    assert collect(iter([whole]), 4) is whole
