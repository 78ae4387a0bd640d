"""The torchvision adapter: images change, everything else stays as it is."""

import pickle

import numpy as np
import PIL.Image
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from styleaug import StyleBank
from styleaug import StyleTransfer as CoreStyleTransfer
from styleaug.adapters.torchvision import StyleLoader, StyleMix, StyleTransfer


@pytest.fixture
def bank(photos):
    return StyleBank.from_images(photos, "colorist")


@pytest.fixture
def sample():
    points = getattr(tv_tensors, "KeyPoints", tv_tensors.Mask)  # since torchvision 0.23
    sized = {"canvas_size": (40, 44)} if points is not tv_tensors.Mask else {}
    return {
        "mask": tv_tensors.Mask(torch.randint(0, 2, (40, 44))),
        "image": tv_tensors.Image(torch.rand(3, 40, 44)),
        "boxes": tv_tensors.BoundingBoxes(
            torch.tensor([[1, 2, 3, 4]]), format="XYXY", canvas_size=(40, 44)
        ),
        "points": points(torch.rand(2, 2), **sized),
        "scores": torch.rand(3, 40, 44),
        "label": 3,
    }


def test_only_images_change(bank, sample):
    out = StyleTransfer(styles=bank, p=1.0)(sample)
    assert isinstance(out["image"], tv_tensors.Image)
    assert not torch.equal(out["image"], sample["image"])
    for key in ("mask", "boxes", "points", "scores"):
        assert type(out[key]) is type(sample[key])
        assert torch.equal(out[key], sample[key])
    assert out["label"] == 3


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pil_images_keep_their_mode(bank, mode):
    image = PIL.Image.effect_noise((44, 40), 50).convert(mode)
    out = StyleTransfer(styles=bank, p=1.0)(image)
    assert out.mode == mode
    assert out.size == image.size
    assert not np.array_equal(np.array(out), np.array(image))


