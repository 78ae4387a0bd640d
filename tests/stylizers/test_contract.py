"""The laws that every stylizer of the table obeys.

A new row of STYLIZERS is tested by itself. A network too large for a test run, or one that needs
a download, gets small random weights in ``builders.py``.
"""

from contextlib import contextmanager

import pytest
import torch
from builders import IN_REGIONS, build

from styleaug import StyleBank, StyleCode, StyleTransfer, create_stylizer, list_stylizers
from styleaug.stylizers import STYLIZERS, Stylizer

SIZES = [(32, 32), (64, 48), (97, 131)]


@pytest.fixture(scope="module", params=[*list_stylizers(), *IN_REGIONS])
def stylizer(request) -> Stylizer:
    return build(request.param)


@pytest.fixture(scope="module")
def code(stylizer) -> StyleCode:
    return stylizer.encode_style(_images(3, 80, 64, seed=5))


def _images(count, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    fine = torch.rand(count, 3, height, width, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return 0.75 * smooth + 0.25 * fine


def test_the_table_row_is_complete(stylizer):
    entry = STYLIZERS[stylizer.name]
    assert entry.summary
    assert entry.licence
    assert entry.source


@pytest.mark.parametrize("size", SIZES)
def test_any_size_in_the_same_out(stylizer, code, size):
    content = _images(2, *size)
    out = stylizer.stylize(content, code[:2])
    assert out.shape == content.shape
    assert out.dtype == torch.float32
    assert out.min() >= 0.0
    assert out.max() <= 1.0
    assert (out - content).abs().mean() > 0.01  # something was painted


def test_alpha_zero_is_the_content_bit_for_bit(stylizer, code):
    content = _images(3, 64, 48)
    assert torch.equal(stylizer.stylize(content, code, alpha=0.0), content)
    mixed = stylizer.stylize(content, code, alpha=torch.tensor([0.0, 1.0, 0.0]))
    assert torch.equal(mixed[[0, 2]], content[[0, 2]])
    assert torch.allclose(mixed[1], stylizer.stylize(content, code)[1], atol=2e-5)


def test_alpha_grows_away_from_the_content(stylizer, code):
    content = _images(3, 64, 48)
    steps = [
        (stylizer.stylize(content, code, alpha=a) - content).abs().mean()
        for a in (0.0, 0.25, 0.5, 1.0)
    ]
    assert steps == sorted(steps)
    assert steps[1] > 0.0


def test_batched_is_one_by_one(stylizer, code):
    content = _images(3, 64, 48)
    alpha = torch.tensor([0.3, 1.0, 0.6])
    batched = stylizer.stylize(content, code, alpha)
    single = [stylizer.stylize(content[i : i + 1], code[i], alpha[i : i + 1]) for i in range(3)]
    assert torch.allclose(batched, torch.cat(single), atol=2e-5)


def test_chunks_change_nothing(stylizer, code):
    content = _images(3, 64, 48)
    whole = stylizer.stylize(content, code)
    before, stylizer.max_batch = stylizer.max_batch, 2
    try:
        assert torch.allclose(stylizer.stylize(content, code), whole, atol=2e-5)
        grid = stylizer.stylize_grid(content, code)
    finally:
        stylizer.max_batch = before
    assert torch.allclose(stylizer.stylize_grid(content, code), grid, atol=2e-5)


def test_grid_is_every_pair(stylizer, code):
    content = _images(2, 64, 48)
    grid = stylizer.stylize_grid(content, code, alpha=torch.tensor([0.5, 1.0]))
    assert grid.shape == (2, 3, 3, 64, 48)
    for row in range(2):
        for column in range(3):
            pair = stylizer.stylize(content[row : row + 1], code[column], alpha=(0.5, 1.0)[row])
            assert torch.allclose(grid[row, column], pair[0], atol=2e-5)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_images_give_finite_results(stylizer, code, level):
    flat = torch.full((1, 3, 40, 40), level)
    out = stylizer.stylize(flat, code[0])
    assert out.isfinite().all()
    flat_code = stylizer.encode_style(flat)
    assert all(tensor.isfinite().all() for tensor in flat_code.maps.values())
    assert stylizer.stylize(_images(1, 40, 40), flat_code).isfinite().all()


def test_codes_stack_move_and_come_back_from_disk(stylizer, code, tmp_path):
    other = stylizer.encode_style(_images(1, 50, 90, seed=9))
    joined = StyleCode.cat([code, other])
    assert len(joined) == 4
    joined.save(tmp_path / "code.safetensors")
    loaded = StyleCode.load(tmp_path / "code.safetensors")
    assert loaded.source == stylizer.identity
    for name, tensor in joined.maps.items():
        assert torch.equal(loaded.maps[name], tensor)
    content = _images(1, 40, 40)
    assert torch.equal(stylizer.stylize(content, loaded[3]), stylizer.stylize(content, other))


def test_codes_of_another_stylizer_are_refused(stylizer, code):
    alien = StyleCode(code.maps, source="somebody:else")
    with pytest.raises(ValueError, match="somebody:else"):
        stylizer.stylize(_images(3, 40, 40), alien)
    with pytest.raises(ValueError, match="somebody:else"):
        StyleTransfer(stylizer, styles=StyleBank(alien))


def test_the_network_stays_frozen(stylizer, code):
    holder = torch.nn.ModuleList([stylizer]).train()
    assert not any(module.training for module in holder[0].modules()) or not list(
        stylizer.parameters()
    )
    assert not any(parameter.requires_grad for parameter in stylizer.parameters())
    assert not stylizer.stylize(_images(3, 40, 40), code).requires_grad


def test_autocast_of_the_user_changes_nothing(stylizer, code):
    content = _images(3, 40, 40)
    plain = stylizer.stylize(content, code)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = stylizer.stylize(content, code)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, plain)


def test_threads_change_nothing(stylizer, code):
    content = _images(3, 97, 131)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = stylizer.stylize(content, code)
        torch.set_num_threads(2)
        two = stylizer.stylize(content, code)
    finally:
        torch.set_num_threads(before)
    assert (one - two).abs().max() <= 1e-6 or not stylizer.follows_color
    assert (one - two).abs().max() <= 1e-5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_kind_of_image_goes_through_the_transform(stylizer, code, dtype, channels):
    image = _images(2, 40, 44).repeat(1, 2, 1, 1)[:, :channels]
    top = {torch.uint8: 255, torch.uint16: 65535}.get(dtype, 1)
    image = (image * top).to(dtype)
    out = StyleTransfer(stylizer, styles=StyleBank(code), p=1.0)(image)
    assert out.dtype == dtype
    assert out.shape == image.shape
    assert not torch.equal(out, image)


def test_wrong_arguments_are_refused_at_the_entry(stylizer, code):
    content = _images(3, 40, 40)
    with pytest.raises(ValueError, match="alpha must be a number in"):
        stylizer.stylize(content, code, alpha=1.5)
    with pytest.raises(ValueError, match=r"alpha must be one number or \(3,\), got 2 values"):
        stylizer.stylize(content, code, alpha=(0.5, 0.5))
    with pytest.raises(ValueError, match="before Normalize"):
        stylizer.stylize(content * 2 - 1, code)
    with pytest.raises(ValueError, match="1 style or 3"):
        stylizer.stylize(content, code[:2])
    with pytest.raises(TypeError, match="floating point"):
        stylizer.encode_style((content * 255).to(torch.uint8))


@contextmanager
def _double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_default_data_type_changes_nothing(stylizer, code):
    content, styles = _images(2, 64, 48), _images(3, 80, 64, seed=5)
    expected = stylizer.stylize(content, code[:2], 0.7)
    with _double():
        again = stylizer.stylize(content, stylizer.encode_style(styles)[:2], 0.7)
        grid = stylizer.stylize_grid(content, code[:2], 0.7)
    assert again.dtype == grid.dtype == torch.float32
    assert torch.allclose(again, expected, atol=2e-5)
    assert torch.allclose(grid[1, 1], expected[1], atol=2e-5)


@pytest.mark.parametrize("name", ["colorist", "micro"])
def test_what_is_built_under_another_default_is_the_same(name):
    plain = create_stylizer(name)
    with _double():
        other = create_stylizer(name)
    assert other.identity == plain.identity
    assert all(tensor.dtype == torch.float32 for tensor in other.parameters())


def test_the_least_side_is_stated_and_held(stylizer, code):
    least = stylizer.least_side
    small = _images(2, least, least + 3)
    assert stylizer.stylize(small, code[:2]).shape == small.shape
    assert torch.isfinite(stylizer.stylize(small, stylizer.encode_style(small))).all()
    assert least == 1 or not stylizer.follows_color
    if least > 1:
        too_small = torch.rand(2, 3, least - 1, 40)
        limit = f"at least {least} pixels for '{stylizer.name}'"
        with pytest.raises(ValueError, match=f"content .* {limit}, got {least - 1}x40"):
            stylizer.stylize(too_small, code[:2])
        with pytest.raises(ValueError, match=f"style .* {limit}, got {least - 1}x40"):
            stylizer.encode_style(too_small)
        transform = StyleTransfer(stylizer, styles=StyleBank(code), p=1.0)
        with pytest.raises(ValueError, match=rf"{limit}, got shape \(2, 3, {least - 1}, 40\)"):
            transform(too_small)


COLORS = [name for name, entry in STYLIZERS.items() if getattr(entry.build, "follows_color", False)]


@pytest.mark.parametrize("name", COLORS)
@pytest.mark.parametrize("size", [(28, 28), (1, 1), (1, 50)])
def test_colour_has_no_least_side(name, size):
    images = (_images(3, *size) * 255).to(torch.uint8)
    transform = StyleTransfer(name, styles=list(_images(2, 28, 28)), p=1.0)
    assert transform(images).shape == images.shape
    assert StyleTransfer(name, styles="batch", p=1.0)(images).shape == images.shape


@pytest.mark.parametrize("content", [None, [[0.5]], "image.png"])
def test_what_is_no_tensor_is_refused(content):
    stylizer = create_stylizer("colorist")
    code = stylizer.encode_style(torch.rand(1, 3, 8, 8))
    with pytest.raises(TypeError, match=r"content must be a torch\.Tensor, got"):
        stylizer.stylize(content, code)
