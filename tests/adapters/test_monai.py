"""The MONAI adapter, trap by trap."""

import json

import monai
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, MetaTensor, TestTimeAugmentation, decollate_batch
from monai.data import DataLoader as MonaiLoader
from monai.transforms import Compose, EnsureTyped, Invertd, RandFlipd
from torch.utils.data import DataLoader

from styleaug import StyleBank
from styleaug import StyleTransfer as CoreStyleTransfer
from styleaug.adapters.monai import (
    RandStyleTransfer,
    RandStyleTransferD,
    RandStyleTransferd,
    RandStyleTransferDict,
    StyleTransfer,
    StyleTransferd,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def bank(photos):
    return StyleBank.from_images(photos, "colorist")


@pytest.fixture
def bank_file(bank, tmp_path):
    bank.save(tmp_path / "bank.safetensors")
    return str(tmp_path / "bank.safetensors")


def _meta(shape=(3, 40, 44)):
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    return MetaTensor(torch.rand(shape), affine=affine, meta={"name": "case"})


def test_meta_data_and_operations_stay(bank):
    image = _meta()
    out = RandStyleTransfer(styles=bank, prob=1.0)(image)
    assert isinstance(out, MetaTensor)
    assert torch.equal(out.affine, image.affine)
    assert out.meta["name"] == "case"
    assert [op["class"] for op in out.applied_operations] == ["RandStyleTransfer"]
    assert not torch.equal(out.as_tensor(), image.as_tensor())
    assert not image.applied_operations


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_arrays_come_out_as_meta_tensors_of_their_type(bank, dtype):
    image = np.random.default_rng(0).random((3, 40, 44)) * (255 if dtype == np.uint8 else 1)
    out = RandStyleTransfer(styles=bank, prob=1.0)(image.astype(dtype))
    assert isinstance(out, MetaTensor)
    assert out.dtype == torch.from_numpy(image.astype(dtype)).dtype


def test_the_gate_and_the_draw_are_those_of_the_host(bank):
    transform, image = (
        RandStyleTransfer(styles=bank, prob=0.3, alpha=(0.1, 1.0)),
        torch.rand(3, 40, 40),
    )
    transform.set_random_state(seed=5)
    first = [transform(image).as_tensor() for _ in range(200)]
    changed = np.mean([not torch.equal(out, image) for out in first])
    assert 0.2 < changed < 0.4
    transform.set_random_state(seed=5)
    assert all(torch.equal(transform(image).as_tensor(), out) for out in first)


def test_keys_share_one_draw_and_labels_stay(bank):
    image = torch.rand(3, 40, 40)
    sample = {"image": image, "second": image.clone(), "label": torch.ones(1, 40, 40)}
    transform = RandStyleTransferd(["image", "second"], "colorist", styles=bank, prob=1.0)
    out = transform(sample)
    assert torch.equal(out["image"].as_tensor(), out["second"].as_tensor())
    assert out["label"] is sample["label"]
    assert RandStyleTransferD is RandStyleTransferDict is RandStyleTransferd
    with pytest.raises(KeyError):
        transform({"image": image})
    RandStyleTransferd(["image", "x"], styles=bank, allow_missing_keys=True)({"image": image})


def test_a_cache_never_freezes_the_style(bank):
    data = [{"image": torch.rand(3, 40, 40)}]
    pipeline = Compose(
        [EnsureTyped("image"), RandStyleTransferd("image", styles=bank, prob=1.0, alpha=(0.1, 1.0))]
    )
    dataset = CacheDataset(data, pipeline, progress=False)
    assert not torch.equal(dataset[0]["image"], dataset[0]["image"])


@pytest.mark.parametrize("prob", [0.0, 1.0])
def test_the_inverse_is_the_identity(bank, prob):
    pipeline = Compose(
        [
            RandFlipd("image", prob=1.0, spatial_axis=0),
            RandStyleTransferd("image", styles=bank, prob=prob),
        ]
    )
    sample = {"image": _meta()}
    out = pipeline(sample)
    back = pipeline.inverse({"image": out["image"].clone()})
    assert torch.equal(back["image"].as_tensor(), out["image"].as_tensor().flip(1))
    assert not back["image"].applied_operations
    inverted = Invertd("pred", pipeline, orig_keys="image")({**out, "pred": out["image"].clone()})
    assert torch.equal(inverted["pred"].as_tensor(), out["image"].as_tensor().flip(1))


@pytest.mark.parametrize("composed", [False, True])
def test_time_augmentation_works_without_a_warning(bank, composed):
    transform = RandStyleTransferd("image", styles=bank, prob=1.0, alpha=(0.1, 1.0))
    tta = TestTimeAugmentation(
        Compose([transform]) if composed else transform,
        batch_size=2,
        inferrer_fn=lambda batch: batch.mean(dim=1, keepdim=True),
        image_key="image",
        orig_key="image",
        progress=False,
    )
    mode, mean, std, vvc = tta({"image": _meta()}, num_examples=4)
    assert mean.shape == (1, 40, 44)
    assert std.max() > 0.0
    assert mode.shape == mean.shape
    assert vvc > 0.0


class _Data(torch.utils.data.Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
        return self.transform({"image": image})["image"].as_tensor()


@pytest.mark.parametrize("loader", [DataLoader, MonaiLoader])
def test_workers_and_epochs_draw_their_own(bank, loader):
    data = _Data(RandStyleTransferd("image", styles=bank, prob=1.0, alpha=(0.1, 1.0)))
    torch.manual_seed(0)
    batches = loader(data, batch_size=1, num_workers=2)
    images = [image.numpy().tobytes() for _ in range(2) for image in batches]
    assert len(set(images)) == len(images)


def test_volumes_have_one_style_and_do_not_flicker(bank):
    ramp = torch.linspace(0.2, 0.8, 6)
    volume = torch.rand(1, 40, 36, 6) * 0.1 + ramp
    out = StyleTransfer(styles=bank, style=1)(volume).as_tensor()
    assert out.shape == volume.shape
    means = out.mean(dim=(0, 1, 2))
    assert (means.diff() > 0).all()  # slice by slice, all would have the style's mean
    expected = bank.code.maps["mean"][1].mean()
    assert abs(out.mean() - expected) < 0.05
    moved = StyleTransfer(styles=bank, style=1, slice_axis=0)(volume.movedim(-1, 1)).as_tensor()
    assert torch.allclose(moved.movedim(1, -1), out, atol=1e-5)


def test_stylizers_that_look_around_take_volumes_slice_by_slice(photos):
    volume = torch.rand(1, 40, 36, 3)
    out = StyleTransfer("fda", styles=photos, style=1)(volume).as_tensor()
    core = CoreStyleTransfer("fda", styles=photos, p=1.0)
    one = core.stylize_grid(volume[..., 2], [1])[0, 0]
    assert torch.allclose(out[..., 2], one, atol=1e-5)


@pytest.mark.parametrize("mode", ["each", "joint"])
def test_any_number_of_channels(bank, mode):
    image = torch.stack(
        [0.3 * torch.rand(40, 40), 0.5 + 0.3 * torch.rand(40, 40)] * 2 + [torch.rand(40, 40)]
    )
    out = StyleTransfer(styles=bank, channel_mode=mode)(image).as_tensor()
    assert out.shape == image.shape
    apart = out[1].mean() - out[0].mean()
    assert abs(apart) < 0.02 if mode == "each" else apart > 0.05
    with pytest.raises(ValueError, match="1 or 3 channels in channel_mode='rgb', got 5"):
        StyleTransfer(styles=bank)(image)


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
@pytest.mark.parametrize("shape", [(1, 40, 40), (1, 40, 40, 5)])
def test_windows_keep_unit_type_and_what_is_outside(bank, dtype, shape):
    image = (torch.rand(shape) * 3000 - 1200).to(dtype)
    out = StyleTransfer(styles=bank, a_min=-200, a_max=300)(image).as_tensor()
    assert out.dtype == dtype
    outside = (image < -200) | (image > 300)
    assert outside.any()
    assert torch.equal(out[outside], image[outside])
    assert not torch.equal(out[~outside], image[~outside])
    assert out[~outside].min() >= -200
    assert out[~outside].max() <= 300


def test_arguments_are_json_for_bundles(bank_file):
    config = {
        "_target_": "styleaug.adapters.monai.RandStyleTransferd",
        "keys": ["image"],
        "stylizer": "colorist",
        "styles": bank_file,
        "prob": 1.0,
        "alpha": [0.3, 1.0],
    }
    parser = monai.bundle.ConfigParser(json.loads(json.dumps({"augment": config})))
    out = parser.get_parsed_content("augment")({"image": torch.rand(3, 40, 40)})
    assert out["image"].shape == (3, 40, 40)


def test_batches_come_apart_again(bank):
    transform = RandStyleTransferd("image", styles=bank, prob=0.5)
    transform.set_random_state(0)
    loader = MonaiLoader([transform({"image": _meta()}) for _ in range(4)], batch_size=4)
    items = decollate_batch(next(iter(loader)))
    assert len(items) == 4
    back = [Compose([transform]).inverse(item)["image"] for item in items]
    assert all(not image.applied_operations for image in back)


def test_without_tracking_plain_tensors_come_out(bank):
    monai.data.set_track_meta(False)
    try:
        out = RandStyleTransfer(styles=bank, prob=1.0)(torch.rand(3, 40, 40))
        assert type(out) is torch.Tensor
        sample = StyleTransferd("image", styles=bank)({"image": torch.rand(3, 40, 40)})
        assert type(sample["image"]) is torch.Tensor
    finally:
        monai.data.set_track_meta(True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"styles": "batch"}, "one sample at a time"),
        ({"channel_mode": "rgba"}, "channel_mode must be one of"),
        ({"a_min": 0.0}, "a_min and a_max go together"),
        ({"a_min": 2.0, "a_max": 1.0}, "a_min must be below"),
        ({"alpha": (0.9, 0.1)}, "low <= high"),
        ({"slice_axis": 3}, "slice_axis must be a spatial axis"),
    ],
)
def test_wrong_arguments_are_refused(bank, arguments, words):
    with pytest.raises(ValueError, match=words):
        RandStyleTransfer(**{"styles": bank, **arguments})


