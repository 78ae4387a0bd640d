"""Statistics within tissue, masks and labels: what lies outside stays, classes go to classes."""

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug import StyleBank, StyleTransfer, create_stylizer
from styleaug.functional import channel_moments, mean_covariance
from styleaug.images.regions import as_regions, region_weights
from styleaug.images.tissue import tissue_mask
from styleaug.stylizers.histogram import cumulative_histogram

COLORS = ["colorist", "reinhard", "mkl", "histogram"]
GLASS = torch.tensor([0.95, 0.94, 0.95]).view(3, 1, 1)
LEVEL = 1.0 / 255.0


@pytest.fixture
def tissue(photos):
    """Coloured pictures without anything empty."""
    return 0.2 + 0.5 * photos


@pytest.fixture
def half(tissue):
    """The same, whose right half is empty glass."""
    return torch.cat([tissue[..., :32], GLASS.expand_as(tissue[..., 32:])], dim=3)


def _paint(name, content, style, region=None, **given):
    stylizer = create_stylizer(name, region=region)
    code = stylizer.encode_style(style)
    if given:
        given = {"content_code": stylizer.encode_content(content, **given)}
    return stylizer.stylize(content, code, **given)


@pytest.mark.parametrize("name", COLORS)
def test_glass_stays_glass_and_tissue_gets_the_style(name, half, tissue):
    style = tissue.roll(1, 0).square()
    plain = _paint(name, half, style)
    within = _paint(name, half, style, "tissue")
    assert torch.equal(within[..., 52:], half[..., 52:])
    assert (plain - half)[..., 52:].abs().mean() > 20 * LEVEL
    wanted = _paint(name, half[..., :30], style)  # what the tissue alone would become
    assert (within - plain)[..., :24].abs().mean() > 5 * LEVEL
    assert (within[..., :24] - wanted[..., :24]).abs().mean() < 4 * LEVEL


@pytest.mark.parametrize("name", COLORS)
def test_the_glass_of_a_style_counts_for_nothing(name, half, tissue):
    content = tissue.roll(1, 0)
    wanted = _paint(name, content, half[..., :32])
    assert (_paint(name, content, half, "tissue") - wanted).abs().mean() < 4 * LEVEL
    assert (_paint(name, content, half) - wanted).abs().mean() > 20 * LEVEL


@pytest.mark.parametrize("name", COLORS)
def test_where_all_is_region_the_pixels_are_those_without(name, tissue):
    style = tissue.roll(1, 0).square()
    plain = _paint(name, tissue, style)
    assert torch.equal(_paint(name, tissue, style, "tissue"), plain)
    assert torch.equal(_paint(name, tissue, style, "tissue-on-black"), plain)
    everywhere = torch.ones(4, 1, 48, 64, dtype=torch.bool)
    assert torch.equal(_paint(name, tissue, style, 1, regions=everywhere), plain)
    images = (tissue * 255).round().byte()
    bank = list((style * 255).round().byte())
    seen = [
        StyleTransfer(name, styles=bank, p=1.0, seed=1, region=region)(images)
        for region in (None, "tissue")
    ]
    assert (seen[0].int() - seen[1].int()).abs().max() <= 1  # 256 levels, and floats


@pytest.mark.parametrize("name", COLORS)
@pytest.mark.parametrize("region", ["tissue", 2])
def test_any_batch_split_gives_the_same_pixels(name, region, half):
    images = (half * 255).round().byte()
    maps = torch.zeros(4, 48, 64, dtype=torch.uint8)
    maps[:, :20], maps[:, 30:] = 1, 2
    stylizer = create_stylizer(name, region=region)
    given = {} if region == "tissue" else {"regions": maps}
    bank = StyleBank.from_images(images.roll(1, 0), stylizer, **given)
    transform = StyleTransfer(styles=bank, p=1.0, alpha=(0.2, 1.0))
    whole = transform(images, ids="abcd", **given)
    for row in range(4):
        one = {key: value[row : row + 1] for key, value in given.items()}
        alone = transform(images[row : row + 1], ids="abcd"[row], **one)
        assert torch.equal(whole[row], alone[0])
    assert not torch.equal(whole, images)


