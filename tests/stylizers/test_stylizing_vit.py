"""Stylizing ViT: the laws of its network, its cached styles, its sizes and its weights."""

import copy
import itertools
import json
import pickle

import huggingface_hub.constants
import pytest
import torch

from styleaug import StyleBank, StyleCode, StyleTransfer, create_stylizer
from styleaug.stylizers import STYLIZERS
from styleaug.stylizers.lost_detail import mended
from styleaug.stylizers.stylizing_vit import StylizingViT
from styleaug.stylizers.vit import packed_linear
from styleaug.stylizers.vit.attention import attend
from styleaug.stylizers.vit.engine import StylizingViTEngine
from styleaug.stylizers.vit.network import (
    CONFIGS,
    StylizingViTNetwork,
    ViTConfig,
    position_table,
)
from styleaug.stylizers.vit.packed_linear import PackedLinear
from styleaug.stylizers.vit.resizing import paint_tiles, tile_starts
from styleaug.stylizers.vit.weights import ALIASES
from styleaug.weights import save_tensors

SMALL = ViTConfig(96, 3, depth=3, image_size=64)
MEAN, STD = (0.6, 0.5, 0.7), (0.2, 0.25, 0.15)
NAMES = [
    "camelyon17wilds",
    "epistr",
    "fitzpatrick17k_12_34_56",
    "fitzpatrick17k_65_43_21",
    "ddi_12_34_56",
    "ddi_65_43_21",
    "cholec80",
]


@pytest.fixture(scope="module")
def network():
    """A small network with norms and biases far from their initial 1 and 0."""
    generator = torch.Generator().manual_seed(1)
    network = StylizingViTNetwork(SMALL)
    for name, parameter in network.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        scale = 0.3 if "norm" in name or name.endswith("bias") else 0.02
        parameter.data.add_(scale * noise)
    return network.eval()


def _stylizer(network, **options):
    return StylizingViT(network, mean=MEAN, std=STD, **options).freeze()


