"""Images are checked once, at the entry; volumes come in by one door."""

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug import StyleBank, StyleTransfer
from styleaug.cli import main
from styleaug.images import Layout, as_images, as_volume, as_volumes, batch
from styleaug.stylex import StyleX
from styleaug.tta import StyleTTA


@pytest.fixture
def checks(monkeypatch):
    """Shapes of the images that were checked."""
    shapes = []
    check = batch.check_images

    def counted(name, images, channels):
        shapes.append(images.shape)
        check(name, images, channels)

    monkeypatch.setattr(batch, "check_images", counted)
    return shapes


def _files(folder, count):
    folder.mkdir()
    rng = np.random.default_rng(count)
    for index in range(count):
        pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return str(folder)


def test_a_bank_checks_every_image_once(checks):
    StyleBank.from_images(list(torch.rand(4, 3, 40, 40)), "colorist")
    assert len(checks) == 4


def test_a_transform_checks_a_batch_once(checks):
    transform = StyleTransfer("colorist", p=1.0)
    images = as_images(torch.rand(4, 3, 40, 40))
    assert len(checks) == 1
    transform.apply_transform(images, transform.make_params(images))
    transform(images)
    assert len(checks) == 1
    transform(images.batch)
    assert len(checks) == 2


def test_the_command_line_checks_every_file_once(checks, tmp_path):
    contents, styles = _files(tmp_path / "contents", 4), _files(tmp_path / "styles", 4)
    words = ["stylize", contents, "--style", styles, "--stylizer", "colorist", "--each-style"]
    assert main([*words, "-o", str(tmp_path / "out")]) == 0
    assert len(checks) == 8
    # the contact sheet reads contents and styles again
    grid = ["--size", "64", "--grid", str(tmp_path / "grid.png"), "-o", str(tmp_path / "sized")]
    assert main([*words, *grid]) == 0
    assert len(checks) == 8 + 16


def test_test_time_augmentation_checks_a_batch_once(checks):
    bank = StyleBank.from_images(torch.rand(5, 3, 40, 40), "colorist")
    tta = StyleTTA(lambda x: x.mean(dim=(2, 3)), "colorist", bank, n=3)
    checks.clear()
    tta(torch.rand(2, 3, 40, 40), ids=["a", "b"])
    assert len(checks) == 1


def test_one_tolerance_everywhere():
    """Up to a third of an 8-bit level over 1 passes, more is refused, wherever it comes in."""
    from styleaug.metrics import PSNR

    bank = StyleBank.from_images(torch.rand(2, 3, 40, 40), "colorist")
    transform = StyleTransfer("colorist", styles=bank, p=1.0)
    plain = torch.rand(1, 3, 40, 40)
    doors = [
        transform,
        transform.stylizer_on("cpu").encode_style,
        lambda x: transform(as_volumes(x[..., None])),
        lambda x: PSNR().update(x, plain),
        lambda x: StyleX().embed(x),
    ]
    for door in doors:
        door(torch.full_like(plain, 1.0005))
        for wrong in (1.002, -0.002, float("nan")):
            with pytest.raises(ValueError, match=r"finite|in \[0, 1\]"):
                door(torch.full_like(plain, wrong))


@pytest.mark.parametrize("mode", ["rgb", "each", "joint"])
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("sliced", [False, True])
def test_volumes_come_back_as_they_were(mode, axis, sliced):
    scan = torch.randint(-1200, 1200, (3, 34, 40, 36)).to(torch.int16)
    images = as_volume(scan, Layout(mode, -1000.0, 1000.0, axis))
    assert images.batch.shape[1] == (3 if mode == "rgb" else 1)
    images = images.sliced() if sliced else images
    assert torch.equal(images.restore(images.batch), scan)
    changed = images.restore(torch.zeros_like(images.batch))
    inside = (scan >= -1000) & (scan <= 1000)
    assert torch.equal(changed[~inside], scan[~inside])
    assert (changed[inside] == -1000).all()


def test_thin_slices_need_a_stylizer_that_is_pointwise():
    volume = as_volumes(torch.rand(1, 1, 20, 40, 6))
    styles = torch.rand(2, 3, 40, 40)
    color = StyleTransfer("colorist", styles=styles, p=1.0)
    assert color(volume).shape == (1, 1, 20, 40, 6)
    network = StyleTransfer("micro", styles=styles, p=1.0)
    least = network.stylizer_on("cpu").least_side
    with pytest.raises(
        ValueError, match=rf"at least {least} pixels .* got shape \(1, 1, 8, 40, 6\)"
    ):
        network(as_volumes(torch.rand(1, 1, 8, 40, 6)))
