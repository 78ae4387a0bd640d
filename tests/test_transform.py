"""The laws of StyleTransfer and of its params."""

import copy
import io
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from styleaug import StyleBank, StyleParams, StyleTransfer
from styleaug.stylizers.colorist import Colorist
from styleaug.tta import StyleTTA


@pytest.fixture
def bank(photos):
    return StyleBank.from_images(photos, "colorist")


def _batch(count=8, seed=0, size=(40, 44)):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def test_p_zero_and_alpha_zero_keep_every_bit(bank):
    images = _batch()
    assert torch.equal(StyleTransfer(styles=bank, p=0.0)(images), images)
    assert torch.equal(StyleTransfer(styles=bank, p=1.0, alpha=0.0)(images), images)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32])
def test_images_that_are_not_applied_keep_every_bit(bank, dtype):
    top = {torch.uint8: 255, torch.uint16: 65535}.get(dtype, 1)
    images = (_batch() * top).to(dtype)
    transform = StyleTransfer(styles=bank, p=0.5)
    params = transform.make_params(images, torch.Generator().manual_seed(0))
    out = transform.apply_transform(images, params)
    same = [torch.equal(a, b) for a, b in zip(out, images, strict=True)]
    assert same == [not applied for applied in params.applied]
    assert 0 < sum(same) < 8


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 1000))
def test_the_same_seed_gives_the_same_images_in_any_split(sizes, seed):
    bank = StyleBank.from_images([_batch(1, seed=s) for s in range(3)], "colorist")
    images = _batch(sum(sizes))
    arguments = {"styles": bank, "alpha": (0.2, 1.0), "p": 0.6, "seed": seed}
    whole = StyleTransfer(**arguments)(images)
    transform = StyleTransfer(**arguments)
    parts = torch.cat([transform(part) for part in images.split(sizes)])
    assert torch.allclose(whole, parts, atol=1e-6)
    generator = torch.Generator().manual_seed(seed)
    again = torch.Generator().manual_seed(seed)
    drawn = [transform.make_params(part, generator) for part in images.split(sizes)]
    assert sum((part.applied for part in drawn), ()) == transform.make_params(images, again).applied


def test_ids_fix_a_sample_whatever_its_batch(bank):
    images, ids = _batch(), [f"case-{row}" for row in range(8)]
    transform = StyleTransfer(styles=bank, alpha=(0.2, 1.0), p=0.6)
    whole = transform(images, ids=ids)
    turned = transform(images.flip(0), ids=ids[::-1]).flip(0)
    alone = torch.cat([transform(images[i : i + 1], ids=[ids[i]]) for i in range(8)])
    assert torch.allclose(whole, turned, atol=1e-6)
    assert torch.allclose(whole, alone, atol=1e-6)
    assert not torch.equal(whole, images)


def test_without_a_seed_the_global_generator_decides(bank):
    transform, images = StyleTransfer(styles=bank), _batch(32)
    torch.manual_seed(5)
    first, second = transform.make_params(images), transform.make_params(images)
    torch.manual_seed(5)
    assert transform.make_params(images) == first
    assert first != second


def test_ranks_draw_different_styles_from_one_seed(bank, monkeypatch):
    images = _batch(32)
    monkeypatch.setenv("RANK", "0")
    torch.manual_seed(5)
    first = StyleTransfer(styles=bank).make_params(images)
    seeded = StyleTransfer(styles=bank, seed=1).make_params(images)
    monkeypatch.setenv("RANK", "1")
    torch.manual_seed(5)
    assert StyleTransfer(styles=bank).make_params(images) != first
    assert StyleTransfer(styles=bank, seed=1).make_params(images) != seeded