def test_in_a_pipeline_and_in_workers(bank):
    pipeline = v2.Compose(
        [
            v2.ToImage(),
            StyleTransfer(styles=bank, p=1.0),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    images = [PIL.Image.effect_noise((44, 40), 50).convert("RGB") for _ in range(4)]
    dataset = [(pickle.loads(pickle.dumps(pipeline))(image), 1) for image in images]
    for batch, labels in DataLoader(dataset, batch_size=2, num_workers=1):
        assert batch.shape == (2, 3, 40, 44)
        assert batch.min() < 0.0
        assert labels.tolist() == [1, 1]


def test_a_batch_draws_for_every_image(bank):
    images = torch.rand(16, 3, 40, 44)
    out = StyleTransfer(styles=bank, p=0.5, seed=0)(images)
    changed = [not torch.equal(a, b) for a, b in zip(out, images, strict=True)]
    assert 0 < sum(changed) < 16


def test_images_of_one_sample_share_the_draw(bank):
    left = torch.rand(3, 40, 44)
    transform = StyleTransfer(styles=bank, alpha=(0.2, 1.0), p=1.0)
    one, two = transform((tv_tensors.Image(left), tv_tensors.Image(left)))
    assert torch.equal(one, two)


@pytest.mark.parametrize("lead", [(5,), (2, 5)])
def test_a_clip_has_one_style(bank, lead):
    frame = torch.rand(3, 40, 44)
    video = tv_tensors.Video(frame.expand(*lead, 3, 40, 44).clone())
    out = StyleTransfer(styles=bank, alpha=(0.1, 1.0), p=1.0, seed=0)(video)
    assert isinstance(out, tv_tensors.Video)
    clips = out.reshape(-1, 5, 3, 40, 44)
    for clip in clips:
        assert all(torch.allclose(clip[0], frame, atol=1e-6) for frame in clip)
    assert len({clip.numpy().tobytes() for clip in clips}) == len(clips)


def test_the_same_seed_is_the_core(bank):
    images = torch.rand(6, 3, 40, 44)
    arguments = {"styles": bank, "alpha": (0.2, 1.0), "p": 0.7, "seed": 11}
    assert torch.equal(StyleTransfer(**arguments)(images), CoreStyleTransfer(**arguments)(images))
    torch.manual_seed(4)
    expected = CoreStyleTransfer(styles=bank)(images)
    torch.manual_seed(4)
    assert torch.equal(StyleTransfer(styles=bank)(images), expected)


def test_a_label_taken_for_the_image_is_explained(bank):
    with pytest.raises(ValueError, match=r"wrap images as tv_tensors\.Image"):
        StyleTransfer(styles=bank, p=1.0)(
            {"label": torch.tensor(1), "image": torch.rand(3, 40, 44)}
        )


def test_nothing_shows_up_in_the_state_dict(bank):
    model = torch.nn.Sequential(StyleTransfer("fda", styles=torch.rand(2, 3, 40, 40)))
    assert not model.state_dict()
    assert "4 styles" in repr(StyleTransfer(styles=bank))


@pytest.mark.parametrize("kind", ["tuple", "dict", "pair of dicts"])
def test_style_mix_finds_the_images_and_nothing_else(bank, kind):
    images, masks, labels = torch.rand(4, 3, 40, 44), torch.rand(4, 3, 40, 44), torch.arange(4)
    batch = {
        "tuple": (images, labels, masks),
        "dict": {"label": labels, "mask": masks, "image": images},
        "pair of dicts": ({"mask": masks, "image": images}, {"label": labels}),
    }[kind]
    out = StyleMix(CoreStyleTransfer(styles=bank, p=1.0))(batch)
    before, _ = torch.utils._pytree.tree_flatten(batch)
    after, _ = torch.utils._pytree.tree_flatten(out)
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert [leaf is images for leaf in before] == changed


def test_style_mix_takes_separate_arguments_and_getters(bank):
    images, labels = torch.rand(4, 3, 40, 44), torch.arange(4)
    mix = StyleMix(CoreStyleTransfer(styles=bank, p=1.0), image_getter=lambda batch: batch["scan"])
    out = mix({"image": labels, "scan": images})
    assert out["image"] is labels
    assert not torch.equal(out["scan"], images)
    assert StyleMix(CoreStyleTransfer(styles=bank))(images, labels)[1] is labels


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"label": torch.arange(4), "mask": torch.rand(4, 1, 40, 40)}, "exactly one of the keys"),
        ((torch.arange(4), torch.rand(4, 3, 40, 40)), "must give images"),
        ({"image": torch.zeros(4, 40, 40, dtype=torch.int64)}, "must give images"),
    ],
)
def test_style_mix_never_guesses(bank, batch, words):
    with pytest.raises(ValueError, match=words):
        StyleMix(CoreStyleTransfer(styles=bank))(batch)


def test_style_loader_is_still_a_loader(bank):
    dataset = [(torch.rand(3, 40, 44), index) for index in range(6)]
    loader = DataLoader(dataset, batch_size=2)
    styled = StyleLoader(loader, CoreStyleTransfer(styles=bank, p=1.0), "cpu")
    assert len(styled) == 3
    assert styled.dataset is dataset
    assert styled.sampler is loader.sampler
    assert styled.batch_size == 2
    batches = list(styled)
    assert [labels.tolist() for _, labels in batches] == [[0, 1], [2, 3], [4, 5]]
    assert not torch.equal(batches[0][0][0], dataset[0][0])


