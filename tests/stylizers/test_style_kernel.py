"""style-kernel: attention, gates and dynamic convolution against plain loops."""

import pytest
import torch
import torch.nn.functional as F

from styleaug import create_stylizer
from styleaug.stylizers import style_kernel_attention
from styleaug.stylizers.style_kernel_attention import GATES, align
from styleaug.stylizers.style_kernel_network import (
    KernelPredictor,
    StyleKernelConfig,
    StyleKernelNetwork,
    dynamic_convolution,
    normalised,
    shuffle_groups,
)
from styleaug.weights import save_tensors

SMALL = {"backbone": "vgg19", "layer": "relu3_1"}


def _tensors(dtype=torch.float64):
    torch.manual_seed(0)
    content = torch.randn(2, 3, 4, 5, dtype=dtype)
    vertical, horizontal = torch.randn(2, 2, 3, 3, 4, 5, dtype=dtype)
    return [content, vertical, horizontal, torch.randn(2, 3, 4, 5, dtype=dtype)]


def _naive(content, vertical, horizontal, bias):
    height, width = content.shape[2:]
    reach = vertical.shape[1] // 2
    tall = F.pad(content, (0, 0, reach, reach), mode="reflect")
    column = torch.zeros_like(content)
    for y in range(height):
        for place in range(2 * reach + 1):
            column[:, :, y] += tall[:, :, y + place] * vertical[:, place, :, y]
    wide = F.pad(column, (reach, reach, 0, 0), mode="reflect")
    out = bias.clone()
    for x in range(width):
        for place in range(2 * reach + 1):
            out[..., x] += wide[..., x + place] * horizontal[:, place, :, :, x]
    return out


def test_dynamic_convolution_is_the_naive_loop_forwards_and_backwards():
    plain = [tensor.clone().requires_grad_() for tensor in _tensors()]
    fused = [tensor.clone().requires_grad_() for tensor in _tensors()]
    expected, found = _naive(*plain), dynamic_convolution(*fused)
    assert torch.allclose(found, expected, atol=1e-12)
    target = torch.randn_like(expected)
    (expected * target).sum().backward()
    (found * target).sum().backward()
    assert all(
        torch.allclose(a.grad, b.grad, atol=1e-12) for a, b in zip(plain, fused, strict=True)
    )
    assert torch.autograd.gradcheck(dynamic_convolution, fused)


def test_kernels_of_one_pixel_scale():
    content, vertical, horizontal, bias = _tensors()
    found = dynamic_convolution(content, vertical[:, :1], horizontal[:, :1], bias)
    assert torch.allclose(found, content * vertical[:, 0] * horizontal[:, 0] + bias)


def test_identity_kernels_reproduce_the_normalised_content():
    network = StyleKernelNetwork(StyleKernelConfig(**SMALL)).eval()
    features = network.encode(torch.rand(1, 3, 48, 48))
    with torch.no_grad():
        maps = network.alignment.style_maps(network.encode(torch.rand(1, 3, 32, 32)))
        aligned = network.alignment(features, maps)
        same = dynamic_convolution(normalised(features), *network.predictor(aligned))
    # a network starts with kernels of one, and with the aligned style as bias
    torch.testing.assert_close(same, normalised(features) + aligned.relu())


def test_a_new_network_brings_to_every_place_what_is_most_alike():
    network = StyleKernelNetwork(StyleKernelConfig("vgg19", "relu3_1"))
    with torch.no_grad():
        features = network.encode(torch.rand(1, 3, 32, 48))
        aligned = network.alignment(features, network.alignment.style_maps(features))
    assert torch.nn.functional.cosine_similarity(aligned, features).mean() > 0.9


def test_kernels_differ_between_places():
    predictor = KernelPredictor(16, 3)
    torch.nn.init.normal_(predictor.layers[-1].weight, std=0.1)
    vertical, horizontal, bias = predictor(torch.randn(1, 16, 6, 6))
    assert vertical.shape == horizontal.shape == (1, 3, 16, 6, 6)
    for tensor in (vertical, horizontal, bias.unsqueeze(1)):
        assert tensor.flatten(3).std(dim=3).min() > 1e-3


def _attention(heads=2):
    torch.manual_seed(1)
    query, key, values = torch.randn(3, 1, 8, 4, 4)
    keys = F.normalize(key.unflatten(1, (heads, -1)), dim=2).flatten(1, 2)
    return query, keys, values


def _threshold(scale, offset=0.0, heads=2):
    return torch.full((1, heads, 4, 4), scale), torch.full((1, heads, 4, 4), offset)


