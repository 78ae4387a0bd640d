"""The network of "micro": starts as the channel statistics, keeps grey grey, has no seams."""

import pytest
import torch

from styleaug import create_stylizer
from styleaug.functional import channel_moments, edge_correlation
from styleaug.images.batch import as_batch, to_content
from styleaug.images.files import read_image
from styleaug.samples import sample_images
from styleaug.stylizers.micro import PACKAGED, Micro
from styleaug.stylizers.micro_network import (
    MicroNetwork,
    apply_field,
    band_gains,
    laplacian_pyramid,
    match_channels,
    rebuild,
    strength,
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MicroNetwork().eval()


def test_untrained_it_has_the_strength_of_the_style_in_every_band(network):
    torch.manual_seed(1)
    content, style = 0.4 + 0.2 * torch.rand(2, 3, 64, 64), 0.1 + 0.5 * torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        output = network(content, **network.encode_style(style))
    (bands, low), (wanted, coarse) = laplacian_pyramid(output), laplacian_pyramid(style)
    for band, target in zip(bands, wanted, strict=True):
        assert torch.allclose(strength(band), strength(target), rtol=0.1)
    assert torch.allclose(low.mean((2, 3)), coarse.mean((2, 3)), atol=0.01)


def test_between_images_of_one_slide_part_of_the_way_is_gone(network):
    content = 0.4 + 0.2 * torch.rand(1, 3, 64, 64)

    def share_of_the_way(shift):
        with torch.no_grad():
            output = network(content, **network.encode_style(content + shift))
        return ((output - content).mean() / shift).item()

    shares = [share_of_the_way(shift) for shift in (0.005, 0.03, 0.2)]
    assert shares == pytest.approx([0.005, 0.5, 0.997], abs=0.03)


def test_a_content_in_its_own_style_stays(network):
    content = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(network(content, **network.encode_style(content)), content, atol=1e-5)


def test_a_pyramid_is_rebuilt_exactly():
    image = torch.rand(1, 3, 48, 64)
    assert torch.allclose(rebuild(*laplacian_pyramid(image)), image, atol=1e-6)


def test_the_identity_field_changes_nothing():
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(apply_field(image, torch.zeros(1, 21, 8, 8)), image)


def test_a_constant_field_is_a_colour_matrix():
    image, matrix = torch.rand(1, 3, 16, 16), 0.2 * torch.rand(3, 3)
    field = torch.cat([matrix.flatten(), torch.full((12,), 0.1)]).view(1, 21, 1, 1)
    expected = image + torch.einsum("cd,bdhw->bchw", matrix, image - 0.5) + 0.1
    assert torch.allclose(apply_field(image, field.expand(1, 21, 8, 8)), expected, atol=1e-6)


def test_contrast_is_raised_four_fold_at_most():
    flat = 0.5 + 0.001 * torch.rand(1, 3, 32, 32)
    style = torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.3)
    matched = match_channels(flat, channel_moments(flat), style)
    assert (matched - 0.5).abs().max() < 0.004
    own = torch.tensor([0.01, 0.01, 0.01, 0.0])
    assert band_gains(own, torch.tensor([1.0, 0.0, 0.02, 0.0])).tolist() == [4.0, 0.25, 2.0, 0.25]


def test_every_parameter_takes_part(network):
    network.zero_grad()
    for head in network.heads:
        torch.nn.init.normal_(head.weight, std=0.02)
    output = network(torch.rand(2, 3, 64, 64), **network.encode_style(torch.rand(2, 3, 64, 64)))
    output.square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # a bias before an instance normalisation has no effect
    assert [name for name in idle if not name.endswith("bias")] == []


def test_the_weights_that_ship_are_the_recorded_ones(tmp_path):
    (record,) = PACKAGED
    stylizer = create_stylizer("micro")
    assert stylizer.weights_id == create_stylizer("micro", weights="medical").weights_id
    assert record.size < 2_500_000
    with pytest.raises(ValueError, match="'medical'"):
        create_stylizer("micro", weights="photographs")


def test_it_comes_closer_to_the_style_than_colour_statistics_and_keeps_edges():
    images = [to_content(as_batch(read_image(path).pixels)[0]) for path in sample_images()]
    distances, kept = {"micro": [], "colorist": []}, []
    for name, found in distances.items():
        stylizer = create_stylizer(name)
        for content in images:
            for style in images:
                output = stylizer.stylize(content, stylizer.encode_style(style))
                (bands, _), (wanted, _) = laplacian_pyramid(output), laplacian_pyramid(style)
                gaps = [
                    (strength(a) / strength(b)).log().abs().mean()
                    for a, b in zip(bands, wanted, strict=True)
                ]
                found.append(sum(gaps).item())
                if name == "micro":
                    kept.append(edge_correlation(output, content).item())
    assert sum(distances["micro"]) < 0.8 * sum(distances["colorist"])
    assert sum(kept) / len(kept) > 0.85


def test_grey_stays_grey_and_own_style_changes_little():
    stylizer = create_stylizer("micro")
    grey = torch.rand(2, 1, 64, 64).expand(-1, 3, -1, -1)
    code = stylizer.encode_style(grey.flip(0))
    output = stylizer.stylize(grey, code)
    assert (output - output[:, :1]).abs().max() == 0
    for path in sample_images():
        image = to_content(as_batch(read_image(path).pixels)[0])
        own = stylizer.stylize(image, stylizer.encode_style(image))
        assert (own - image).abs().mean() < 0.03


def test_on_a_cpu_large_images_go_one_by_one_to_the_same_pixels():
    stylizer = Micro()
    sizes = {(64, 64): 32, (256, 256): 2, (512, 512): 1, (1024, 2048): 1}
    for size, count in sizes.items():
        (first, *_) = stylizer.chunks(torch.empty(40, 1, 1, 1).expand(40, 3, *size))
        assert first == slice(0, count)
    assert list(Micro(max_batch=5).chunks(torch.empty(5, 3, 512, 512))) == [slice(0, 5)]
    content, code = torch.rand(3, 3, 272, 256), stylizer.encode_style(torch.rand(3, 3, 64, 64))
    at_once = Micro(max_batch=3).stylize(content, code)
    assert torch.allclose(stylizer.stylize(content, code), at_once, atol=1e-5)
