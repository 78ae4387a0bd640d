"""contextual-adain against a plain AdaIN, its published files, and its recipe."""

import pytest
import torch
import torch.nn.functional as F

from styleaug import StyleTransfer, create_stylizer
from styleaug.features.encoders import VGGNormalised, build_encoder
from styleaug.stylizers.adain_network import (
    BACKBONES,
    AdaINConfig,
    AdaINNetwork,
    build_decoder,
)
from styleaug.weights import save_tensors


def _published(folder):
    """Files with the published keys: the whole encoder of 17 convolutions, and the decoder."""
    torch.manual_seed(3)
    encoder = VGGNormalised(["relu4_1"])
    for part in encoder:
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
            torch.nn.init.normal_(part.bias, std=0.1)
    state = dict(encoder.state_dict())
    for key, inputs in (
        (32, 512),
        (35, 512),
        (38, 512),
        (42, 512),
        (45, 512),
        (48, 512),
        (51, 512),
    ):
        state[f"{key}.weight"], state[f"{key}.bias"] = torch.zeros(8, inputs, 3, 3), torch.zeros(8)
    torch.save(state, folder / "vgg_normalised.pth")
    decoder = build_decoder(512, 8).state_dict()
    torch.save(decoder, folder / "decoder.pth")
    return state, decoder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adain")
    return folder, *_published(folder)


def _conv(x, state, key):
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, state[f"{key}.weight"], state[f"{key}.bias"])


def _encode(x, state):
    x = F.conv2d(x, state["0.weight"], state["0.bias"])
    for key in (2, 5, "pool", 9, 12, "pool", 16, 19, 22, 25, "pool", 29):
        x = F.max_pool2d(x, 2, ceil_mode=True) if key == "pool" else _conv(x, state, key).relu()
    return x


def _plain_adain(content, style, encoder, decoder, alpha):
    a, b = _encode(content, encoder), _encode(style, encoder)
    size = a.shape
    mean_a, std_a = a.view(*size[:2], -1).mean(2), (a.view(*size[:2], -1).var(2) + 1e-5).sqrt()
    mean_b, std_b = b.view(*size[:2], -1).mean(2), (b.view(*size[:2], -1).var(2) + 1e-5).sqrt()
    t = (a - mean_a[..., None, None]) / std_a[..., None, None]
    t = t * std_b[..., None, None] + mean_b[..., None, None]
    x = alpha * t + (1 - alpha) * a
    for key in (1, "up", 5, 8, 11, 14, "up", 18, 21, "up", 25):
        if key == "up":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        else:
            x = _conv(x, decoder, key).relu()
    return _conv(x, decoder, 28)


@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_published_files_give_what_plain_adain_gives(files, alpha):
    folder, encoder, decoder = files
    stylizer = create_stylizer(
        "contextual-adain",
        weights=str(folder / "decoder.pth"),
        encoder=(folder / "vgg_normalised.pth").as_uri(),
    )
    content, style = torch.rand(2, 3, 64, 48), torch.rand(2, 3, 56, 72)
    with torch.no_grad():
        expected = _plain_adain(content, style, encoder, decoder, alpha)
        maps = stylizer._encode_style(style)  # styles of files are brought to 512 pixels
        found = stylizer._stylize(content, maps, torch.full((2,), alpha))
    assert (found - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


def test_parameter_counts_are_the_published_ones():
    assert sum(p.numel() for p in VGGNormalised(["relu4_1"]).parameters()) == 3_505_740
    assert sum(p.numel() for p in build_decoder(512, 8).parameters()) == 3_505_219
    keys = {name.partition(".")[0] for name in build_decoder(512, 8).state_dict()}
    assert keys == {"1", "5", "8", "11", "14", "18", "21", "25", "28"}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_extractor_has_a_decoder_that_fits(backbone):
    layers = {"vgg": "relu3_1", "res": "layer2", "den": "denseblock2"}
    network = AdaINNetwork(AdaINConfig(backbone, layers[backbone[:3]])).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 32, 48), torch.rand(1, 3, 64, 64)).shape == (1, 3, 32, 48)
    assert not any(p.requires_grad for p in network.encoder.parameters())


def test_one_file_holds_encoder_and_decoder(tmp_path):
    network = AdaINNetwork(AdaINConfig("vgg19", "relu3_1"))
    save_tensors(network.state_dict(), tmp_path / "model.safetensors", {})
    (tmp_path / "config.json").write_text('{"backbone": "vgg19", "layer": "relu3_1"}')
    transform = StyleTransfer(
        "contextual-adain", weights=str(tmp_path / "model.safetensors"), p=1.0
    )
    assert transform(torch.rand(2, 1, 48, 40)).shape == (2, 1, 48, 40)


def test_missing_parts_are_named(files, tmp_path):
    folder = files[0]
    with pytest.raises(ValueError, match="encoder must name"):
        create_stylizer("contextual-adain", weights=str(folder / "decoder.pth"))
    with pytest.raises(FileNotFoundError, match="cannot be downloaded"):
        create_stylizer("contextual-adain", weights=(tmp_path / "nothing.pth").as_uri())
    with pytest.raises(ValueError, match="layer must be one of"):
        AdaINConfig("resnet50", "relu4_1")


@pytest.mark.parametrize("backbone", ["vgg19", "vgg19-normalised", "resnet50", "densenet121"])
def test_encoders_see_no_border(backbone):
    torch.manual_seed(0)
    layer = AdaINConfig(backbone, _FINE[backbone]).layer
    encoder = build_encoder(backbone, [layer])
    (maps,) = encoder(torch.full((1, 3, 64, 96), 0.4))
    flat = maps.mean(dim=(2, 3), keepdim=True).expand_as(maps)
    torch.testing.assert_close(maps, flat, rtol=1e-3, atol=1e-4)


_FINE = {
    "vgg19": "relu3_1",
    "vgg19-normalised": "relu3_1",
    "resnet50": "layer1",
    "densenet121": "denseblock1",
}
