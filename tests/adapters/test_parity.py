"""The same integer gives the same image through the core and through every adapter."""

import os
import random
import subprocess
import sys
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch
from torchvision import tv_tensors

import styleaug
from styleaug import StyleBank, StyleTransfer
from styleaug.adapters._host import missing_host
from styleaug.adapters._seeding import check_worker
from styleaug.adapters.albumentations import StyleTransfer as AlbumentationsStyle
from styleaug.adapters.monai import RandStyleTransfer, RandStyleTransferd, StyleTransferd
from styleaug.adapters.torchvision import StyleMix
from styleaug.adapters.torchvision import StyleTransfer as TorchvisionStyle


@pytest.mark.parametrize("integer", [0, 7, 2**31 - 2])
def test_one_integer_one_image(photos, monkeypatch, integer):
    bank = StyleBank.from_images(photos, "colorist")
    image = (torch.rand(3, 40, 44) * 255).to(torch.uint8)
    arguments = {"styles": bank, "alpha": (0.1, 1.0)}
    core = StyleTransfer(**arguments, p=1.0)
    expected = core(image, generator=torch.Generator().manual_seed(integer))

    torch.manual_seed(integer)
    assert torch.equal(TorchvisionStyle(**arguments, p=1.0)(image), expected)

    monkeypatch.setattr(random.Random, "randrange", lambda self, *bounds: integer)
    array = image.permute(1, 2, 0).numpy()
    found = A.Compose([AlbumentationsStyle(**arguments, p=1.0)])(image=array)["image"]
    assert np.array_equal(found, expected.permute(1, 2, 0).numpy())

    transform = RandStyleTransfer(**arguments, prob=1.0)
    transform.R = type(
        "Fixed", (), {"rand": lambda self: 0.0, "randint": lambda self, n: integer}
    )()
    assert torch.equal(transform(image).as_tensor(), expected)


def test_cuda_in_a_forked_worker_is_explained(monkeypatch):
    worker = type("Worker", (), {"id": 3, "seed": 0})()
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: worker)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    check_worker(torch.device("cpu"))
    check_worker(None)
    with pytest.raises(RuntimeError, match=r"worker 3.*device='cpu'.*StyleLoader"):
        check_worker(torch.device("cuda"))


@pytest.mark.parametrize("host", ["albumentations", "monai", "torchvision"])
def test_a_missing_host_says_what_to_install(tmp_path, host):
    (tmp_path / f"{host}.py").write_text("raise ImportError('not there')")
    root = Path(styleaug.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", f"import styleaug; import styleaug.adapters.{host}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"},
    )
    assert f"pip install 'styleaug[{host}]'" in done.stderr


def test_a_torchvision_of_another_build_is_told_apart_from_none():
    error = RuntimeError("operator torchvision::nms does not exist")
    words = str(missing_host("torchvision", error))
    assert "torchvision::nms does not exist" in words
    assert "pip install --force-reinstall torch torchvision" in words
    assert "styleaug[torchvision]" not in words


def test_regions_come_with_the_sample_in_every_host(photos, monkeypatch):
    stylizer = styleaug.create_stylizer("mkl", region=2)
    maps = torch.zeros(4, 1, 48, 64, dtype=torch.long)
    maps[..., :20], maps[..., 28:40] = 1, 2
    bank = StyleBank.from_images(photos, stylizer, regions=maps)
    image, labels = (photos[0].square() * 255).to(torch.uint8), maps[:1, 0]
    core = StyleTransfer(styles=bank, p=1.0)
    expected = core(image, regions=labels, generator=torch.Generator().manual_seed(5))
    assert torch.equal(expected[..., 62:], image[..., 62:])
    assert not torch.equal(expected[..., :20], image[..., :20])

    torch.manual_seed(5)
    sample = {"image": tv_tensors.Image(image), "mask": tv_tensors.Mask(labels)}
    out = TorchvisionStyle(styles=bank, p=1.0)(sample)
    assert torch.equal(out["image"], expected)
    assert torch.equal(out["mask"], labels)

    monkeypatch.setattr(random.Random, "randrange", lambda self, *bounds: 5)
    array, mask = image.permute(1, 2, 0).numpy(), labels[0].byte().numpy()
    pipeline = A.Compose([AlbumentationsStyle(styles=bank, p=1.0)])
    found = pipeline(image=array, mask=mask)
    assert np.array_equal(found["image"], expected.permute(1, 2, 0).numpy())
    assert np.array_equal(found["mask"], mask)

    transform = RandStyleTransferd(["image"], styles=bank, prob=1.0, regions_key="label")
    transform.transform.R = transform.R = type(
        "Fixed", (), {"rand": lambda self: 0.0, "randint": lambda self, n: 5}
    )()
    out = transform({"image": image, "label": labels.float()})  # MONAI reads labels as floats
    assert torch.equal(out["image"].as_tensor(), expected)


