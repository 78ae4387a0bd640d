"""`Appearance` in torchvision, Albumentations and MONAI: what it is alone, wherever it stands."""

import pickle

import albumentations as A
import numpy as np
import PIL.Image
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from styleaug.adapters import albumentations as on_albumentations
from styleaug.adapters import monai as on_monai
from styleaug.adapters import torchvision as on_torchvision
from styleaug.appearance import Appearance


@pytest.fixture
def image(photos):
    return (255 * photos[0]).to(torch.uint8)


@pytest.fixture
def array(image):
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def _alone(image, integer, kind="stained", count=1):
    core = Appearance(kind, p=0.8, image_p=1.0)
    params = core.draw_params(1, torch.Generator().manual_seed(integer)).repeat(count)
    return core.apply_transform(image, params)


def test_an_integer_of_the_host_stands_for_one_appearance(image, array):
    expected = _alone(image, 7)
    assert not torch.equal(expected, image)
    in_albumentations = on_albumentations.Appearance(effect_p=0.8)
    painted = in_albumentations.apply(array, appearance_seed=7)
    assert np.array_equal(painted, expected.permute(1, 2, 0).numpy())
    in_monai = on_monai.RandAppearance(prob=1.0, effect_p=0.8)
    in_monai.set_random_state(3)
    changed = in_monai(image)
    in_monai.set_random_state(3)
    in_monai.R.random_sample()  # whether to apply
    assert torch.equal(changed.as_tensor(), _alone(image, int(in_monai.R.randint(2**31 - 1))))


def test_torchvision_draws_as_the_transform_alone(image):
    alone, hosted = (kind(image_p=1.0, seed=5) for kind in (Appearance, on_torchvision.Appearance))
    assert torch.equal(hosted(image), alone(image))
    batch = torch.stack([image, image])
    found = hosted(batch)
    assert torch.equal(found, alone(batch))
    assert not torch.equal(found[0], found[1])


def test_only_the_images_of_a_torchvision_sample_change_and_share_a_draw(image):
    mask = tv_tensors.Mask(torch.ones(1, 48, 64, dtype=torch.uint8))
    picture = PIL.Image.fromarray(image.permute(1, 2, 0).numpy())
    sample = {"a": tv_tensors.Image(image), "b": picture, "mask": mask, "label": 3}
    out = v2.Compose([on_torchvision.Appearance(p=1.0, image_p=1.0, seed=0)])(sample)
    assert isinstance(out["a"], tv_tensors.Image)
    assert not torch.equal(out["a"], image)
    assert np.array_equal(np.array(out["b"]), out["a"].permute(1, 2, 0).numpy())
    assert torch.equal(out["mask"], mask)
    assert out["label"] == 3


def test_a_video_has_one_appearance(image):
    video = tv_tensors.Video(torch.stack([image, image]))
    out = on_torchvision.Appearance(p=1.0, image_p=1.0, seed=0)(video)
    assert isinstance(out, tv_tensors.Video)
    assert torch.equal(out[0], out[1])
    with pytest.raises(ValueError, match="wrap images as"):
        on_torchvision.Appearance()(torch.zeros(5, dtype=torch.uint8))