class _Styled(torch.utils.data.Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.transform(_batch(1, seed=0)[0])


@pytest.mark.parametrize("seed", [None, 3])
def test_workers_and_epochs_never_repeat_each_other(bank, seed):
    transform = StyleTransfer(styles=bank, alpha=(0.1, 1.0), p=1.0, seed=seed)

    def epochs():
        torch.manual_seed(0)
        loader = torch.utils.data.DataLoader(_Styled(transform), num_workers=2)
        return torch.cat([image for _ in range(2) for image in loader])

    images = epochs()
    assert len({image.numpy().tobytes() for image in images}) == len(images)
    assert torch.equal(images, epochs())


def test_replay_from_json_gives_the_same_pixels(bank):
    images = _batch()
    transform = StyleTransfer(styles=bank, alpha=(0.2, 1.0), p=0.7)
    params = transform.make_params(images)
    again = StyleParams.from_json(params.to_json())
    assert again == params
    out = transform.apply_transform(images, params)
    assert torch.equal(transform.apply_transform(images, again), out)
    parts = [transform.apply_transform(images[i : i + 3], again[i : i + 3]) for i in (0, 3, 6)]
    assert torch.allclose(torch.cat(parts), out, atol=1e-6)


def test_params_of_other_styles_or_other_batches_are_refused(bank, photos):
    images = _batch()
    transform = StyleTransfer(styles=bank)
    other = StyleTransfer(styles=photos[:2]).make_params(images)
    with pytest.raises(ValueError, match="drawn from these styles"):
        transform.apply_transform(images, other)
    with pytest.raises(ValueError, match="hold 8 images, got 2"):
        transform.apply_transform(images, other[:2])
    batch = StyleTransfer(styles="batch")
    drawn = batch.make_params(images)
    with pytest.raises(ValueError, match="use a StyleBank"):
        batch.apply_transform(images[:2], drawn[:2])
    assert torch.equal(batch.apply_transform(images, drawn), batch.apply_transform(images, drawn))


def test_malformed_params_are_refused():
    with pytest.raises(ValueError, match="equally long"):
        StyleParams((True,), (0, 1), (1.0,), "bank")
    with pytest.raises(ValueError, match="must have the fields"):
        StyleParams.from_dict({"applied": [True]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": [5.0]}, r"alpha must hold numbers in \[0, 1\], got 5.0"),
        ({"alpha": [-1.0]}, "got -1.0"),
        ({"alpha": [float("nan")]}, "got nan"),
        ({"alpha": ["0.5"]}, "got '0.5'"),
        ({"alpha": [True]}, "got True"),
        ({"style": [-1]}, "style must hold ids from 0 on, got -1"),
        ({"style": [1.7]}, "got 1.7"),
        ({"style": [True]}, "got True"),
        ({"applied": ["false"]}, "applied must hold True or False, got 'false'"),
        ({"applied": [1]}, "got 1"),
        ({"applied": "f"}, "must be lists"),
        ({"fingerprint": None}, "fingerprint must be text"),
    ],
)
def test_params_that_were_tampered_with_are_refused(change, words):
    record = {"applied": [True], "style": [1], "alpha": [0.5], "fingerprint": "bank:0"}
    assert StyleParams.from_dict(record).style == (1,)
    with pytest.raises(ValueError, match=words):
        StyleParams.from_dict({**record, **change})


@pytest.mark.parametrize("source", ["bank", "batch"])
def test_styles_that_are_not_there_are_refused(bank, source):
    transform = StyleTransfer("colorist", styles=bank if source == "bank" else "batch")
    params = transform.make_params(_batch(4))
    wrong = StyleParams((True,) * 4, (0, 1, 2, 4), (1.0,) * 4, params.fingerprint)
    with pytest.raises(ValueError, match=r"style ids must be in 0 ... 3, got 4"):
        transform.apply_transform(_batch(4), wrong)


def test_threads_never_repeat_each_others_draws(bank):
    transform = StyleTransfer("colorist", styles=bank, alpha=(0.0, 1.0), seed=3)

    def draw(_):
        return [transform.draw_params(2).alpha for _ in range(200)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            drawn = [pair for part in pool.map(draw, range(8)) for pair in part]
    finally:
        sys.setswitchinterval(interval)
    again = StyleTransfer("colorist", styles=bank, alpha=(0.0, 1.0), seed=3)
    assert sorted(drawn) == sorted(again.draw_params(2).alpha for _ in range(1600))


def test_the_default_data_type_changes_nothing(bank):
    images = _batch(4)
    plain = StyleTransfer("colorist", styles=bank, alpha=0.5, p=1.0, seed=0)
    expected, grid = plain(images), plain.stylize_grid(images, [0, 1], 0.5)
    torch.set_default_dtype(torch.float64)
    try:
        again = StyleTransfer("colorist", styles=bank, alpha=0.5, p=1.0, seed=0)
        assert torch.equal(again(images), expected)
        assert torch.equal(again.stylize_grid(images, [0, 1], 0.5), grid)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_strength_for_every_image_of_a_grid_or_none(bank):
    transform, images = StyleTransfer("colorist", styles=bank), _batch(3)
    for alpha in ([0.5, 0.5, 0.5], (0.5, 0.5, 0.5), torch.full((3,), 0.5), np.float32(0.5)):
        grid = transform.stylize_grid(images, [0], alpha)
        assert torch.equal(grid, transform.stylize_grid(images, [0], 0.5))
    with pytest.raises(ValueError, match=r"alpha must be one number or \(3,\), got 2 values"):
        transform.stylize_grid(images, [0], [0.5, 0.5])


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (2, 1), (3, 1), (32, 10)])
def test_portion_is_an_exact_number_of_images(count, expected):
    transform = StyleTransfer(styles="batch", portion=0.33)
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        if count == 1:
            with pytest.warns(UserWarning, match="batch of one"):
                params = transform.make_params(_batch(count), generator)
        else:
            params = transform.make_params(_batch(count), generator)
        assert sum(params.applied) == expected