def _images(count, height=64, width=64, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def _plain(network, content, style, *, clamp=True):
    """The network as it is trained, in [0, 1]."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    painted = network((content - mean) / std, (style - mean) / std)
    painted = painted * std + mean
    return painted.clamp(0.0, 1.0) if clamp else painted


@torch.no_grad()
@pytest.mark.parametrize("keep", ["kv", "tokens"])
def test_the_stylizer_computes_what_the_network_computes(network, keep):
    content, style = _images(3), _images(3, seed=1)
    stylizer = _stylizer(network, keep=keep)
    painted = stylizer.stylize(content, stylizer.encode_style(style))
    assert (painted - _plain(network, content, style)).abs().max() <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("resize", ["fit", "224", "tile"])
def test_detail_is_what_the_repeated_content_lacks(network, resize):
    content, styles = _images(2), _images(3, seed=1)
    stylizer = _stylizer(network, resize=resize, detail=True)
    code = stylizer.encode_style(styles)
    mean, std = torch.tensor([MEAN, STD]).view(2, 1, 3, 1, 1)
    repeated = network.repeat((content - mean) / std) * std + mean
    soft = _plain(network, content, styles[:2], clamp=False)
    expected = mended(soft, content, repeated, 16).clamp(0.0, 1.0)
    painted = stylizer.stylize(content, code[[0, 1]])
    assert torch.allclose(painted, expected, atol=1e-3)
    assert (painted - soft.clamp(0.0, 1.0)).abs().mean() > 0.02
    grid = stylizer.stylize_grid(content, code)
    assert torch.allclose(grid[[0, 1], [0, 1]], painted, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_close(network, precision):
    content, style = _images(2), _images(2, seed=1)
    stylizer = _stylizer(network, precision=precision)
    code = stylizer.encode_style(style)
    assert {tensor.element_size() for tensor in code.maps.values()} == {2}
    error = (stylizer.stylize(content, code) - _plain(network, content, style)).abs().max()
    assert 0.0 < error <= 0.02


def test_either_kind_of_code_fits_whatever_is_kept(network):
    kv, tokens = _stylizer(network, keep="kv"), _stylizer(network, keep="tokens")
    content, style = _images(2), _images(2, seed=1)
    assert tokens.encode_style(style).nbytes * 2 == kv.encode_style(style).nbytes
    expected = kv.stylize(content, kv.encode_style(style))
    assert torch.allclose(kv.stylize(content, tokens.encode_style(style)), expected, atol=1e-6)
    assert torch.allclose(tokens.stylize(content, kv.encode_style(style)), expected, atol=1e-6)


def test_a_bank_keeps_what_it_is_told(network):
    bank = StyleBank.from_images(_images(3), _stylizer(network, keep="tokens"))
    assert set(bank.code.maps) == {"tokens"}
    transform = StyleTransfer(_stylizer(network), styles=bank, p=1.0, seed=0)
    assert transform(_images(2, seed=1)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("size", list(CONFIGS))
def test_bytes_of_a_code_are_as_documented(size):
    config = CONFIGS[size]
    with torch.device("meta"):
        network = StylizingViTNetwork(config)
    tokens = config.depth * (config.side**2 + 1) * config.width
    assert network.encoder.pos_embed.shape == (1, 197, config.width)
    documented = {"tiny": 3.6, "small": 7.3, "base": 14.5}[size]  # MB, keys and values, float32
    assert round(2 * tokens * 4 / 1e6, 1) == documented
    assert 256 * tokens * 2 < 1.0e9  # tokens in bfloat16
    assert 256 * 2 * tokens * 2 < 1.9e9  # keys and values


def test_the_content_runs_once_for_a_grid(network, monkeypatch):
    calls = []
    original = StylizingViTEngine.content_layers

    def counted(self, tokens):
        calls.append(len(tokens))
        return original(self, tokens)

    monkeypatch.setattr(StylizingViTEngine, "content_layers", counted)
    stylizer = _stylizer(network)
    stylizer.stylize_grid(_images(1), stylizer.encode_style(_images(40)))
    assert calls == [1]


def test_blocks_that_are_not_needed_are_not_computed(network, monkeypatch):
    """Of 4 blocks a layer: with a cached style 3, less anatomy and anchor of the last layer."""
    stylizer = _stylizer(network)
    code = stylizer.encode_style(_images(2))
    engine = stylizer._engine(torch.device("cpu"))
    calls, block = [], engine._block
    monkeypatch.setattr(engine, "_block", lambda *args: calls.append(1) or block(*args))
    stylizer.stylize(_images(2), code)
    assert len(calls) == 3 * SMALL.depth - 2
    calls.clear()
    stylizer.encode_style(_images(2))
    assert len(calls) == SMALL.depth - 1


@pytest.mark.parametrize("resize", ["fit", "224", "tile"])
def test_the_trained_size_is_exact_in_every_mode(network, resize):
    content, style = _images(2), _images(2, seed=1)
    stylizer, plain = _stylizer(network, resize=resize), _stylizer(network)
    code = stylizer.encode_style(style)
    painted = stylizer.stylize(content, code)
    assert torch.allclose(painted, plain.stylize(content, code), atol=1e-6)


@pytest.mark.parametrize("resize", ["fit", "224", "tile"])
def test_a_grid_is_every_pair_at_other_sizes(network, resize):
    stylizer = _stylizer(network, resize=resize)
    content, code = _images(2, 70, 101), stylizer.encode_style(_images(3, seed=1))
    grid = stylizer.stylize_grid(content, code)
    pairs = torch.stack([stylizer.stylize(content, code[s]) for s in range(3)], dim=1)
    assert torch.allclose(grid, pairs, atol=1e-5)


def test_positions_keep_the_trained_grid_and_are_interpolated_elsewhere(network):
    table = network.encoder.pos_embed
    assert position_table(table, (4, 4)) is table
    wide = position_table(table, (4, 9))
    assert wide.shape == (1, 1 + 36, SMALL.width)
    assert torch.equal(wide[:, 0], table[:, 0])
    flat = torch.ones(1, 17, 8)
    assert torch.allclose(position_table(flat, (3, 7)), torch.ones(1, 22, 8))


@pytest.mark.parametrize("side", [64, 65, 100, 127, 128, 300])
def test_tiles_cover_with_overlap(side):
    starts = tile_starts(side, 64, 18)
    assert starts[0] == 0
    assert starts[-1] + 64 == side
    assert all(0 < b - a <= 64 - 18 for a, b in itertools.pairwise(starts))


def test_tiles_blend_without_a_step():
    """Tiles painted in levels of their own come out as a smooth ramp between them."""
    levels = iter([0.2, 0.8])
    image = torch.zeros(1, 3, 32, 54)
    out = paint_tiles(image, lambda tile: torch.full_like(tile, next(levels)), 32, overlap=10)
    row = out[0, 0, 16]
    assert torch.allclose(row[:22], torch.tensor(0.2))
    assert torch.allclose(row[32:], torch.tensor(0.8))
    assert row.diff().min() >= -1e-6
    assert row.diff().max() < 0.1


def test_alpha_interpolates_pixels(network):
    stylizer = _stylizer(network)
    content, code = _images(2, 70, 50), stylizer.encode_style(_images(2, seed=1))
    full = stylizer.stylize(content, code)
    inside = (full > 0) & (full < 1)  # where the clamp does nothing
    half = stylizer.stylize(content, code, alpha=0.5)
    assert torch.allclose(half[inside], torch.lerp(content, full, 0.5)[inside], atol=1e-5)


def test_compiled_is_the_same(network):
    shallow = StylizingViTNetwork(ViTConfig(96, 3, depth=1, image_size=64)).eval()
    content, style = _images(2), _images(2, seed=1)
    plain, compiled = _stylizer(shallow), _stylizer(shallow, compile=True)
    engine = compiled._engine(torch.device("cpu"))
    assert engine._packed is False
    engine._block = torch.compile(engine._block.__wrapped__, backend="eager", dynamic=False)
    expected = plain.stylize(content, plain.encode_style(style))
    found = compiled.stylize(content, compiled.encode_style(style))
    assert torch.allclose(found, expected, atol=1e-5)


def test_copies_and_pickles_hold_no_prepared_weights(network):
    stylizer = _stylizer(network)
    content, code = _images(2), stylizer.encode_style(_images(2, seed=1))
    expected = stylizer.stylize(content, code)
    assert stylizer._engines
    for twin in (copy.deepcopy(stylizer), pickle.loads(pickle.dumps(stylizer))):
        assert not twin._engines
        assert twin.identity == stylizer.identity
        assert torch.equal(twin.stylize(content, code), expected)
    stylizer.to("cpu")
    assert not stylizer._engines


def test_weights_and_normalisation_are_part_of_the_identity(network):
    other = copy.deepcopy(network)
    other.encoder.cls_token.data.add_(1e-3)
    made = [_stylizer(network), _stylizer(other)]
    made.append(StylizingViT(network, mean=MEAN, std=(0.2, 0.25, 0.16)).freeze())
    assert len({stylizer.identity for stylizer in made}) == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", ["onednn", "plain"])
def test_packed_linear_is_linear(monkeypatch, dtype, layout):
    if layout == "plain":
        monkeypatch.setattr(packed_linear, "_onednn_layout", lambda weight, bias: None)
    generator = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(s, generator=generator) for s in ((48, 32), (48,), (3, 5, 32)))
    residual = torch.randn(3, 5, 48, generator=generator)
    linear = PackedLinear(weight.to(dtype), bias.to(dtype))
    product = torch.nn.functional.linear(x, weight, bias)
    gelu = torch.nn.functional.gelu(product)
    close = {"atol": 1e-4} if dtype == torch.float32 else {"atol": 0.2, "rtol": 0.02}
    x, kept = x.to(dtype), residual.to(dtype)
    assert torch.allclose(linear(x).float(), product, **close)
    assert torch.allclose(linear(x, activation="gelu").float(), gelu, **close)
    assert torch.allclose(linear(x, residual=kept).float(), product + residual, **close)
    both = linear(x, activation="gelu", residual=kept).float()
    assert torch.allclose(both, gelu + residual, **close)
    assert torch.equal(kept, residual.to(dtype))  # the residual is not overwritten


def test_a_layout_that_computes_something_else_is_not_used(monkeypatch):
    wrong = lambda x, layout, bias, activation, residual: torch.zeros(2, 48)  # noqa: E731
    monkeypatch.setattr(packed_linear, "_onednn_linear", wrong)
    assert PackedLinear(torch.randn(48, 32), None).layout is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("queries", "keys"), [(7, 5), (700, 400)])
def test_attention_is_attention(dtype, queries, keys):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, 3, 8, generator=generator) for n in (queries, keys, keys))
    q, k, v = (t.transpose(1, 2).to(dtype) for t in (q, k, v))  # strided, as they come
    scores = (q.double() @ k.double().transpose(2, 3)).softmax(-1)
    expected = (scores @ v.double()).transpose(1, 2).flatten(2)
    atol = 1e-5 if dtype == torch.float32 else 0.03
    assert torch.allclose(attend(q, k, v).double(), expected, atol=atol)


@pytest.mark.parametrize("size", list(CONFIGS))
def test_every_published_file_has_a_record(size):
    weights = STYLIZERS[f"stylizing-vit-{size}"].weights
    records = {record.name: record for record in weights if record.repository is not None}
    assert list(records) == NAMES
    installed = [record.name for record in weights if record.repository is None]
    assert installed == (["medical"] if size == "tiny" else [])
    for name, record in records.items():
        assert record.repository == f"sdoerrich97/stylizing_vit_{size}_{name}"
        assert record.url.endswith("/model.safetensors")
        assert record.licence == "Apache-2.0"
        assert record.data
        published = name in ("camelyon17wilds", "epistr", "fitzpatrick17k_12_34_56")
        assert (record.mean is not None) == (record.std is not None) == published
    assert set(ALIASES.values()) <= set(records)


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory):
    """A checkpoint of size tiny with the VGG encoder of the training losses in it."""
    torch.manual_seed(0)
    state = StylizingViTNetwork(CONFIGS["tiny"]).state_dict()
    state["vgg_encoder.features_0.weight"] = torch.zeros(64, 3, 3, 3)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_tensors({f"module.{name}": tensor for name, tensor in state.items()}, path, {})
    return path


def test_a_file_loads_with_given_constants(tiny_file):
    stylizer = create_stylizer(
        "stylizing-vit-tiny", weights=str(tiny_file), mean=MEAN, std=STD, keep="tokens"
    )
    assert stylizer.name == "stylizing-vit-tiny"
    assert (stylizer.mean, stylizer.std) == (MEAN, STD)
    assert not any(parameter.requires_grad for parameter in stylizer.parameters())
    content = _images(1, 40, 48)
    painted = stylizer.stylize(content, stylizer.encode_style(_images(1, seed=1)))
    assert painted.shape == content.shape
    assert painted.isfinite().all()


def test_constants_come_from_the_config_beside_the_file(tiny_file, tmp_path):
    (tmp_path / "tiny.safetensors").symlink_to(tiny_file)
    (tmp_path / "config.json").write_text(json.dumps({"mean": MEAN, "std": STD}))
    stylizer = create_stylizer("stylizing-vit-tiny", weights=str(tmp_path / "tiny.safetensors"))
    assert (stylizer.mean, stylizer.std) == (MEAN, STD)


@pytest.fixture
def hub(tiny_file, tmp_path, monkeypatch):
    """The Hub's cache, holding two published repositories; neither is really theirs."""
    for name in ("camelyon17wilds", "ddi_12_34_56"):
        folder = tmp_path / f"models--sdoerrich97--stylizing_vit_tiny_{name}"
        (folder / "snapshots" / "abc").mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("abc")
        (folder / "snapshots" / "abc" / "model.safetensors").symlink_to(tiny_file)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def _add_config(hub, name):
    folder = hub / f"models--sdoerrich97--stylizing_vit_tiny_{name}" / "snapshots" / "abc"
    (folder / "config.json").write_text(json.dumps({"mean": MEAN, "std": STD}))


def test_published_weights_load_by_name(hub):
    _add_config(hub, "camelyon17wilds")
    stylizer = create_stylizer("stylizing-vit-tiny", weights="camelyon17wilds")
    assert stylizer.mean == (0.7440, 0.5895, 0.7214)  # what is published comes before a config
    assert stylizer.std == (0.1787, 0.2131, 0.1721)
    by_reference = create_stylizer(
        "stylizing-vit-tiny",
        weights="hf:sdoerrich97/stylizing_vit_tiny_camelyon17wilds@main",
        mean=stylizer.mean,
        std=stylizer.std,
    )
    assert by_reference.identity == stylizer.identity


def test_unpublished_constants_come_from_the_config_or_from_you(hub):
    with pytest.raises(ValueError, match="neither published nor in"):
        create_stylizer("stylizing-vit-tiny", weights="ddi")
    given = create_stylizer("stylizing-vit-tiny", weights="ddi", mean=MEAN, std=STD)
    _add_config(hub, "ddi_12_34_56")
    assert create_stylizer("stylizing-vit-tiny", weights="ddi").identity == given.identity


def test_a_miss_says_how_to_get_the_file(hub):
    with pytest.raises(FileNotFoundError) as raised:
        create_stylizer("stylizing-vit-tiny", weights="cholec80")
    address = "https://huggingface.co/sdoerrich97/stylizing_vit_tiny_cholec80/resolve/main/"
    assert f"{address}model.safetensors" in str(raised.value)


def test_constants_are_never_guessed(tiny_file):
    with pytest.raises(ValueError, match=r"neither published nor in a config.json.*mean= and std="):
        create_stylizer("stylizing-vit-tiny", weights=str(tiny_file))
    with pytest.raises(ValueError, match="std must be given"):
        create_stylizer("stylizing-vit-tiny", weights=str(tiny_file), mean=MEAN)


@pytest.mark.parametrize(
    "wrong", [{"mean": (0.5, 0.5)}, {"mean": (120, 110, 90)}, {"std": (0, 1, 1)}]
)
def test_constants_that_make_no_sense_are_refused(tiny_file, wrong):
    arguments = {"mean": MEAN, "std": STD, **wrong}
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must"):
        create_stylizer("stylizing-vit-tiny", weights=str(tiny_file), **arguments)


def test_another_size_is_named(tiny_file):
    with pytest.raises(ValueError, match=r"looks like stylizing-vit-tiny.*encoder\.cls_token"):
        create_stylizer("stylizing-vit-small", weights=str(tiny_file), mean=MEAN, std=STD)


def test_another_architecture_is_named(tmp_path):
    save_tensors({"conv.weight": torch.zeros(3)}, tmp_path / "x.safetensors", {})
    with pytest.raises(ValueError, match=r"no Stylizing ViT.*conv\.weight"):
        create_stylizer(
            "stylizing-vit-tiny", weights=str(tmp_path / "x.safetensors"), mean=MEAN, std=STD
        )


def test_weights_must_be_chosen():
    with pytest.raises(ValueError, match=r"camelyon17wilds.*hf:owner/name@revision"):
        create_stylizer("stylizing-vit-base")
    with pytest.raises(ValueError, match=r"cholec80.*got 'imagenet'"):
        create_stylizer("stylizing-vit-base", weights="imagenet")


@pytest.mark.parametrize("option", [{"resize": "crop"}, {"keep": "all"}])
def test_options_are_checked(network, option):
    with pytest.raises(ValueError, match=next(iter(option))):
        _stylizer(network, **option)


@pytest.mark.parametrize("sizes", [(100, 4), (192, 5), (192, 3, 12, 4, 16, 225)])
def test_shapes_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match="must be a multiple of"):
        ViTConfig(*sizes)


def test_codes_mix_and_save(network, tmp_path):
    stylizer = _stylizer(network, precision="bf16")
    code = stylizer.encode_style(_images(3))
    code.save(tmp_path / "code.safetensors")
    mixed = StyleCode.load(tmp_path / "code.safetensors").mix(torch.tensor([[0.5, 0.25, 0.25]]))
    assert stylizer.stylize(_images(2, seed=1), mixed).isfinite().all()