@pytest.mark.parametrize("kind", ["HWC", "HW", "HW1"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_layouts_and_types_are_kept_in_albumentations(array, kind, dtype):
    image = array if dtype == np.uint8 else (array / 255).astype(np.float32)
    image = {"HWC": image, "HW": image[..., 0].copy(), "HW1": image[..., :1].copy()}[kind]
    transform = on_albumentations.Appearance(effect_p=1.0, p=1.0)
    out = A.Compose([transform], seed=1)(image=image)["image"]
    assert out.dtype == image.dtype
    assert out.shape == image.shape
    assert not np.array_equal(out, image)


def test_targets_of_albumentations_share_a_draw_and_masks_stay(array):
    pipeline = A.Compose(
        [on_albumentations.Appearance(effect_p=1.0, p=1.0)],
        additional_targets={"second": "image"},
        seed=0,
    )
    mask, stack = array[..., 0] > 100, np.stack([array, array])
    out = pipeline(
        image=array, second=array, images=stack, volume=stack, mask=mask.astype(np.uint8)
    )
    assert not np.array_equal(out["image"], array)
    assert np.array_equal(out["second"], out["image"])
    for target in ("images", "volume"):
        assert all(np.array_equal(one, out["image"]) for one in out[target])
    assert np.array_equal(out["mask"], mask)


def test_a_saved_pipeline_of_albumentations_is_the_same(array):
    transform = on_albumentations.Appearance(
        ["stained", "photograph"], (0.5, 2.0), 0.9, ["gamma", "noise", "glass"], p=0.8
    )
    pipeline = A.Compose([transform], seed=4)
    saved = A.to_dict(pipeline)
    name = saved["transform"]["transforms"][0]["__class_fullname__"]
    assert name == "styleaug.adapters.albumentations.Appearance"
    again = A.from_dict(saved)
    again.set_random_seed(4)
    copied = pickle.loads(pickle.dumps(A.Compose([transform], seed=4)))
    for _ in range(3):
        expected = pipeline(image=array)["image"]
        assert np.array_equal(again(image=array)["image"], expected)
        assert np.array_equal(copied(image=array)["image"], expected)


class _Images(Dataset):
    def __init__(self, transform, image):
        self.transform, self.image = transform, image

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return np.asarray(self.transform(self.image))


@pytest.mark.parametrize("host", ["albumentations", "monai", "torchvision"])
def test_workers_and_epochs_draw_differently(host, image, array):
    pipeline = A.Compose([on_albumentations.Appearance(effect_p=1.0, p=1.0)], seed=0)
    transform, seen = {
        "albumentations": (lambda x: pipeline(image=x)["image"], array),
        "monai": (on_monai.RandAppearance(prob=1.0, effect_p=1.0), image),
        "torchvision": (on_torchvision.Appearance(p=1.0, image_p=1.0), image),
    }[host]
    torch.manual_seed(0)
    loader = DataLoader(
        _Images(transform, seen), num_workers=2, multiprocessing_context="fork", batch_size=None
    )
    drawn = [np.asarray(item).tobytes() for _ in range(2) for item in loader]
    assert len(set(drawn)) == 16


def test_monai_keeps_meta_data_and_undoes_nothing(image):
    scan = MetaTensor(image.float() / 255, meta={"filename_or_obj": "a.png"})
    pipeline = Compose([on_monai.RandAppearanced(["a", "b"], prob=1.0, effect_p=1.0)])
    pipeline.set_random_state(0)
    out = pipeline({"a": scan, "b": scan.clone(), "label": 1})
    assert not torch.equal(out["a"].as_tensor(), scan.as_tensor())
    assert torch.equal(out["a"].as_tensor(), out["b"].as_tensor())
    assert out["a"].meta["filename_or_obj"] == "a.png"
    assert out["label"] == 1
    back = pipeline.inverse(out)
    assert torch.equal(back["a"].as_tensor(), out["a"].as_tensor())
    assert not back["a"].applied_operations


def test_slices_of_a_volume_in_hounsfield_units_share_a_draw():
    slice_ = torch.linspace(-1000, 1000, 48 * 64).view(1, 48, 64, 1).to(torch.int16)
    volume = slice_.expand(-1, -1, -1, 3).clone()
    transform = on_monai.RandAppearance("ct", 1.0, effect_p=1.0, a_min=-160.0, a_max=240.0)
    transform.set_random_state(1)
    out = transform(volume).as_tensor()
    assert out.dtype == torch.int16
    assert out.shape == volume.shape
    inside = (volume >= -160) & (volume <= 240)
    assert torch.equal(out[~inside], volume[~inside])
    assert not torch.equal(out[inside], volume[inside])
    assert torch.equal(out[..., 0], out[..., 2])


def test_a_chance_of_zero_changes_nothing(image, array):
    transform = on_monai.RandAppearance(prob=0.0, effect_p=1.0, strength=1.0)
    assert torch.equal(transform(image).as_tensor(), image)
    pipeline = A.Compose([on_albumentations.Appearance(p=0.0)])
    assert np.array_equal(pipeline(image=array)["image"], array)


@pytest.mark.parametrize(
    "make",
    [on_albumentations.Appearance, on_monai.RandAppearance, on_torchvision.Appearance],
)
def test_wrong_arguments_are_refused_at_once(make):
    with pytest.raises(ValueError, match="kind must be one of"):
        make("tissue")
    with pytest.raises(ValueError, match="strength must be"):
        make("stained", strength=3.0)


def test_every_host_draws_the_named_effects_alone(image, array):
    some = {"strength": 1.0, "effects": "saturation"}
    grey = array.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(array.dtype)
    flat = torch.from_numpy(grey).permute(2, 0, 1)
    for painted in (
        on_torchvision.Appearance(p=1.0, image_p=1.0, **some)(flat),
        on_monai.RandAppearance(prob=1.0, effect_p=1.0, **some)(flat),
        on_monai.RandAppearanced("image", prob=1.0, effect_p=1.0, **some)({"image": flat})["image"],
    ):
        assert torch.equal(torch.as_tensor(painted), flat)  # grey has no saturation to change
    painted = on_albumentations.Appearance(effect_p=1.0, p=1.0, **some)(image=grey)["image"]
    assert np.array_equal(painted, grey)
    assert not torch.equal(on_torchvision.Appearance(p=1.0, image_p=1.0, **some)(image), image)


def test_hosts_change_every_second_image_unless_told_otherwise(image, array):
    keyed = on_monai.RandAppearanced("x").set_random_state(0)
    hosts = {
        "core": Appearance(seed=0),
        "torchvision": on_torchvision.Appearance(seed=0),
        "monai": on_monai.RandAppearance().set_random_state(0),
        "monai, keys": lambda image: keyed({"x": image})["x"],
    }
    for name, transform in hosts.items():
        changed = [not torch.equal(torch.as_tensor(transform(image)), image) for _ in range(60)]
        assert 18 <= sum(changed) <= 42, name
    pipeline = A.Compose([on_albumentations.Appearance()], seed=0)
    changed = [not np.array_equal(pipeline(image=array)["image"], array) for _ in range(60)]
    assert 18 <= sum(changed) <= 42