def test_one_image_of_a_portion_still_gets_another_style():
    images = _batch(3)
    transform = StyleTransfer("colorist", styles="batch", portion=0.33)
    params = transform.make_params(images)
    (row,) = params.rows
    assert params.style[row] != row
    assert not torch.equal(transform.apply_transform(images, params)[row], images[row])


def test_p_is_a_probability(bank):
    params = StyleTransfer(styles=bank, p=0.3, seed=0).draw_params(20_000)
    assert abs(np.mean(params.applied) - 0.3) < 0.015


def test_alpha_covers_its_range(bank):
    params = StyleTransfer(styles=bank, alpha=(0.3, 0.9), seed=0).draw_params(5_000)
    assert 0.3 <= min(params.alpha) < 0.31
    assert 0.89 < max(params.alpha) <= 0.9
    assert len(set(params.style)) == len(bank)


@pytest.mark.parametrize("styles", ["batch", "bank"])
def test_one_draw_for_a_whole_clip(bank, styles):
    transform = StyleTransfer(
        styles=bank if styles == "bank" else "batch",
        alpha=(0.1, 1.0),
        p=0.5,
        per_instance=False,
        seed=0,
    )
    seen = set()
    for _ in range(20):
        params = transform.make_params(_batch())
        for record in (params.applied, params.alpha, params.style):
            assert len(set(record)) == 1
        seen.add(params.applied[0])
    assert seen == {True, False}


def test_layouts_agree(bank):
    array = (np.random.default_rng(0).random((40, 44, 3)) * 255).astype(np.uint8)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    transform = StyleTransfer(styles=bank, p=1.0)

    def run(image):
        return transform(image, generator=torch.Generator().manual_seed(0))

    expected = run(array)
    assert np.array_equal(np.array(run(Image.fromarray(array))), expected)
    assert torch.equal(run(tensor).permute(1, 2, 0), torch.from_numpy(expected))
    assert torch.equal(run(tensor[None])[0], run(tensor))


def test_channels_last_stays_channels_last(bank):
    images = _batch().to(memory_format=torch.channels_last)
    out = StyleTransfer(styles=bank, p=1.0, seed=0)(images)
    assert out.is_contiguous(memory_format=torch.channels_last)
    plain = StyleTransfer(styles=bank, p=1.0, seed=0)(images.contiguous())
    assert torch.allclose(out, plain, atol=1e-6)


def test_the_input_is_left_alone(bank):
    images = _batch()
    before = images.clone()
    StyleTransfer(styles=bank, p=0.5, seed=0)(images)
    StyleTransfer(styles=bank, p=1.0, seed=0)(images)
    assert torch.equal(images, before)