def test_an_open_gate_is_plain_cosine_attention():
    query, keys, values = _attention()
    found = align(query, keys, values, _threshold(-1e-9), heads=2, temperature=5.0)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        q = F.normalize(query[0, part].flatten(1), dim=0)
        k, v = keys[0, part].flatten(1), values[0, part].flatten(1)
        expected = torch.softmax(5.0 * q.T @ k, dim=1) @ v.T
        assert torch.allclose(found[0, part].flatten(1).T, expected, atol=1e-5)


def test_without_a_gate_the_threshold_is_not_looked_at():
    query, keys, values = _attention()
    settings = {"heads": 2, "temperature": 5.0}
    plain = align(query, keys, values, _threshold(-1e-9), **settings)
    for amount in (0.0, 1e6):
        found = align(query, keys, values, _threshold(amount), gate="none", **settings)
        assert torch.allclose(found, plain, atol=1e-6)


def test_without_kernels_the_decoder_gets_the_sum():
    config = StyleKernelConfig("vgg19", "relu3_1", kernel=0, gate="none", groups=1)
    network = StyleKernelNetwork(config).eval()
    assert not any(name.startswith("predictor") for name in network.state_dict())
    features, aligned = torch.randn(2, 1, 256, 8, 8)
    mean, std = features.mean((2, 3), keepdim=True), features.std((2, 3), keepdim=True)
    expected = 0.5 * (network.decoder((features - mean) / std + aligned) + 1.0)
    assert torch.allclose(network.repaint(features, aligned), expected, atol=1e-3)


@pytest.mark.parametrize("gate", [gate for gate in GATES if gate != "none"])
def test_gating_masks_keys_and_learns(gate):
    query, keys, values = _attention()
    kept = []
    for amount in (0.0, 1.5, 1e6):
        ones = torch.ones(1, 8, 4, 4)  # with values of one, what comes out is the sum of weights
        threshold = _threshold(0.0, 1.0 - amount) if gate == "dagl" else _threshold(amount)
        found = align(query, keys, ones, threshold, heads=2, temperature=5.0, gate=gate)
        kept.append(found.mean().item())
    assert kept[0] > kept[1] > kept[2] > 0  # more and more is left out, but never all
    scale, offset = (x.requires_grad_() for x in _threshold(1.0, 0.1))
    found = align(query, keys, values, (scale, offset), heads=2, temperature=5.0, gate=gate)
    found.square().sum().backward()
    assert scale.grad.abs().max() > 0
    assert offset.grad.abs().max() > 0


def test_the_hard_gate_has_the_gradient_of_the_formula():
    attention = torch.softmax(3.0 * torch.randn(2, 2, 6, 9), dim=3).double().requires_grad_()
    threshold = torch.rand(2, 2, 6, 1).double().mul(2.0).requires_grad_()
    weights = torch.rand(2, 2, 6, 9).double()
    soft = torch.sigmoid(9 * attention - threshold)
    best = attention == attention.amax(dim=3, keepdim=True)
    hard = ((9 * attention > threshold) | best).double()
    formula = attention * (hard + soft - soft.detach())
    expected = torch.autograd.grad((weights * formula).sum(), (attention, threshold))
    gated = style_kernel_attention._gated(attention, threshold, "ste")
    torch.testing.assert_close(gated, formula.detach())
    found = torch.autograd.grad((weights * gated).sum(), (attention, threshold))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_large_blocks_are_recomputed_with_the_same_gradient(monkeypatch):
    gradients = []
    for kept in (1 << 25, 0):
        monkeypatch.setattr(style_kernel_attention, "_KEPT", kept)
        query, keys, values = (x.requires_grad_() for x in _attention())
        align(query, keys, values, _threshold(0.8), heads=2, temperature=5.0).sum().backward()
        gradients.append(query.grad)
    torch.testing.assert_close(*gradients)


def test_a_hard_gate_keeps_exactly_the_keys_above_the_threshold():
    query, keys, _ = _attention()
    one_hot = torch.eye(16).view(1, 16, 4, 4)
    found = align(
        query[:, :4], keys[:, :4], one_hot, _threshold(1.0, heads=1), heads=1, temperature=5.0
    )
    q = F.normalize(query[0, :4].flatten(1), dim=0)
    attention = torch.softmax(5.0 * q.T @ keys[0, :4].flatten(1), dim=1)
    expected = attention * (attention > 1.0 / 16)
    assert torch.allclose(found[0].flatten(1).T, expected, atol=1e-5)


