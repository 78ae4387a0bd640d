"""rast against plain style attention, its published files, and what its parts are for."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from styleaug import StyleTransfer, create_stylizer
from styleaug.features.encoders import VGGNormalised
from styleaug.stylizers.adain_network import build_decoder
from styleaug.stylizers.rast_network import RASTConfig, RASTNetwork, Transform, mean_of_keys
from styleaug.weights import save_tensors


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files with the published keys and random numbers."""
    folder = tmp_path_factory.mktemp("rast")
    torch.manual_seed(4)
    encoder = VGGNormalised(["relu5_4"])
    for part in encoder:
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
            torch.nn.init.normal_(part.bias, std=0.1)
    states = {
        "vgg_normalised": encoder.state_dict(),
        "transformer_iter_160000": Transform(512).state_dict(),
        "decoder_iter_160000": build_decoder(512, 8).state_dict(),
    }
    for name, state in states.items():
        torch.save(state, folder / f"{name}.pth")
    return folder, list(states.values())


def _mvn(x):
    flat = x.flatten(2)
    mean, std = flat.mean(2), (flat.var(2) + 1e-5).sqrt()
    return (x - mean[..., None, None]) / std[..., None, None]


def _sanet(content, style, state, name):
    def conv(x, part):
        weight, bias = (state[f"{name}.{part}.{kind}"] for kind in ("weight", "bias"))
        return F.conv2d(x, weight, bias)

    query = conv(_mvn(content), "f").flatten(2).transpose(1, 2)
    key, value = conv(_mvn(style), "g").flatten(2), conv(style, "h").flatten(2)
    attention = torch.softmax(query @ key, dim=2)
    gathered = (value @ attention.transpose(1, 2)).view(content.shape)
    return conv(gathered, "out_conv") + content


def test_published_files_give_what_plain_style_attention_gives(files):
    folder, (encoder, transform, decoder) = files
    stylizer = create_stylizer(
        "rast",
        weights=str(folder / "decoder_iter_160000.pth"),
        transform=str(folder / "transformer_iter_160000.pth"),
        encoder=(folder / "vgg_normalised.pth").as_uri(),
    )
    content, style = torch.rand(2, 3, 64, 48), torch.rand(2, 3, 80, 64)
    whole, end = VGGNormalised(["relu4_1", "relu5_1"]), build_decoder(512, 8)
    whole.load_state_dict({key: encoder[key] for key in whole.state_dict()})
    end.load_state_dict(decoder)
    with torch.no_grad():
        (c4, c5), (s4, s5) = whole(content), whole(style)
        coarse = F.interpolate(_sanet(c5, s5, transform, "sanet5_1"), c4.shape[2:])
        both = F.pad(_sanet(c4, s4, transform, "sanet4_1") + coarse, (1, 1, 1, 1), mode="reflect")
        merged = F.conv2d(both, transform["merge_conv.weight"], transform["merge_conv.bias"])
        expected = end(merged)
        maps = stylizer._encode_style(style)  # styles of files are brought to one size
        found = stylizer._stylize(content, maps, torch.ones(2))
    assert (found - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


def test_parameter_counts_and_keys_are_the_published_ones():
    state = Transform(512).state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == 4_461_056
    parts = {key.rpartition(".")[0] for key in state}
    sanets = {f"{n}.{part}" for n in ("sanet4_1", "sanet5_1") for part in "fgh"}
    assert parts == sanets | {"sanet4_1.out_conv", "sanet5_1.out_conv", "merge_conv"}
    encoder = VGGNormalised(["relu4_1", "relu5_1"])
    assert sum(p.numel() for p in encoder.parameters()) == 12_944_972
    assert len(VGGNormalised(["relu5_4"])) == 53


@pytest.mark.parametrize(
    ("backbone", "layer"),
    [
        ("vgg19-normalised", "relu3_1"),
        ("vgg19", "relu4_1"),
        ("vgg19", "relu3_1"),
        ("efficientnet_b0", "features3"),
    ],
)
def test_every_encoder_has_a_transform_that_fits(backbone, layer, tmp_path):
    network = RASTNetwork(RASTConfig(backbone, layer))
    save_tensors(network.state_dict(), tmp_path / "model.safetensors", {})
    (tmp_path / "config.json").write_text(f'{{"backbone": "{backbone}", "layer": "{layer}"}}')
    transform = StyleTransfer(
        "rast", weights=str(tmp_path / "model.safetensors"), options={"style_size": 64}, p=1.0
    )
    assert transform(torch.rand(2, 3, 49, 40)).shape == (2, 3, 49, 40)
    assert not any(p.requires_grad for p in network.encoder.parameters())


def test_missing_parts_are_named(files):
    decoder = str(files[0] / "decoder_iter_160000.pth")
    with pytest.raises(ValueError, match="transform and encoder must name"):
        create_stylizer("rast", weights=decoder)
    with pytest.raises(ValueError, match="style_size must be at least 32"):
        create_stylizer("rast", weights=decoder, style_size=16)
    with pytest.raises(ValueError, match="layer must be one of"):
        RASTConfig("efficientnet_b0", "relu4_1")


def test_restore_stylizes_with_the_content():
    stylizer = create_stylizer("colorist")
    content, style = 0.25 + 0.5 * torch.rand(2, 3, 40, 40), torch.rand(2, 3, 40, 40)
    stylized = stylizer.stylize(content, stylizer.encode_style(0.3 + 0.4 * style))
    assert (stylizer.restore(stylized, content) - content).abs().max() < 1e-3


class _Largest(TorchDispatchMode):
    """Keeps the number of values of the largest tensor that was made."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple) else (out,):
            if isinstance(tensor, torch.Tensor):
                self.values = max(self.values, tensor.numel())
        return out


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_attention_never_holds_its_matrix(layout):
    query, keys = (torch.randn(1, 16, 40, 40).to(memory_format=layout) for _ in range(2))
    with torch.no_grad(), _Largest() as seen:
        found = mean_of_keys(query, keys)
    assert seen.values == 16 * 40 * 40
    points = keys.flatten(2)[0]
    expected = points @ (query.flatten(2)[0].T @ points).softmax(dim=1).T
    torch.testing.assert_close(found.flatten(2)[0], expected, rtol=1e-3, atol=1e-4)