def _kinds(images):
    array = (images[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    return [images, images[0], (images * 255).to(torch.uint8), array, np.asfortranarray(array)]


@pytest.mark.parametrize("settings", [{"p": 0.0}, {"p": 1.0}, {"p": 1.0, "alpha": 0.0}])
def test_results_never_share_memory_with_what_came_in(bank, settings):
    transform = StyleTransfer("colorist", styles=bank, **settings)
    for image in _kinds(_batch(2)):
        before = copy.deepcopy(image)
        out = transform(image)
        out[...] = 0
        assert (image == before).all()
    picture = Image.fromarray(_kinds(_batch(1))[3])
    before = picture.copy()
    transform(picture).putpixel((0, 0), (1, 2, 3))
    assert picture == before


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_no_gradient_flows_through(bank, p):
    images = _batch().requires_grad_()
    transform = StyleTransfer("colorist", styles=bank, p=p, seed=0)
    out = transform(images)
    assert not out.requires_grad
    assert not transform.apply_transform(images, transform.make_params(images)).requires_grad
    assert not transform.stylize_grid(images, [0, 1]).requires_grad
    assert images.requires_grad


def _deep(seed=0):
    """12-bit images in 16 bits, with some values above white."""
    images = (_batch(3, seed) * 4095).to(torch.int32)
    images[:, :, :2] = 5000
    return images.to(torch.uint16)


@pytest.mark.parametrize("styles", ["batch", "bank", "arrays"])
def test_images_of_twelve_bits_are_painted_in_their_range(styles):
    window = (0, 4095)
    inputs = _deep()
    given = {
        "batch": "batch",
        "bank": StyleBank.from_images(_deep(5), "colorist", value_range=window),
        "arrays": [image.permute(1, 2, 0).numpy() for image in _deep(5)],
    }[styles]
    transform = StyleTransfer("colorist", styles=given, p=1.0, value_range=window, seed=0)
    params = transform.make_params(inputs)
    out = transform.apply_transform(inputs, params)
    unit = (inputs.to(torch.int32) / 4095).clamp(0, 1)
    sources = {"batch": unit}.get(styles, (_deep(5).to(torch.int32) / 4095).clamp(0, 1))
    stylizer = transform.stylizer_on("cpu")
    code = stylizer.encode_style(sources)[list(params.style)]
    expected = (stylizer.stylize(unit, code) * 4095).round()
    assert out.dtype == torch.uint16
    numbers = out.to(torch.int32)
    assert (numbers[:, :, :2] == 5000).all()  # what is outside stays
    assert (numbers - expected)[:, :, 2:].abs().max() <= 1
    grid = StyleTransfer("colorist", styles=_deep(5), value_range=window).stylize_grid(inputs, [1])
    assert grid.dtype == torch.uint16
    assert grid.to(torch.int32).max() == 5000


def test_hounsfield_units_come_back_to_the_bit_where_nothing_is_painted(bank):
    images = torch.randint(-1000, 2000, (4, 1, 40, 44)).to(torch.int16)
    transform = StyleTransfer("colorist", styles=bank, p=0.5, seed=1, value_range=(-160, 240))
    params = transform.make_params(images)
    out = transform.apply_transform(images, params)
    for row, applied in enumerate(params.applied):
        inside = (images[row] >= -160) & (images[row] <= 240)
        assert torch.equal(out[row][~inside], images[row][~inside])
        assert torch.equal(out[row], images[row]) == (not applied)
    floats = images.double() + 0.123456789
    assert torch.equal(StyleTransfer(styles=bank, p=0.0, value_range=(-160, 240))(floats), floats)


@pytest.mark.parametrize("window", [(1, 0), (0, 0), (0,), 5, (0, float("inf")), ("a", "b")])
def test_a_value_range_is_two_numbers_that_rise(bank, window):
    with pytest.raises(ValueError, match="value_range must be two numbers, black below white"):
        StyleTransfer(styles=bank, value_range=window)


def test_floats_a_little_outside_are_clamped_where_asked(bank):
    images = _batch() * 1.2 - 0.1
    with pytest.raises(ValueError, match="out_of_range='clamp'"):
        StyleTransfer("colorist", styles=bank, p=0.5)(images)
    with pytest.raises(ValueError, match="out_of_range must be one of"):
        StyleTransfer("colorist", styles=bank, out_of_range="wrap")
    settings = {"styles": bank, "p": 0.5, "seed": 0}
    transform = StyleTransfer("colorist", out_of_range="clamp", **settings)
    params = transform.make_params(images)
    out = transform.apply_transform(images, params)
    plain = StyleTransfer("colorist", **settings).apply_transform(images.clamp(0, 1), params)
    for row, applied in enumerate(params.applied):
        changed = plain[row] != images[row].clamp(0, 1)
        assert torch.equal(out[row], torch.where(changed, plain[row], images[row]))
        assert applied or torch.equal(out[row], images[row])
    images[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        transform(images)


class _Network(torch.nn.Module):
    def __init__(self, styles):
        super().__init__()
        self.augment = StyleTransfer("fda", styles=styles, p=1.0)
        self.head = torch.nn.Conv2d(3, 2, 1)

    def forward(self, images):
        return self.head(self.augment(images))


def test_nothing_leaks_into_the_users_model(photos):
    model = _Network(photos)
    assert set(model.state_dict()) == {"head.weight", "head.bias"}
    assert len(list(model.parameters())) == 2
    assert not model.train().augment.stylizer_on("cpu").training
    model(_batch()).sum().backward()
    assert model.head.weight.grad is not None


def test_copies_pickles_and_checkpoints_work(photos):
    model = _Network(photos)
    images = _batch()
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    for twin in (copy.deepcopy(model), torch.load(stored, weights_only=False)):
        torch.manual_seed(0)
        expected = model(images)
        torch.manual_seed(0)
        assert torch.equal(twin(images), expected)


def test_moving_the_users_model_moves_no_more_than_it_should(photos):
    model = _Network(photos).double().to("cpu")
    assert model.head.weight.dtype == torch.float64
    assert model.augment(_batch()).dtype == torch.float32


def test_pickles_are_small(bank):
    assert len(pickle.dumps(StyleTransfer(styles=bank))) < 10_000


def test_stylized_images_can_be_trained_on(bank):
    out = StyleTransfer(styles=bank, p=1.0)(_batch())
    assert not out.is_inference()
    torch.nn.Conv2d(3, 1, 1)(out).mean().backward()


def test_a_batch_of_one_warns_and_stays_as_it_is():
    image = _batch(1)
    with pytest.warns(UserWarning, match="batch of one image"):
        assert torch.equal(StyleTransfer(styles="batch", p=1.0)(image), image)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"p": 1.2}, r"p must be a number in \[0, 1\], got 1.2"),
        ({"p": True}, "p must be"),
        ({"portion": -0.1}, "portion must be"),
        ({"portion": 0.5, "per_instance": False}, "per_instance=True"),
        ({"alpha": (0.8, 0.2)}, "low <= high"),
        ({"alpha": (0.1, 0.2, 0.3)}, "pair"),
        ({"alpha": "strong"}, "alpha must be"),
        ({"device": "cuda:99"}, "device must name a device of this machine"),
        ({"device": "toaster"}, "device must name a device"),
        ({"precision": "int8"}, "precision must be one of"),
        ({"max_batch": 0}, "max_batch must be a whole number of at least 1"),
        ({"max_batch": 1.5}, "max_batch must be a whole number of at least 1"),
        ({"styles": ""}, "path must name a file, a folder or a pattern, got ''"),
        ({"styles": [" "]}, "path must name a file"),
        ({"preserve_color": True}, "would undo 'colorist'"),
        ({"stylizer": "nope"}, "stylizer must be one of"),
        ({"options": {"beta": 1}}, "'colorist' takes"),
    ],
)
def test_wrong_arguments_are_refused_at_the_entry(arguments, words):
    with pytest.raises(ValueError, match=words):
        StyleTransfer(**{"stylizer": "colorist", **arguments})


