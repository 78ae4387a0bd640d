"""The losses against closed forms and dense references."""

import pytest
import torch
import torch.nn.functional as F

from styleaug.functional import edge_correlation
from styleaug.training import losses as L


def _maps(seed, *shapes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=generator, dtype=dtype) for shape in shapes]


SHAPES = [(2, 4, 8, 8), (2, 6, 4, 4)]


@pytest.mark.parametrize("loss", [L.content_loss, L.anatomy_loss, L.style_loss, L.gram_loss])
def test_equal_maps_cost_nothing_and_others_do(loss):
    maps, others = _maps(0, *SHAPES), _maps(1, *SHAPES)
    assert loss(maps, maps).item() < 1e-10
    assert loss(maps, others) > 1e-4


def test_layers_are_summed():
    maps, others = _maps(0, *SHAPES), _maps(1, *SHAPES)
    for loss in (L.content_loss, L.anatomy_loss, L.style_loss, L.gram_loss):
        each = [loss([a], [b]) for a, b in zip(maps, others, strict=True)]
        assert torch.allclose(loss(maps, others), sum(each))


def test_anatomy_does_not_see_gain_and_offset():
    (maps,) = _maps(0, SHAPES[0])
    gain = torch.rand(2, 4, 1, 1) + 0.5
    assert L.anatomy_loss([maps * gain + 2.0], [maps]) < 1e-6
    assert L.style_loss([maps * gain + 2.0], [maps]) > 1.0


def test_style_does_not_see_places():
    (maps,) = _maps(0, SHAPES[0])
    moved = maps.flatten(2)[..., torch.randperm(64)].view_as(maps)
    assert L.style_loss([moved], [maps]) < 1e-10
    assert L.gram_loss([moved], [maps]) < 1e-10
    assert L.content_loss([moved], [maps]) > 0.01


@pytest.mark.parametrize("unbiased", [False, True])
def test_style_and_anatomy_are_the_formulas(unbiased):
    (a,), (b,) = _maps(0, SHAPES[0]), _maps(1, SHAPES[0])
    means = [m.mean((2, 3), keepdim=True) for m in (a, b)]
    stds = [(m.var((2, 3), correction=int(unbiased), keepdim=True) + 1e-5).sqrt() for m in (a, b)]
    expected = sum((x - y).square().mean() for x, y in (means, stds))
    assert torch.allclose(L.style_loss([a], [b], unbiased=unbiased), expected)
    x, y = ((m - mean) / std for m, mean, std in zip((a, b), means, stds, strict=True))
    found = L.anatomy_loss([a], [b], unbiased=unbiased)
    assert torch.allclose(found, (x - y).square().mean(), rtol=1e-4)


def test_gram_is_a_sum_as_in_johnson():
    (a,), (b,) = _maps(0, SHAPES[0]), _maps(1, SHAPES[0])
    grams = [torch.einsum("bchw,bdhw->bcd", m, m) / (4 * 8 * 8) for m in (a, b)]
    expected = ((grams[0] - grams[1]) ** 2).sum((1, 2)).mean()
    assert torch.allclose(L.gram_loss([a], [b]), expected)


def test_total_variation_counts_steps():
    step = torch.zeros(1, 1, 4, 4)
    step[..., 2:] = 1.0
    assert L.total_variation_loss(step).item() == pytest.approx(4 / 12)


def test_range_costs_outside_and_most_at_edges():
    torch.manual_seed(0)
    content = torch.zeros(1, 3, 16, 16)
    content[..., 8:] = 1.0
    assert L.range_loss(torch.rand(1, 3, 16, 16), content) == 0.0
    at_edge, elsewhere = content.clone(), content.clone()
    at_edge[..., 7] = elsewhere[..., 3] = -0.5
    assert L.range_loss(at_edge, content) > 10 * L.range_loss(elsewhere, content) > 0.0


def test_edges_are_compared_in_float32_under_autocast():
    content = torch.rand(1, 3, 64, 64)
    faint = 0.7 + 0.02 * content
    with torch.autocast("cpu", torch.bfloat16):
        assert L.edge_loss(faint, content).item() == pytest.approx(0.0, abs=1e-3)


def test_a_channel_beside_the_others_is_a_fringe():
    torch.manual_seed(0)
    image = F.avg_pool2d(torch.rand(1, 3, 66, 66).mean(1, keepdim=True), 3, 1)
    grey = image.expand(-1, 3, -1, -1)
    tinted = grey * torch.tensor([0.9, 0.3, 0.6]).view(3, 1, 1) + 0.1
    fringed = torch.cat([grey[:, :2], grey[:, 2:].roll(2, dims=3)], dim=1)
    assert L.fringe_loss(tinted, grey) < 1e-3
    assert L.fringe_loss(fringed, grey) > 0.2