def _two_halves(left, right):
    """Pictures whose halves are around two colours, and the label map of the halves."""
    labels = torch.ones(2, 1, 40, 64, dtype=torch.long)
    labels[..., 32:] = 2
    colors = torch.where(labels == 1, *(torch.tensor(c).view(3, 1, 1) for c in (left, right)))
    return colors + 0.04 * torch.rand(2, 3, 40, 64), labels


@pytest.mark.parametrize("name", COLORS)
def test_classes_of_the_content_get_the_colours_of_the_same_classes(name):
    content, labels = _two_halves([0.7, 0.3, 0.5], [0.3, 0.2, 0.6])
    style, styled = _two_halves([0.2, 0.6, 0.3], [0.8, 0.7, 0.2])
    stylizer = create_stylizer(name, region=2)
    code = stylizer.encode_style(style, regions=styled)
    own = stylizer.encode_content(content, regions=labels)
    out = stylizer.stylize(content, code, content_code=own)
    for columns in (slice(0, 24), slice(40, 64)):
        got, wanted = (image[..., columns].mean((2, 3)) for image in (out, style))
        assert (got - wanted).abs().max() < 4 * LEVEL
    swapped = stylizer.encode_style(style, regions=3 - styled)
    crossed = stylizer.stylize(content, swapped, content_code=own)
    got, wanted = crossed[..., :24].mean((2, 3)), style[..., 40:].mean((2, 3))
    assert (got - wanted).abs().max() < 4 * LEVEL


@pytest.mark.parametrize("name", COLORS)
def test_a_class_that_one_side_lacks_takes_the_whole_pictures(name, tissue):
    labels = torch.full((4, 1, 48, 64), 2)
    labels[..., :32] = 1
    stylizer = create_stylizer(name, region=2)
    style = tissue.roll(1, 0).square()
    only_one = stylizer.encode_style(style, regions=torch.ones_like(labels))
    own = stylizer.encode_content(tissue, regions=labels)
    out = stylizer.stylize(tissue, only_one, content_code=own)
    assert torch.equal(out[..., 52:], _paint(name, tissue, style)[..., 52:])


@pytest.mark.parametrize("name", COLORS)
def test_what_is_empty_stays_and_as_a_style_counts_as_a_whole(name, tissue):
    empty = GLASS.expand(4, 3, 48, 64) - 0.02 * torch.rand(4, 3, 48, 64)
    assert torch.equal(_paint(name, empty, tissue, "tissue"), empty)
    assert torch.equal(_paint(name, tissue, empty, "tissue"), _paint(name, tissue, empty))
    black = 1.0 - empty
    assert torch.equal(_paint(name, black, tissue, "tissue-on-black"), black)


@pytest.mark.parametrize("name", COLORS)
def test_grey_stays_grey(name, half):
    grey = half.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    out = _paint(name, grey, grey.roll(1, 0).square(), "tissue")
    assert (out.amax(1) - out.amin(1)).max() < 2 * LEVEL


def test_the_rim_of_a_region_keeps_to_the_edges_of_the_picture(half):
    labels = torch.zeros(4, 1, 48, 64, dtype=torch.long)
    labels[..., :35] = 1  # three pixels into the glass
    weights = region_weights(half, labels, 1)
    steps = (weights[..., 1:] - weights[..., :-1]).abs().mean((0, 1, 2))
    assert steps.argmax() == 31  # where the picture has its edge, not the label map
    assert torch.equal(weights[..., :14], torch.ones_like(weights[..., :14]))
    soft = torch.rand(4, 1, 48, 64)
    assert torch.equal(region_weights(half, soft, 1), soft)  # weights are taken as they are


def test_weighted_statistics_are_those_of_what_is_cut_out(photos):
    weights = torch.zeros(4, 1, 48, 64)
    weights[..., 10:30] = 1.0
    cut = photos[..., 10:30]
    for function in (channel_moments, mean_covariance):
        for got, wanted in zip(function(photos, weights), function(cut), strict=True):
            assert torch.allclose(got, wanted, atol=1e-5)
    levels = (photos * 255).int()
    got, wanted = cumulative_histogram(levels, weights), cumulative_histogram(levels[..., 10:30])
    assert torch.allclose(got, wanted, atol=1e-9)
    assert all(x.isfinite().all() for x in channel_moments(photos, torch.zeros_like(weights)))


