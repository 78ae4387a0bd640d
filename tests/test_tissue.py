"""Masks of tissue: glass and black are found, tissue without them is left whole, edges stay."""

import pytest
import torch

from styleaug.images.tissue import guided_filter, tissue_mask


@pytest.fixture
def half(photos):
    """Dark, coloured pictures whose right half is empty glass."""
    tissue = 0.25 + 0.4 * photos
    return torch.cat([tissue[..., :32], torch.full_like(tissue[..., 32:], 0.95)], dim=3)


def test_glass_is_found_and_tissue_is_kept(half):
    mask = tissue_mask(half)
    assert mask.shape == (4, 1, 48, 64)
    assert mask[..., :26].mean() > 0.95
    assert mask[..., 38:].mean() < 0.02


def test_black_is_the_mirror_of_white(half):
    assert torch.allclose(tissue_mask(1 - half, background="black"), tissue_mask(half), atol=1e-5)


def test_a_picture_without_emptiness_is_tissue_as_a_whole(half, photos):
    flat = torch.full_like(photos, 0.95)
    assert (tissue_mask(0.25 + 0.4 * photos) == 1).all()
    assert (tissue_mask(flat) == 1).all()
    two_stains = half.clone()
    two_stains[..., 32:] = torch.tensor([0.9, 0.7, 0.8]).view(3, 1, 1)  # pale, not glass
    assert (tissue_mask(two_stains) == 1).all()


def test_every_picture_of_a_batch_has_its_own_cut(half, photos):
    batch = torch.cat([half, 0.25 + 0.4 * photos])
    alone = torch.cat([tissue_mask(image[None]) for image in batch])
    assert torch.allclose(tissue_mask(batch), alone, atol=1e-6)


def test_the_guided_filter_follows_the_edges_of_its_guide():
    guide = (torch.arange(40) > 19).float().expand(1, 1, 40, 40)
    shifted = (torch.arange(40) > 21).float().expand(1, 1, 40, 40)
    filtered = guided_filter(guide, shifted, 6)
    steps = (filtered[0, 0, 20, 1:] - filtered[0, 0, 20, :-1]).abs()
    assert steps.argmax() == 19  # where the guide has its edge, not the image


def test_what_does_not_fit_is_refused(photos):
    with pytest.raises(ValueError, match="background must be"):
        tissue_mask(photos, background="grey")
    with pytest.raises(ValueError, match="images"):
        tissue_mask(photos[0])