def test_misspelt_arguments_are_named(bank):
    with pytest.raises(TypeError, match=r"'max_batch'.*got \['batch_max'\].*goes into options"):
        StyleTransfer(styles=bank, batch_max=3)


@pytest.mark.parametrize(
    ("stylizer", "words"), [(5, "got 5"), (Colorist, "got the class Colorist"), ([1], "got .1.")]
)
def test_what_is_no_stylizer_is_refused(photos, stylizer, words):
    with pytest.raises(TypeError, match=words):
        StyleTransfer(stylizer)
    with pytest.raises(TypeError, match=words):
        StyleBank.from_images(photos, stylizer)
    with pytest.raises(TypeError, match=words):
        StyleTTA(lambda x: x, stylizer, StyleBank.from_images(photos, "colorist"), n=1)


def test_normalised_batches_get_the_advice(bank):
    with pytest.raises(ValueError, match="before Normalize"):
        StyleTransfer(styles=bank, p=0.0)(_batch() * 4 - 2)
    with pytest.raises(ValueError, match="ids must hold one id per image"):
        StyleTransfer(styles=bank)(_batch(), ids=["a"])


def test_repr_says_what_it_does(bank):
    text = repr(StyleTransfer("colorist", styles=bank, alpha=(0.3, 1.0)))
    assert "'colorist'" in text
    assert "4 styles" in text
    assert "alpha=(0.3, 1.0)" in text
    assert "p=0.5" in text