def test_renormalised_weights_sum_to_one():
    query, keys, _ = _attention()
    ones = torch.ones(1, 8, 4, 4)
    found = align(query, keys, ones, _threshold(1.5), heads=2, temperature=5.0, renormalise=True)
    assert torch.allclose(found, ones, atol=1e-5)


def test_chunks_change_nothing(monkeypatch):
    query, keys, values = _attention()
    arguments = (query, keys, values, _threshold(0.8))
    whole = align(*arguments, heads=2, temperature=5.0)
    monkeypatch.setattr(style_kernel_attention, "_BLOCK", {"cpu": 100})
    assert torch.allclose(align(*arguments, heads=2, temperature=5.0), whole, atol=1e-5)


def test_groups_are_shuffled_in_training_only():
    features = torch.arange(32.0).view(1, 32, 1, 1)
    orders = {tuple(shuffle_groups(features, 8).flatten().tolist()) for _ in range(10)}
    assert len(orders) > 1
    for order in orders:
        groups = [order[i : i + 4] for i in range(0, 32, 4)]
        assert sorted(groups) == [tuple(range(i, i + 4)) for i in range(0, 32, 4)]
    network = StyleKernelNetwork(StyleKernelConfig(**SMALL))
    torch.nn.init.normal_(network.predictor.layers[-1].weight, std=0.02)
    pair = torch.rand(2, 1, 3, 32, 32)
    with torch.no_grad():
        still = [network.eval()(*pair) for _ in range(3)]
        moving = [network.train()(*pair) for _ in range(3)]
    assert all(torch.equal(image, still[0]) for image in still)
    assert not all(torch.equal(image, moving[0]) for image in moving)
    shuffled = StyleKernelNetwork(StyleKernelConfig(**SMALL, shuffle_at_test=True)).eval()
    shuffled.load_state_dict(network.state_dict())
    with torch.no_grad():
        again = [shuffled(*pair) for _ in range(2)]
    assert torch.equal(*again)
    assert not torch.equal(again[0], still[0])


@pytest.fixture(scope="module")
def stylizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    torch.manual_seed(2)
    network = StyleKernelNetwork(StyleKernelConfig(**SMALL))
    torch.nn.init.normal_(network.predictor.layers[-1].weight, std=0.02)
    save_tensors(network.state_dict(), folder / "model.safetensors", {})
    (folder / "config.json").write_text('{"backbone": "vgg19", "layer": "relu3_1"}')
    return create_stylizer("style-kernel", weights=str(folder / "model.safetensors"), style_size=48)


def test_interpolation_ends_at_the_styles(stylizer):
    content, code = torch.rand(1, 3, 33, 40), stylizer.encode_style(torch.rand(2, 3, 48, 48))
    ends = [stylizer.stylize(content, code[index]) for index in range(2)]
    for index, row in enumerate(torch.eye(2)):
        found = stylizer.interpolate(content, code, row[None])
        assert torch.allclose(found, ends[index], atol=1e-5)
    middle = stylizer.interpolate(content, code, torch.tensor([[0.5, 0.5]]))
    assert all((middle - end).abs().max() > 1e-4 for end in ends)
    with pytest.raises(ValueError, match="sum to 1"):
        stylizer.interpolate(content, code, torch.tensor([[0.5, 0.6]]))
    with pytest.raises(ValueError, match=r"weights must be \(1, 2\)"):
        stylizer.interpolate(content, code, torch.ones(1, 3))


def test_a_stitched_style_offers_the_places_of_all(stylizer):
    code = stylizer.encode_style(torch.rand(3, 3, 48, 48))
    stitched = stylizer.stitch(code)
    assert len(stitched) == 1
    assert stitched.maps["keys"].shape == (1, 256, 12, 36)
    assert stylizer.stylize(torch.rand(2, 3, 40, 40), stitched).shape == (2, 3, 40, 40)


def test_settings_that_cannot_be_are_refused():
    for changes, message in (
        ({"kernel": 2}, "kernel must be odd"),
        ({"heads": 7}, "heads must divide"),
        ({"gate": "hard"}, "gate must be one of"),
        ({"layer": "relu5_1"}, "layer must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            StyleKernelConfig(**changes)


def test_parameter_counts_follow_the_paper():
    predictor = KernelPredictor(512, 3)
    assert sum(p.numel() for p in predictor.parameters()) == 18_878_464  # 512 -> 512 -> 512 * 7
    decoder = StyleKernelNetwork(StyleKernelConfig()).decoder
    assert 2.3e6 < sum(p.numel() for p in decoder.parameters()) < 2.7e6
