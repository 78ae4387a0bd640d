"""What published evaluations do otherwise, against formulas written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from styleaug.features.encoders import VGGNormalised
from styleaug.metrics import (
    LPIPS,
    PSNR,
    ArtFID,
    ContentLoss,
    FrechetDistance,
    StyleLoss,
    frechet_distance,
)
from styleaug.metrics.distribution import padded_inception
from styleaug.weights import save_tensors


def _value(metric, *images):
    metric.update(*images)
    return metric.compute().item()


def test_lpips_of_stylizing_vit_is_that_of_images_in_the_upper_half():
    torch.manual_seed(0)
    a, b = torch.rand(2, 2, 3, 64, 64)
    misread = LPIPS(weights=None, preset="stylizing-vit")
    plain = LPIPS(weights=None)
    plain.load_state_dict(misread.state_dict())
    plain.features.load_state_dict(misread.features.state_dict())
    large = [F.interpolate(x, (512, 512), mode="bilinear", antialias=True) for x in (a, b)]
    expected = _value(plain, *(0.5 + 0.5 * x for x in large))
    assert _value(misread, a, b) == pytest.approx(expected, rel=1e-5)
    plain.reset()
    assert _value(plain, a, b) != pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("kind", [ContentLoss, StyleLoss])
def test_losses_of_microast_see_blue_first(kind, tmp_path):
    torch.manual_seed(0)
    layers = ["relu1_1", "relu2_1"]
    encoder = VGGNormalised(["relu2_1"])
    save_tensors(encoder.state_dict(), tmp_path / "vgg.safetensors", {})
    whole = VGGNormalised(layers)
    whole.load_state_dict(encoder.state_dict())
    a, b = torch.rand(2, 1, 3, 32, 32)
    with torch.no_grad():
        maps = [whole(x[:, [2, 1, 0]]) for x in (a, b)]
    if kind is ContentLoss:
        expected = sum((x - y).square().mean() for x, y in zip(*maps, strict=True)) / 2
    else:
        moments = [
            [torch.stack([m.mean((2, 3)), (m.var((2, 3)) + 1e-5).sqrt()]) for m in found]
            for found in maps
        ]
        expected = sum(2 * (x - y).square().mean() for x, y in zip(*moments, strict=True)) / 2
    metric = kind(layers=layers, weights=tmp_path / "vgg.safetensors", preset="microast")
    assert _value(metric, a, b) == pytest.approx(expected.item(), rel=1e-4)
    with pytest.raises(ValueError, match="vgg_normalised"):
        kind(preset="microast")


def test_padded_inception_sees_299_pixels_with_black_around():
    network = padded_inception(pretrained=False).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, 40, 64)).shape == (2, 2048)
    network.network = nn.Identity()
    seen = network(torch.ones(1, 3, 40, 80))
    assert seen.shape == (1, 3, 299, 299)
    assert seen[..., 149, :].min() == 1.0
    assert seen[..., :74, :].max() == 0.0
    assert seen.mean() == pytest.approx(0.5, abs=0.01)


def _flat():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_the_extrapolated_distance_removes_the_bias_of_few_images():
    generator = torch.Generator().manual_seed(3)
    pixels = [torch.rand(400, 3, 1, 1, generator=generator) for _ in range(2)]
    plain, endless = (
        FrechetDistance(_flat(), size=3),
        FrechetDistance(_flat(), size=3, preset="art-fid"),
    )
    for metric in (plain, endless):
        for images, name in zip(pixels, ("output", "style"), strict=True):
            for chunk in images.split(150):
                metric.update(chunk, of=name)
    moments = [
        (x.double().mean(0), torch.cov(x.double().T)) for x in (p.flatten(1) for p in pixels)
    ]
    whole = frechet_distance(*moments[0], *moments[1])
    assert plain.compute().item() == pytest.approx(whole.item(), rel=1e-3)
    assert abs(endless.compute().item()) < plain.compute().item()
    again = endless.compute()
    assert again == endless.compute()


def test_art_fid_takes_the_extrapolated_distance():
    images = torch.rand(40, 3, 64, 64)
    metric = ArtFID(_flat(), size=3, weights=None, preset="art-fid")
    metric.update(images, images, images)
    assert metric.compute().item() == pytest.approx(1.0, abs=1e-3)
    few = FrechetDistance(_flat(), size=3, preset="art-fid")
    few.update(images[:5], of="output")
    with pytest.raises(ValueError, match="at least 40, got 5 and 0"):
        few.compute()


@pytest.mark.parametrize("kind", [PSNR, LPIPS, ContentLoss, FrechetDistance, ArtFID])
def test_unknown_presets_are_refused(kind):
    with pytest.raises(ValueError, match="preset must be one of"):
        kind(preset="mine")