def test_edges_lost_in_one_image_cost_more_than_a_little_in_all():
    torch.manual_seed(0)
    content = torch.rand(4, 3, 64, 64)
    other = torch.rand(4, 3, 64, 64)
    spread = content.lerp(other, torch.full((4, 1, 1, 1), 0.15))
    one = content.clone()
    one[0] = other[0]
    lost = [(1.0 - edge_correlation(x, content)).mean() for x in (spread, one)]
    cost = [L.edge_loss(x, content) for x in (spread, one)]
    assert cost[1] / lost[1] > 2.0 * cost[0] / lost[0]


def test_lsgan_sums_scales():
    scores = [torch.full((1, 1, 4, 4), 0.25), torch.full((1, 1, 2, 2), 0.5)]
    assert L.lsgan_loss(scores, real=True).item() == pytest.approx(0.75**2 + 0.5**2)
    assert L.lsgan_loss(scores, real=False).item() == pytest.approx(0.25**2 + 0.5**2)


def test_remd_is_the_brute_force():
    (a,), (b,) = _maps(0, (2, 5, 3, 4)), _maps(1, (2, 5, 2, 3))
    expected = []
    for x, y in zip(a.flatten(2), b.flatten(2), strict=True):
        cost = torch.tensor([[1 - torch.cosine_similarity(p, q, dim=0) for q in y.T] for p in x.T])
        expected.append(max(cost.min(1).values.mean(), cost.min(0).values.mean()))
    assert torch.allclose(L.remd_loss(a, b), torch.stack(expected).mean(), atol=1e-6)


def _dense_contextual(output, target, bandwidth):
    """The definition, one image at a time, nothing in chunks."""
    values = []
    for g, x in zip(output.flatten(2), target.flatten(2), strict=True):
        mean = x.mean(1, keepdim=True)
        g, x = (g - mean).T, (x - mean).T
        cosine = (g @ x.T) / (g.norm(dim=1)[:, None] * x.norm(dim=1)[None])
        distance = (1 - cosine).clamp_min(0)
        relative = distance / (distance.min(1, keepdim=True).values + 1e-5)
        weights = torch.exp((1 - relative) / bandwidth)
        similarity = weights / weights.sum(1, keepdim=True)
        values.append(-torch.log(similarity.max(0).values.mean() + 1e-5))
    return torch.stack(values).mean()


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_contextual_loss_is_the_definition_in_any_chunks(chunk):
    (a,), (b,) = (_maps(s, (2, 6, 4, 5), dtype=torch.float64) for s in (0, 1))
    a.requires_grad_()
    expected = _dense_contextual(a, b, 0.5)
    found = L.contextual_loss(a, b, chunk=chunk)
    assert torch.allclose(found, expected, atol=1e-10)
    dense, chunked = (torch.autograd.grad(loss, a)[0] for loss in (expected, found))
    assert torch.allclose(dense, chunked, atol=1e-10)


def test_contextual_gradients_are_those_of_finite_differences():
    (a,), (b,) = (_maps(s, (1, 3, 2, 3), dtype=torch.float64) for s in (0, 1))
    a.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: L.contextual_loss(x, b, chunk=2), a, atol=1e-4)


def test_contextual_directions():
    (a,), (b,) = _maps(0, (1, 6, 4, 4)), _maps(1, (1, 6, 4, 4))
    forward, backward = L.contextual_loss(a, b), L.contextual_loss(a, b, direction="backward")
    assert torch.allclose(backward, L.contextual_loss(b, a))
    both = L.contextual_loss(a, b, direction="symmetric")
    assert torch.allclose(both, (forward + backward) / 2)
    with pytest.raises(ValueError, match="direction must be"):
        L.contextual_loss(a, b, direction="sideways")
    with pytest.raises(ValueError, match="agree in batch and channels"):
        L.contextual_loss(a, b[:, :3])


def test_contextual_points_are_drawn_from_a_generator():
    (a,), (b,) = _maps(0, (1, 6, 8, 8)), _maps(1, (1, 6, 8, 8))
    draws = [
        L.contextual_loss(a, b, max_points=16, generator=torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_lpips_is_that_of_torchmetrics(tmp_path):
    from torchmetrics.functional.image.lpips import _LPIPS

    from styleaug.features import FeatureExtractor
    from styleaug.features.lpips import LAYERS, lpips_heads
    from styleaug.weights import save_tensors

    theirs = _LPIPS(pretrained=True, net="vgg", pnet_rand=True).eval()
    state = {}
    for part in (theirs.net.slice1, theirs.net.slice2, theirs.net.slice3, theirs.net.slice4,
                 theirs.net.slice5):  # fmt: skip
        for name, tensor in part.state_dict().items():
            state[f"features.{name}"] = tensor
    save_tensors(state, tmp_path / "vgg.safetensors", {})
    phi = FeatureExtractor("vgg16", LAYERS["vgg16"], weights=tmp_path / "vgg.safetensors")
    a, b = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(2 * a - 1, 2 * b - 1).mean()
        found = L.lpips_loss(phi(a), phi(b), lpips_heads())
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