def test_a_style_that_is_not_there_is_refused(bank):
    with pytest.raises(ValueError, match="style must be the number"):
        StyleTransfer(styles=bank, style=4)
    with pytest.raises(ValueError, match=r"must be \(C, H, W\)"):
        StyleTransfer(styles=bank)(torch.rand(40, 40))
    with pytest.raises(ValueError, match="alpha must be a number"):
        StyleTransfer(styles=bank, alpha=(0.2, 0.8))
    with pytest.raises(TypeError, match=r"got \['chanel_mode'\]"):
        StyleTransfer(styles=bank, chanel_mode="each")


@pytest.mark.parametrize(
    "image",
    [
        (torch.rand(1, 40, 40, 3) * 2000 - 1000).to(torch.int16),
        torch.rand(1, 40, 40, 3) * 1500,
        torch.rand(1, 40, 40) * 255,
    ],
)
def test_other_units_are_refused_in_words_of_the_host(bank, image):
    error = ValueError if image.is_floating_point() else TypeError
    with pytest.raises(error, match=r"a_min=.*window='percentile'.*ScaleIntensityRanged") as e:
        RandStyleTransferd("image", styles=bank, prob=1.0)({"image": image})
    assert "255 for 8 bits" not in str(e.value)


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
@pytest.mark.parametrize("shape", [(1, 40, 44), (1, 40, 44, 5), (3, 40, 44)])
def test_percentiles_are_a_window(bank, dtype, shape):
    image = (torch.rand(shape) * 3000 + 50).to(dtype)
    image.view(-1)[:3] = 30_000
    out = StyleTransfer(styles=bank, window="percentile")(image).as_tensor()
    low, high = np.percentile(image.numpy(), [0.5, 99.5], method="nearest")
    expected = StyleTransfer(styles=bank, a_min=float(low), a_max=float(high))(image).as_tensor()
    assert out.dtype == dtype
    assert torch.equal(out, expected)
    assert (out.view(-1)[:3] == 30_000).all()
    assert not torch.equal(out, image)


