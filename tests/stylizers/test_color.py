"""The colour stylizers against independent implementations and their own definitions."""

import albumentations
import numpy as np
import pytest
import torch
from albumentations.augmentations.mixing import domain_adaptation_functional as A
from skimage.exposure import match_histograms
from torchstain.torch.normalizers.reinhard import TorchReinhardNormalizer

from styleaug import create_stylizer
from styleaug.functional import channel_mean_std, mean_covariance


@pytest.fixture
def pair():
    """Two 8-bit stain-like images (1, 3, 256, 256), colours well inside the range."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(2, 1, 16, 16, generator=generator)
    shade = torch.nn.functional.interpolate(coarse, (256, 256), mode="bicubic").clamp(0, 1)
    noise = 0.1 * torch.rand(2, 3, 256, 256, generator=generator)
    tint = torch.tensor([[0.35, 0.15, 0.2], [0.15, 0.3, 0.25]]).view(2, 3, 1, 1)
    images = (0.3 + tint * shade + noise).mul(255).round() / 255
    return images[:1], images[1:]


def _stylize(name, content, style, **options):
    stylizer = create_stylizer(name, **options)
    return stylizer.stylize(content, stylizer.encode_style(style))


def _hwc(image):
    return (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def test_colorist_has_the_style_statistics(pair):
    for got, expected in zip(
        channel_mean_std(_stylize("colorist", *pair)), channel_mean_std(pair[1]), strict=True
    ):
        assert torch.allclose(got, expected, atol=1e-3)


def test_mkl_has_the_style_covariance(pair):
    for got, expected in zip(
        mean_covariance(_stylize("mkl", *pair)), mean_covariance(pair[1]), strict=True
    ):
        assert torch.allclose(got, expected, atol=1e-3)


def test_histogram_is_that_of_skimage(pair):
    expected = [
        # channel by channel in float: skimage cuts the result to whole levels otherwise
        match_histograms(_hwc(pair[0])[..., c].astype(float), _hwc(pair[1])[..., c].astype(float))
        for c in range(3)
    ]
    got = _stylize("histogram", *pair)[0].numpy() * 255
    assert np.abs(got - np.stack(expected)).max() < 1e-3


def test_histogram_keeps_the_fine_steps_of_float_images(pair):
    ramp = torch.linspace(0.2, 0.7, 65536).view(1, 1, 256, 256).expand(1, 3, 256, 256)
    assert len(_stylize("histogram", ramp, pair[1])[0, 0].unique()) > 5000


def test_reinhard_is_that_of_torchstain(pair):
    normalizer = TorchReinhardNormalizer()
    normalizer.fit(torch.from_numpy(_hwc(pair[1])).permute(2, 0, 1))
    expected = normalizer.normalize(torch.from_numpy(_hwc(pair[0])).permute(2, 0, 1)).numpy()
    got = np.floor(_stylize("reinhard", *pair)[0].permute(1, 2, 0).numpy() * 255)
    # torchstain cuts to whole levels: a last-bit difference may cross a level
    assert np.abs(got - expected).max() <= 1
    assert (got != expected).mean() < 0.01


def _fda_of_the_paper(content, style, beta):
    """Yang & Soatto, CVPR 2020, Eq. 3 with the square of their code, in numpy."""
    spectrum, target = (
        np.fft.fftshift(np.fft.fft2(x, axes=(0, 1)), axes=(0, 1)) for x in (content, style)
    )
    amplitude, phase = np.abs(spectrum), np.angle(spectrum)
    height, width = content.shape[:2]
    reach = int(np.floor(min(height, width) * beta))
    rows = slice(height // 2 - reach, height // 2 + reach + 1)
    columns = slice(width // 2 - reach, width // 2 + reach + 1)
    amplitude[rows, columns] = np.abs(target)[rows, columns]
    mixed = np.fft.ifftshift(amplitude * np.exp(1j * phase), axes=(0, 1))
    return np.clip(np.real(np.fft.ifft2(mixed, axes=(0, 1))), 0, 1)


@pytest.mark.parametrize("beta", [0.001, 0.02, 0.1])
def test_fda_is_that_of_the_paper(pair, beta):
    content, style = (image[0].permute(1, 2, 0).double().numpy() for image in pair)
    expected = _fda_of_the_paper(content, style, beta)
    got = _stylize("fda", *pair, beta=beta)[0].permute(1, 2, 0).numpy()
    assert np.abs(got - expected).max() < 1e-4


def test_fda_is_close_to_albumentations(pair):
    """Its square reaches one frequency further to one side, so the images differ a little."""
    assert albumentations.__version__.startswith("2.0.")
    expected = A.fourier_domain_adaptation(_hwc(pair[0]), _hwc(pair[1]), 0.02)
    got = _stylize("fda", *pair, beta=0.02)[0].permute(1, 2, 0).numpy() * 255
    change = np.abs(got - _hwc(pair[0])).mean()
    assert np.abs(got - expected).mean() < 0.35 * change


def test_fda_takes_contents_and_styles_of_any_size(pair):
    out = _stylize("fda", pair[0][..., :101, :67], pair[1][..., :200], beta=0.5)
    assert out.shape == (1, 3, 101, 67)


@pytest.mark.parametrize("beta", [0.0, 0.6, -1.0])
def test_fda_refuses_a_beta_out_of_range(beta):
    with pytest.raises(ValueError, match="beta must be in"):
        create_stylizer("fda", beta=beta)


@pytest.mark.parametrize("name", ["colorist", "reinhard", "mkl", "histogram"])
def test_a_flat_image_stays_flat(name, pair):
    flat = torch.full((1, 3, 64, 64), 0.9)
    assert _stylize(name, flat, pair[1]).flatten(2).std(dim=2).max() < 5e-3


@pytest.mark.parametrize("name", ["colorist", "reinhard", "mkl", "histogram", "fda"])
def test_grey_in_a_grey_style_stays_grey(name, pair):
    content, style = (image.mean(1, keepdim=True).expand(-1, 3, -1, -1) for image in pair)
    out = _stylize(name, content, style)
    assert (out.amax(1) - out.amin(1)).max() < 2 / 255


@pytest.mark.parametrize("name", ["colorist", "reinhard", "mkl", "histogram", "fda"])
def test_an_image_in_its_own_style_is_itself(name, pair):
    assert (_stylize(name, pair[0], pair[0]) - pair[0]).abs().max() < 2e-3
