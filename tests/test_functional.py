"""The pure functions against their definitions and against other libraries."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage import color

from styleaug import functional as SF
from styleaug.functional.roots import roots_by_eigenvectors, roots_by_formula
from styleaug.images.colorspace import lab_to_rgb, rgb_to_lab

seeds = st.integers(0, 2**31)


def _random(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _covariance(seed):
    root = _random(seed, 2, 3, 3).double() - 0.5
    return root @ root.transpose(1, 2) + 0.01 * torch.eye(3)


@given(seeds, st.booleans())
def test_channel_mean_std_is_that_of_numpy(seed, unbiased):
    features = _random(seed, 2, 5, 7, 9)
    mean, std = SF.channel_mean_std(features, unbiased=unbiased, eps=1e-5)
    flat = features.double().numpy().reshape(2, 5, -1)
    assert np.allclose(mean.flatten(1), flat.mean(2), atol=1e-6)
    assert np.allclose(std.flatten(1) ** 2, flat.var(2, ddof=int(unbiased)) + 1e-5, atol=1e-6)


def test_statistics_are_float32_whatever_comes_in():
    mean, std = SF.channel_mean_std(torch.rand(1, 2, 8, 8).bfloat16())
    assert mean.dtype == std.dtype == torch.float32


def test_unbiased_statistics_of_one_position_are_refused():
    with pytest.raises(ValueError, match="two positions"):
        SF.channel_mean_std(torch.rand(1, 2, 1, 1), unbiased=True)


@given(seeds)
def test_moments_agree_with_mean_std(seed):
    image = _random(seed, 3, 3, 40, 50)
    for fast, exact in zip(SF.channel_moments(image), SF.channel_mean_std(image), strict=True):
        assert torch.allclose(fast, exact, atol=1e-5)


@given(seeds)
def test_adain_has_the_statistics_of_the_style(seed):
    content, style = _random(seed, 2, 4, 9, 9), _random(seed + 1, 2, 4, 6, 7)
    mean, std = SF.channel_mean_std(SF.adain(content, style, eps=0.0), unbiased=True)
    style_mean, style_std = SF.channel_mean_std(style, unbiased=True)
    assert torch.allclose(mean, style_mean, atol=1e-5)
    assert torch.allclose(std, style_std, atol=1e-5)


@given(seeds)
def test_gram_matrix_is_the_mean_of_products(seed):
    features = _random(seed, 2, 4, 5, 6)
    expected = torch.einsum("bchw,bdhw->bcd", features, features) / (4 * 5 * 6)
    assert torch.allclose(SF.gram_matrix(features), expected, atol=1e-6)


@given(seeds)
def test_transport_turns_one_covariance_into_the_other(seed):
    source, target = _covariance(seed), _covariance(seed + 1)
    transport = SF.monge_kantorovich(source, target, eps=0.0)
    assert torch.allclose(transport @ source @ transport, target, atol=1e-6)
    assert torch.allclose(transport, transport.transpose(1, 2), atol=1e-8)
    assert (torch.linalg.eigvalsh(transport) > -1e-8).all()


def test_transport_moves_least():
    """Any other map between the covariances, T R with R a rotation of the source, moves more."""
    source, target = _covariance(1)[:1], _covariance(2)[:1]
    transport = SF.monge_kantorovich(source, target, eps=0.0)
    values, vectors = torch.linalg.eigh(source)
    root = vectors @ torch.diag_embed(values.sqrt()) @ vectors.transpose(1, 2)

    def cost(matrix):
        step = (matrix - torch.eye(3)) @ root
        return float((step @ step.transpose(1, 2)).diagonal(dim1=1, dim2=2).sum())

    for seed in range(5):
        rotation = torch.linalg.qr(_random(seed, 1, 3, 3).double())[0]
        other = transport @ root @ rotation @ torch.linalg.inv(root)
        assert torch.allclose(other @ source @ other.transpose(1, 2), target, atol=1e-8)
        assert cost(transport) <= cost(other) + 1e-9


@given(seeds)
def test_match_color_has_the_reference_statistics(seed):
    image = 0.4 + 0.2 * _random(seed, 2, 3, 33, 40)
    reference = 0.35 + 0.2 * _random(seed + 1, 2, 3, 20, 30)
    matched = SF.match_color(image, reference)
    for got, expected in zip(
        SF.mean_covariance(matched), SF.mean_covariance(reference), strict=True
    ):
        assert torch.allclose(got, expected, atol=1e-4)


def test_lab_agrees_with_skimage():
    image = _random(0, 2, 3, 16, 16)
    expected = color.rgb2lab(image.permute(0, 2, 3, 1).double().numpy())
    assert np.abs(rgb_to_lab(image).permute(0, 2, 3, 1).numpy() - expected).max() < 0.05
    assert torch.allclose(lab_to_rgb(rgb_to_lab(image)), image, atol=1e-4)


def test_blend_ends_are_the_images():
    content, stylized = _random(0, 2, 3, 4, 4), _random(1, 2, 3, 4, 4)
    out = SF.blend(content, stylized, torch.tensor([0.0, 1.0]))
    assert torch.equal(out[0], content[0])
    assert torch.allclose(out[1], stylized[1])


@pytest.mark.parametrize("convert", [rgb_to_lab, lab_to_rgb])
def test_colour_spaces_can_be_trained_through(convert):
    image = _random(0, 1, 3, 4, 4).double() * (60.0 if convert is lab_to_rgb else 1.0)
    assert torch.autograd.gradcheck(convert, image.requires_grad_())


@pytest.mark.parametrize("level", [0.0, 0.1, 0.3, 0.7, 1.0])
def test_flat_images_have_moments_with_a_slope(level):
    image = torch.full((1, 3, 37, 41), level, requires_grad=True)
    mean, std = SF.channel_moments(image)
    assert torch.allclose(mean, torch.full_like(mean, level))
    assert (std < 1e-3).all()
    std.sum().backward()
    assert torch.isfinite(image.grad).all()


def test_match_color_stays_in_the_unit_cube():
    image = _random(0, 1, 3, 40, 40)
    image[..., :3, :3] = 1.0  # a highlight, which the map of the colours carries past white
    reference = 0.8 + 0.2 * _random(1, 1, 3, 40, 40)
    matched = SF.match_color(0.2 * image + 0.8 * image**4, reference)
    assert matched.max() == 1.0
    dark = SF.match_color(1.0 - (0.2 * image + 0.8 * image**4), 0.2 * _random(1, 1, 3, 40, 40))
    assert dark.min() == 0.0


def test_edges_are_those_of_float32_under_autocast():
    image = _random(0, 2, 3, 24, 24) * 0.01 + 0.5
    outside = SF.sobel_magnitude(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = SF.sobel_magnitude(image)
        correlation = SF.edge_correlation(image, image)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)
    assert torch.allclose(correlation, torch.ones(2))


def _with_edges_of(seed, strength):
    """Return noise whose Sobel magnitudes deviate from their mean by ``strength``."""
    noise = _random(seed, 1, 3, 64, 64)
    return 0.5 + (noise - 0.5) * strength / SF.sobel_magnitude(noise).std(correction=0)


def test_edges_below_a_thousandth_are_none():
    below, above = ([_with_edges_of(seed, s) for seed in (0, 1)] for s in (0.9e-3, 1.1e-3))
    assert SF.edge_correlation(*below) == 1.0
    assert SF.edge_correlation(*above).abs() < 0.2
    assert SF.edge_correlation(above[0], above[0]) > 0.99


def test_edges_of_one_image_alone_do_not_correlate():
    flat, noise = torch.full((1, 3, 64, 64), 0.4), _with_edges_of(0, 0.1)
    assert SF.edge_correlation(flat, flat) == 1.0
    assert SF.edge_correlation(noise, flat).abs() < 1e-3
    assert SF.edge_correlation(flat, noise).abs() < 1e-3


@pytest.mark.parametrize("kind", ["colour", "grey", "flat", "nearly grey"])
def test_matrix_roots_by_formula_are_those_by_eigenvectors(kind):
    grey = torch.rand(64, 1, 500, dtype=torch.float64).expand(-1, 3, -1)
    colors = {
        "colour": torch.rand(64, 3, 500, dtype=torch.float64),
        "grey": grey,
        "flat": torch.full((64, 3, 500), 0.5, dtype=torch.float64),
        "nearly grey": grey + 1e-3 * torch.rand(64, 3, 500, dtype=torch.float64),
    }[kind]
    centred = colors - colors.mean(dim=2, keepdim=True)
    matrix = centred @ centred.transpose(1, 2) / 500 + 255.0**-2 * torch.eye(3)
    found, expected = (roots(matrix) for roots in (roots_by_formula, roots_by_eigenvectors))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-8 * float(theirs.abs().max()))