def test_percentiles_of_channels_are_their_own_and_what_is_flat_stays(bank):
    image = torch.rand(3, 40, 44) * torch.tensor([10.0, 5000.0, 0.0])[:, None, None] - 7
    transform = StyleTransfer(styles=bank, window="percentile", channel_mode="each")
    out = transform(image).as_tensor()
    alone = torch.cat([transform(channel[None]).as_tensor() for channel in image])
    assert torch.allclose(out, alone, rtol=1e-5, atol=1e-3)
    assert torch.equal(out[2], image[2])
    assert out[0].std() > 0.5
    with pytest.raises(ValueError, match="and hold pixels"):
        transform(torch.rand(1, 40, 0))
    with pytest.raises(ValueError, match="must be finite"):
        transform(torch.full((1, 40, 44), torch.nan))


def test_volumes_as_styles_say_how(bank):
    volume = (torch.rand(1, 40, 44, 6) * 1000 - 500).to(torch.int16)
    for styles in ("case.nii.gz", ["a.png", "b.nrrd"], volume, [volume.numpy()]):
        with pytest.raises(ValueError, match=r"2-D images, got the volume .*movedim\(-1, 0\)"):
            RandStyleTransferd("image", styles=styles)
    made = StyleBank.from_images(volume.movedim(-1, 0), "colorist", value_range=(-160, 240))
    assert len(made) == 6
    assert StyleTransfer(styles=made, a_min=-160, a_max=240)(volume).dtype == torch.int16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": 1}, "set_random_state"),
        ({"portion": 0.5}, "StyleLoader.*is prob="),
        ({"per_instance": True}, "share a draw"),
    ],
)
def test_arguments_of_batches_are_refused_with_the_reason(bank, arguments, words):
    for make in (StyleTransfer, RandStyleTransfer, lambda **a: RandStyleTransferd("image", **a)):
        with pytest.raises(TypeError, match=words):
            make(styles=bank, **arguments)
    with pytest.raises(ValueError, match="Leave out one of the two"):
        StyleTransfer(styles=bank, window="percentile", a_min=0, a_max=1)


@pytest.mark.parametrize("shape", [(3, 40, 44), (1, 40, 44, 5)])
def test_floats_outside_are_clamped_where_asked(bank, shape):
    image = torch.rand(shape) * 1.2 - 0.1
    out = StyleTransfer(styles=bank, out_of_range="clamp")(image).as_tensor()
    unit = image.clamp(0.0, 1.0)
    expected = StyleTransfer(styles=bank)(unit).as_tensor()
    painted = expected != unit
    assert torch.equal(out[painted], expected[painted])
    with pytest.raises(TypeError, match="a_min="):
        StyleTransfer(styles=bank, out_of_range="clamp")(torch.full(shape, 7, dtype=torch.int16))
    with pytest.raises(ValueError, match="out_of_range must be one of"):
        StyleTransfer(styles=bank, out_of_range="wrap")


def test_the_range_of_the_core_has_other_names_here(bank):
    with pytest.raises(TypeError, match="a_min= and a_max="):
        StyleTransfer(styles=bank, value_range=(0, 4095))
