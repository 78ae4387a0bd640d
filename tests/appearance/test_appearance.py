"""Appearances: drawn once and replayed anywhere; neutral values change nothing; ranges hold."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from styleaug.appearance import EFFECTS, KINDS, Appearance, AppearanceParams, change_appearance
from styleaug.appearance.sharpness import gaussian_blur
from styleaug.images import as_volumes
from styleaug.samples import sample_images

GREY_KINDS = ("fluorescence", "xray", "ct")


@pytest.fixture(scope="module")
def pictures():
    """Sample images of 96 pixels, ``(B, 3, 96, 96)`` in [0, 1]."""
    arrays = []
    for path in sample_images():
        with Image.open(path) as picture:
            arrays.append(np.asarray(picture.convert("RGB").resize((96, 96))) / 255.0)
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float().contiguous()


def test_one_seed_one_appearance_in_any_batch_split(pictures):
    kinds = tuple(KINDS)
    first, second = (Appearance(kinds, seed=3) for _ in range(2))
    together = first(pictures)
    halves = torch.cat([second(pictures[:2]), second(pictures[2:])])
    assert torch.equal(together, halves)
    assert not torch.equal(together, first(pictures))


def test_ids_give_a_sample_its_appearance_whatever_comes_with_it(pictures):
    transform = Appearance(seed=1)
    names = [f"slide {n}" for n in range(len(pictures))]
    turned = transform(pictures.flip(0), ids=names[::-1]).flip(0)
    assert torch.equal(transform(pictures, ids=names), turned)


def test_params_replay_from_json_and_in_slices(pictures):
    transform = Appearance("dermoscopy", p=1.0, image_p=1.0)
    params = transform.make_params(pictures, torch.Generator().manual_seed(0))
    again = AppearanceParams.from_json(params.to_json())
    whole = transform.apply_transform(pictures, params)
    assert torch.equal(transform.apply_transform(pictures, again), whole)
    assert torch.equal(transform.apply_transform(pictures[2:4], again[2:4]), whole[2:4])


def test_threads_never_repeat_each_others_draws():
    transform = Appearance("ct", p=1.0, seed=3, image_p=1.0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(lambda _: [_values(transform) for _ in range(100)], range(8)))
    finally:
        sys.setswitchinterval(interval)
    again = Appearance("ct", p=1.0, seed=3, image_p=1.0)
    drawn = sorted(values for part in parts for values in part)
    assert drawn == sorted(_values(again) for _ in range(800))


def _values(transform):
    return sorted(transform.draw_params(1).values.items())


def test_a_volume_is_refused_because_its_slices_are_images():
    volume = as_volumes(torch.zeros(1, 1, 32, 40, 4))
    with pytest.raises(ValueError, match="must not be a volume, got one of 4 slices"):
        Appearance("ct")(volume)
    assert Appearance("ct", p=0.0, image_p=1.0)(volume.sliced()).shape == (1, 1, 32, 40, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_strength_or_no_probability_changes_nothing(kind, pictures):
    for transform in (
        Appearance(kind, strength=0.0, p=1.0, image_p=1.0),
        Appearance(kind, p=0.0, image_p=1.0),
    ):
        assert torch.equal(transform(pictures), pictures)


@pytest.mark.parametrize("name", EFFECTS)
def test_neutral_values_change_nothing_and_others_do(name, pictures):
    effect = EFFECTS[name]
    inside = 0.02 + 0.96 * pictures
    neutral = torch.tensor([effect.neutral] * len(inside))
    assert torch.allclose(effect.apply(inside, neutral), inside, atol=1e-4)
    far = torch.tensor([[p.high for p in effect.parameters]] * len(inside))
    changed = effect.apply(inside, far)
    assert torch.isfinite(changed).all()
    assert (changed - inside).abs().mean() > 0.003


@pytest.mark.parametrize("name", EFFECTS)
def test_rows_of_a_batch_do_not_know_each_other(name, pictures):
    effect = EFFECTS[name]
    places = torch.rand(len(pictures), generator=torch.Generator().manual_seed(0))
    ones = torch.ones(len(pictures))
    values = torch.stack([p.at(places, ones) for p in effect.parameters], dim=1)
    alone = torch.cat(
        [effect.apply(pictures[i : i + 1], values[i : i + 1]) for i in range(len(pictures))]
    )
    assert torch.allclose(effect.apply(pictures, values), alone, atol=1e-4)


@given(st.integers(0, 2**32), st.floats(0.0, 1.0), st.sampled_from(sorted(KINDS)))
@settings(max_examples=25, deadline=None)
def test_values_stay_in_their_ranges(seed, strength, kind):
    drawn = Appearance(kind, strength=strength, p=1.0, image_p=1.0)
    params = drawn.draw_params(3, torch.Generator().manual_seed(seed))
    assert set(params.values) == set(KINDS[kind])
    for name, rows in params.values.items():
        for parameter, column in zip(
            EFFECTS[name].parameters, zip(*rows, strict=True), strict=True
        ):
            low = min(parameter.low, parameter.neutral) - 1e-6
            high = max(parameter.high, parameter.neutral) + 1e-6
            assert all(low <= value <= high for value in column)


@pytest.mark.parametrize("kind", GREY_KINDS)
def test_grey_stays_grey_where_there_is_no_colour(kind, pictures):
    grey = pictures.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    changed = Appearance(kind, p=1.0, seed=0, image_p=1.0)(grey)
    assert (changed - changed[:, :1]).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["stain-amounts", "stain-vectors", "tone-curve", "sensor"])
def test_white_stays_white(name):
    effect = EFFECTS[name]
    white = torch.full((1, 3, 32, 32), 1.0)
    high = torch.tensor([[p.high for p in effect.parameters]])
    assert (effect.apply(white, high) - 1.0).abs().max() < 2e-3


def test_twice_the_stain_is_twice_the_density():
    image = torch.full((1, 3, 32, 32), 0.6)
    darker = EFFECTS["stain-amounts"].apply(image, torch.tensor([[2.0, 2.0, 2.0]]))
    assert torch.allclose(darker, image.square(), atol=1e-5)


def test_tone_curves_rise_and_keep_their_ends_and_pivot():
    ramp = torch.linspace(0.0, 1.0, 101).view(1, 1, 1, -1).expand(1, 3, 1, -1)
    for slope in (0.6, 1.8):
        toned = EFFECTS["tone-curve"].apply(ramp, torch.tensor([[slope, 0.3]]))[0, 0, 0]
        assert bool((toned.diff() > 0).all())
        assert toned[0] < 0.02
        assert toned[-1] > 0.98
        assert toned[30].item() == pytest.approx(0.3, abs=1e-4)


def test_blur_is_scipys(pictures):
    sigma = torch.tensor([0.0, 0.7, 1.0, 1.3, 1.6, 1.9])
    blurred = gaussian_blur(pictures, sigma)
    for image, out, s in zip(pictures, blurred, sigma.tolist(), strict=True):
        expected = gaussian_filter(
            image.double().numpy(), (0, s, s), mode="nearest", radius=(0, 6, 6)
        )
        assert np.abs(out.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("quality", [35, 60, 90])
def test_jpeg_is_libjpegs(quality, pictures):
    ours = EFFECTS["jpeg"].apply(pictures, torch.full((len(pictures), 1), float(quality)))
    for image, out in zip(pictures, ours, strict=True):
        pixels = image.permute(1, 2, 0).mul(255).round().byte().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
        with Image.open(file) as picture:
            theirs = np.asarray(picture).astype(float)
        mine = out.permute(1, 2, 0).clamp(0, 1).mul(255).numpy()
        # libjpeg rounds to whole levels on the way, twice; what is lost must be the same
        assert np.abs(mine - theirs).mean() < 1.6
        lost = np.corrcoef((mine - pixels).ravel(), (theirs - pixels).ravel())[0, 1]
        assert lost > {35: 0.9, 60: 0.85, 90: 0.6}[quality]


def test_noise_has_the_deviation_it_says_and_grey_gets_grey_noise():
    grey = torch.full((1, 3, 200, 200), 0.25)
    noisy = EFFECTS["noise"].apply(grey, torch.tensor([[0.02, 0.04, 7.0]]))
    expected = (0.02**2 + 0.04**2 * 0.25) ** 0.5
    assert (noisy - grey).std().item() == pytest.approx(expected, rel=0.03)
    assert torch.equal(noisy[:, 0], noisy[:, 2])


@pytest.mark.parametrize("layout", ["uint8", "array", "pil", "grey", "rgba"])
def test_what_comes_in_comes_out(layout):
    transform = Appearance(p=1.0, seed=0, image_p=1.0)
    tensor = torch.randint(40, 200, (3, 40, 50), dtype=torch.uint8)
    image = {
        "uint8": tensor,
        "array": tensor.permute(1, 2, 0).numpy(),
        "pil": Image.fromarray(tensor.permute(1, 2, 0).numpy()),
        "grey": tensor[:1],
        "rgba": torch.cat([tensor, tensor[:1]]),
    }[layout]
    out = transform(image)
    assert type(out) is type(image)
    if layout == "rgba":
        assert torch.equal(out[3], image[3])
    if layout != "pil":
        assert out.shape == image.shape
        assert out.dtype == image.dtype


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "mri"}, "kind must be one of"),
        ({"kind": ()}, "kind must be one of"),
        ({"strength": 3.0}, "strength"),
        ({"strength": (0.5, 0.2)}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"p": 1.5}, "p must be"),
        ({"effects": ["veil", "gamma"]}, "effects must be some of .*got .'veil'.*"),
        ({"effects": []}, "effects must be"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Appearance(**arguments)


def test_params_are_checked():
    with pytest.raises(ValueError, match="glitter"):
        AppearanceParams({"glitter": ((1.0,),)})
    with pytest.raises(ValueError, match="rows of"):
        AppearanceParams({"veil": ((1.0, 2.0),)})
    with pytest.raises(ValueError, match="as many rows"):
        AppearanceParams({"veil": ((0.1,),), "gamma": ((1.0,), (1.0,))})
    transform = Appearance()
    params = transform.draw_params(2)
    with pytest.raises(ValueError, match="params must hold 3"):
        transform.apply_transform(torch.rand(3, 3, 32, 32), params)


def test_effects_that_no_map_can_repeat_are_marked():
    marked = {name for name, effect in EFFECTS.items() if not effect.reproducible}
    assert marked == {"illumination", "noise", "jpeg"}


def test_the_content_is_left_alone(pictures):
    before = pictures.clone()
    change_appearance(pictures, Appearance(p=1.0, seed=0, image_p=1.0).draw_params(len(pictures)))
    assert torch.equal(pictures, before)


def test_a_call_with_params_draws_nothing(pictures):
    params = Appearance(tuple(KINDS), p=1.0, seed=0, image_p=1.0).draw_params(len(pictures))
    state = torch.random.get_rng_state()
    change_appearance(pictures, params)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_share_of_the_images_changes_and_those_as_without_it():
    images = torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    every, some = (Appearance("stained", strength=1.0, image_p=p, seed=3)(images) for p in (1, 0.5))
    left = (some == images).flatten(1).all(dim=1)
    assert 70 < int(left.sum()) < 130
    assert torch.equal(some[~left], every[~left])
    assert torch.equal(Appearance("stained", image_p=0.0)(images), images)
    with pytest.raises(ValueError, match="image_p"):
        Appearance("stained", image_p=1.5)


def test_only_the_named_effects_are_drawn():
    colors = ("gamma", "white-balance")
    transform = Appearance("stained", effects=colors, p=1.0, strength=1.0, seed=0)
    params = transform.draw_params(3)
    assert set(params.values) == set(colors)
    flat = torch.full((3, 3, 16, 16), 0.4)
    changed = transform.apply_transform(flat, params)
    assert not torch.equal(changed, flat)
    assert torch.equal(changed, changed[..., :1, :1].expand_as(changed))
    assert "effects=['white-balance', 'gamma']" in repr(transform)
    alone = Appearance("stained", effects="gamma", p=1.0).draw_params(1)
    assert list(alone.values) == ["gamma"]