class _Samples(torch.utils.data.Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.transform({"image": tv_tensors.Image(torch.rand(3, 40, 44)), "label": index})


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_samples_without_styles_are_refused(p):
    loader = DataLoader(_Samples(StyleTransfer("colorist", p=p)), batch_size=2)
    with pytest.raises(ValueError, match=r"single sample.*styles=.*StyleMix or StyleLoader"):
        next(iter(loader))
    transform = StyleTransfer("colorist", p=p)
    for one in (
        PIL.Image.effect_noise((44, 40), 50),
        torch.rand(3, 40, 44),
        tv_tensors.Video(torch.rand(2, 3, 40, 44)),
    ):
        with pytest.raises(ValueError, match="styles='batch' takes the style of another image"):
            transform(one)
    assert transform(torch.rand(2, 3, 40, 44)).shape == (2, 3, 40, 44)
    with pytest.warns(UserWarning, match="leaves a batch of one image"):
        transform(torch.rand(1, 3, 40, 44))  # the rest of an epoch


def test_a_share_of_one_sample_is_refused(bank):
    transform = StyleTransfer(styles=bank, portion=0.5)
    with pytest.raises(ValueError, match=r"portion=0\.5 is a share of a batch.*p=.*StyleMix"):
        transform(torch.rand(3, 40, 44))
    images = torch.rand(8, 3, 40, 44)
    changed = (transform(images) != images).flatten(1).any(1)
    assert changed.sum() == 4


@pytest.mark.parametrize("mode", ["each", "joint"])
def test_any_number_of_channels(bank, mode):
    dark, light = 0.3 * torch.rand(2, 40, 44), 0.6 + 0.3 * torch.rand(3, 40, 44)
    image = tv_tensors.Image(torch.cat([dark, light]))
    transform = StyleTransfer(styles=bank, p=1.0, channel_mode=mode)
    torch.manual_seed(1)
    out = transform(image)
    assert isinstance(out, tv_tensors.Image)
    assert out.shape == image.shape
    apart = out[4].mean() - out[0].mean()
    assert abs(apart) < 0.02 if mode == "each" else apart > 0.05
    torch.manual_seed(1)
    batch = transform(torch.stack([image.as_subclass(torch.Tensor)] * 2))
    assert torch.allclose(batch[0], out.as_subclass(torch.Tensor), atol=1e-6)
    with pytest.raises(ValueError, match=r"v2\.ToImage\(\)"):
        transform(PIL.Image.effect_noise((44, 40), 50))
    with pytest.raises(ValueError, match="channel_mode='each'"):
        StyleTransfer(styles=bank, p=1.0)(image)
    with pytest.raises(ValueError, match="takes images apart by channels"):
        StyleTransfer("colorist", channel_mode=mode)


def test_settings_are_printed_once(bank):
    for transform in (StyleTransfer(styles=bank), StyleMix(CoreStyleTransfer(styles=bank))):
        assert repr(transform).count("p=") == 1
        assert repr(v2.Compose([transform])).count("p=") == 1


@pytest.mark.parametrize("arguments", [{"portion": 0.5}, {"per_instance": False}, {}])
def test_arguments_of_batches_mean_what_they_mean_in_the_core(bank, arguments):
    images = torch.rand(6, 3, 40, 44)
    shared = {"styles": bank, "alpha": (0.2, 1.0), "seed": 5, **arguments}
    here, core = StyleTransfer(**shared), CoreStyleTransfer(**shared)
    for _ in range(2):
        assert torch.equal(here(images), core(images))


@pytest.mark.parametrize("mode", ["rgb", "each", "joint"])
def test_units_are_those_of_the_core(bank, mode):
    images = torch.randint(-1000, 3000, (3, 40, 44)).to(torch.int16)
    window = {"styles": bank, "p": 1.0, "value_range": (-200, 1800)}
    out = StyleTransfer(**window, channel_mode=mode)(images)
    inside = (images >= -200) & (images <= 1800)
    assert out.dtype == torch.int16
    assert torch.equal(out[~inside], images[~inside])
    assert (out[inside] != images[inside]).float().mean() > 0.5
    unit = ((images.float() + 200) / 2000).clamp(0.0, 1.0)
    expected = StyleTransfer(styles=bank, p=1.0, channel_mode=mode, seed=1)
    found = StyleTransfer(**window, channel_mode=mode, seed=1)(images)[inside]
    assert torch.allclose(expected(unit)[inside] * 2000 - 200, found.float(), atol=0.51)


@pytest.mark.parametrize("mode", ["rgb", "each", "joint"])
def test_floats_outside_are_clamped_where_asked(bank, mode):
    image = torch.rand(3, 40, 44) * 1.2 - 0.1
    with pytest.raises(ValueError, match="out_of_range='clamp'"):
        StyleTransfer(styles=bank, p=1.0, channel_mode=mode)(image)
    settings = {"styles": bank, "channel_mode": mode, "seed": 0}
    out = StyleTransfer(**settings, p=1.0, out_of_range="clamp")(image)
    expected = StyleTransfer(**settings, p=1.0)(image.clamp(0.0, 1.0))
    painted = expected != image.clamp(0.0, 1.0)
    assert torch.equal(out[painted], expected[painted])
    assert torch.equal(StyleTransfer(**settings, p=0.0, out_of_range="clamp")(image), image)
