"""Small random networks for the tests of what every stylizer obeys."""

import json
import tempfile
from pathlib import Path

import torch

from styleaug import create_stylizer
from styleaug.stylizers.adain_network import AdaINConfig, AdaINNetwork
from styleaug.stylizers.appearance_network import AppearanceNetwork
from styleaug.stylizers.micro_network import MicroNetwork
from styleaug.stylizers.rast_network import RASTConfig, RASTNetwork
from styleaug.stylizers.style_kernel_network import StyleKernelConfig, StyleKernelNetwork
from styleaug.stylizers.stylizing_vit import StylizingViT
from styleaug.stylizers.vit.network import StylizingViTNetwork, ViTConfig
from styleaug.weights import save_tensors


def _small_vit(name, resize):
    network = StylizingViTNetwork(ViTConfig(96, 3, depth=2, image_size=64))
    built = StylizingViT(network, mean=(0.6, 0.5, 0.6), std=(0.2, 0.2, 0.2), resize=resize)
    built.name = name
    return built.freeze()


def _random_micro():
    network = MicroNetwork()
    for head in network.heads:
        torch.nn.init.normal_(head.weight, std=0.02)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "micro.safetensors"
        save_tensors(network.state_dict(), path, {})
        return create_stylizer("micro", weights=str(path))


def _random_appearance():
    network = AppearanceNetwork()
    torch.nn.init.normal_(network.predictor[-1].weight, std=0.3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "appearance.safetensors"
        save_tensors(network.state_dict(), path, {})
        return create_stylizer("appearance", weights=str(path))


def _saved(name, network, config, **options):
    """A stylizer from files that hold a random network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_tensors(network.state_dict(), path, {})
        (Path(folder) / "config.json").write_text(json.dumps(config))
        return create_stylizer(name, weights=str(path), **options)


def _random_adain():
    config = {"backbone": "vgg19-normalised", "layer": "relu3_1"}
    return _saved("contextual-adain", AdaINNetwork(AdaINConfig(**config)), config)


def _random_rast():
    config = {"backbone": "vgg19-normalised", "layer": "relu3_1"}
    return _saved("rast", RASTNetwork(RASTConfig(**config)), config, style_size=48)


def _random_kernels():
    config = {"backbone": "vgg19", "layer": "relu3_1"}
    network = StyleKernelNetwork(StyleKernelConfig(**config))
    torch.nn.init.normal_(network.predictor.layers[-1].weight, std=0.02)
    return _saved("style-kernel", network, config, style_size=48)


BUILDERS = {
    "appearance": _random_appearance,
    "contextual-adain": _random_adain,
    "micro": _random_micro,
    "rast": _random_rast,
    "style-kernel": _random_kernels,
    "stylizing-vit-tiny": lambda: _small_vit("stylizing-vit-tiny", "fit"),
    "stylizing-vit-small": lambda: _small_vit("stylizing-vit-small", "224"),
    "stylizing-vit-base": lambda: _small_vit("stylizing-vit-base", "tile"),
}
"""Stylizers that the suite builds in another way than by ``create_stylizer(name)``."""


IN_REGIONS = tuple(f"{name}, tissue" for name in ("colorist", "reinhard", "mkl", "histogram"))
"""Stylizers of a region, as names for `build`."""


WITH_DETAIL = tuple(
    f"{name}, detail" for name in ("contextual-adain", "rast", "style-kernel", "stylizing-vit-tiny")
)
"""Stylizers that put lost detail back, as weights that ship do, as names for `build`."""


def build(name):
    """Return a stylizer of the table, with random weights where a test run cannot have its own."""
    torch.manual_seed(0)
    name, _, how = name.partition(", ")
    if name not in BUILDERS:
        return create_stylizer(name, region=how or None)
    stylizer = BUILDERS[name]()
    if how == "detail":
        stylizer.detail = True
    return stylizer