def test_regions_of_volumes_videos_and_batches(photos):
    bank = StyleBank.from_images(photos[:, :1], styleaug.create_stylizer("colorist", region=1))
    volume = torch.rand(1, 40, 64, 6)
    mask = torch.zeros(1, 40, 64, 6)
    mask[:, 5:30, 5:30] = 1.0
    transform = StyleTransferd("image", styles=bank, regions_key="mask")
    out = transform({"image": volume, "mask": mask})["image"].as_tensor()
    assert torch.allclose(out[:, :, 48:], volume[:, :, 48:])
    assert not torch.equal(out[:, 10:20, 10:20], volume[:, 10:20, 10:20])
    for axis in (0, 1):
        moved = StyleTransferd("image", styles=bank, regions_key="mask", slice_axis=axis)
        turned = {"image": volume.movedim(-1, axis + 1), "mask": mask.movedim(-1, axis + 1)}
        assert torch.allclose(moved(turned)["image"].as_tensor().movedim(axis + 1, -1), out)
    each = StyleTransferd("image", styles=bank, regions_key="mask", channel_mode="each")
    two = each({"image": volume.repeat(2, 1, 1, 1), "mask": mask})["image"].as_tensor()
    assert torch.allclose(two[:1], out)
    assert torch.allclose(two[1:], out)
    stack = {"volume": volume[0].movedim(-1, 0).numpy()[..., None], "mask3d": None}
    stack["mask3d"] = mask[0].movedim(-1, 0).numpy()
    one = StyleBank(bank.code[0])
    transform = AlbumentationsStyle(styles=one, p=1.0, regions_key="mask3d")
    found = A.Compose([transform])(**stack)["volume"]
    assert np.allclose(found[..., 0], out[0].movedim(-1, 0).numpy(), atol=1e-6)
    frames, masks = photos[:, :1], torch.zeros(4, 1, 48, 64, dtype=torch.bool)
    masks[..., :32] = True
    sample = (tv_tensors.Video(frames), tv_tensors.Mask(masks))
    video, _ = TorchvisionStyle(styles=one, p=1.0)(*sample)
    batch = StyleTransfer(styles=one, p=1.0)(frames, regions=masks)
    assert torch.equal(video, batch)
    mix = StyleMix(StyleTransfer(styles=one, p=1.0), regions_getter=lambda batch: batch[1])
    assert torch.equal(mix(frames, masks)[0], batch)


def test_missing_regions_are_named_by_every_host(photos):
    bank = StyleBank.from_images(photos, styleaug.create_stylizer("mkl", region=1))
    image = torch.rand(3, 48, 64)
    with pytest.raises(ValueError, match=r"region=1 needs one tv_tensors.Mask in a sample, got 0"):
        TorchvisionStyle(styles=bank, p=1.0)(image)
    array = image.permute(1, 2, 0).numpy()
    with pytest.raises(ValueError, match=r"region=1 needs the target 'mask'.*regions_key="):
        A.Compose([AlbumentationsStyle(styles=bank, p=1.0)])(image=array)
    with pytest.raises(ValueError, match="regions_key= names the masks"):
        RandStyleTransferd(["image"], styles=bank)
    with pytest.raises(ValueError, match="regions_key= names the masks"):
        StyleTransferd("image", "mkl", styles=photos, regions_key="label")
    with pytest.raises(KeyError, match="'label' is not in the sample"):
        StyleTransferd("image", styles=bank, regions_key="label")({"image": image})


def test_every_host_shows_the_same_sheet_and_draws_nothing(photos):
    bank = StyleBank.from_images(photos, "colorist")
    core = StyleTransfer(styles=bank, alpha=(0.2, 1.0), p=1.0)
    image = (photos[0] * 255).to(torch.uint8)
    expected = core.show(image, seed=3)
    before = torch.get_rng_state()
    hosted = TorchvisionStyle(styles=bank, alpha=(0.2, 1.0), p=1.0)
    assert hosted.show(image, seed=3).tobytes() == expected.tobytes()
    array = image.permute(1, 2, 0).numpy()
    hosted = AlbumentationsStyle(styles=bank, alpha=(0.2, 1.0))
    assert hosted.show(array, seed=3).tobytes() == expected.tobytes()
    assert torch.equal(torch.get_rng_state(), before)

    keyed = RandStyleTransferd(["image"], styles=bank, alpha=(0.2, 1.0), prob=0.0)
    state = keyed.transform.R.get_state()[1].copy()
    first, other = (keyed.show({"image": image}, seed=seed) for seed in (3, 4))
    assert first.size == expected.size
    assert first.tobytes() != other.tobytes()
    assert np.array_equal(keyed.transform.R.get_state()[1], state)


def test_monai_shows_slices_of_volumes_in_their_window(photos):
    bank = StyleBank.from_images(photos[:, :1], "colorist")
    volume = torch.linspace(-160, 240, 10).expand(1, 48, 64, 10)
    transform = StyleTransferd("image", styles=bank, a_min=-160, a_max=240, alpha=0.0)
    sheet = np.asarray(transform.show({"image": volume}, limit=3), dtype=int)
    assert sheet.shape[1] == 1036
    tops = [24 + row * (197 + 24) for row in range(3)]  # slices 1, 5 and 8 of a ramp
    shown = [sheet[top + 98, left + 100, 0] for top in tops for left in (6, 6 + 2 * 206)]
    assert shown == pytest.approx([28, 28, 142, 142, 227, 227], abs=1)