def test_masks_of_every_kind_are_understood(half):
    mask = np.zeros((48, 64), bool)
    mask[:, :32] = True
    expected = torch.from_numpy(mask)[None, None].long()
    kinds = [
        mask,
        mask.astype(np.uint16)[..., None],
        torch.from_numpy(mask),
        torch.from_numpy(mask)[None],
        torch.from_numpy(mask)[None, None].float(),
        Image.fromarray(mask),
    ]
    for kind in kinds:
        assert torch.equal(as_regions(kind, (1, 48, 64), 1), expected)
    image = half[0].permute(1, 2, 0).numpy()
    transform = StyleTransfer("mkl", styles=[half[1]], region=1, p=1.0)
    out = transform(image, regions=mask)
    assert out.shape == image.shape
    assert np.array_equal(out[:, 52:], image[:, 52:])
    assert transform.show(image, regions=mask).size[0] > 0


def test_a_bank_remembers_its_region(half, tmp_path):
    bank = StyleBank.from_images(half, create_stylizer("mkl", region="tissue"))
    bank.save(tmp_path / "bank.safetensors")
    transform = StyleTransfer(styles=str(tmp_path / "bank.safetensors"), p=1.0)
    assert transform.region == "tissue"
    assert torch.equal(transform(half)[..., 52:], half[..., 52:])
    with pytest.raises(ValueError, match=r"'mkl:region=1', got one of 'mkl:region=tissue'"):
        StyleTransfer("mkl", styles=bank, region=1)
    plain = StyleBank.from_images(half, "mkl")
    with pytest.raises(ValueError, match=r"'mkl:region=tissue', got one of 'mkl'"):
        StyleTransfer("mkl", styles=plain, region="tissue")


@pytest.mark.parametrize("name", ["micro", "appearance", "fda", "stylizing-vit-tiny", "rast"])
def test_what_looks_at_more_than_colours_refuses_a_region(name):
    with pytest.raises(ValueError, match=f"region= is where.*'{name}' looks at.*'colorist'"):
        create_stylizer(name, region="tissue")


def test_what_does_not_fit_is_refused_with_the_way_out(half):
    mask = torch.ones(4, 1, 48, 64, dtype=torch.bool)
    within = StyleTransfer("mkl", region=1, p=1.0)
    for region in ("glass", 0, True, 1.5):
        with pytest.raises(ValueError, match=r"region must be one of .*'tissue'"):
            StyleTransfer("mkl", region=region)
    with pytest.raises(ValueError, match=r"needs regions=, the masks or label maps"):
        within(half)
    with pytest.raises(ValueError, match=r"made with region=, the number of classes .1 for masks"):
        StyleTransfer("mkl", p=1.0)(half, regions=mask)
    with pytest.raises(ValueError, match=r"from 0 .no region. to 1, got 0 to 255.*mask > 0"):
        within(half, regions=mask[:, 0].byte() * torch.tensor([0, 255, 0, 0]).view(4, 1, 1).byte())
    with pytest.raises(ValueError, match=r"one map per image, \(4, 48, 64\)"):
        within(half, regions=mask[..., :40])
    with pytest.raises(ValueError, match=r"one map per image, .* got shape \(48, 64\)"):
        within(half, regions=mask[0, 0])
    with pytest.raises(TypeError, match="mask or a label map"):
        within(half, regions="mask.png")
    with pytest.raises(ValueError, match=r"of one class, got 2 classes"):
        StyleTransfer("mkl", region=2, p=1.0)(half, regions=0.5 * mask)
    with pytest.raises(ValueError, match=r"StyleBank.from_images\(images, stylizer, regions="):
        StyleTransfer("mkl", region=2, styles=[half[0]])


def test_the_mask_of_tissue_is_what_the_region_is(half):
    stylizer = create_stylizer("colorist", region="tissue")
    code = stylizer.encode_content(half)
    assert torch.allclose(code.maps["region.share"][:, 0], tissue_mask(half).mean((1, 2, 3)))
