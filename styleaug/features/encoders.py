"""The frozen encoders of the networks: AdaIN's own VGG-19, and backbones of torchvision."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from styleaug._checks import check_choice
from styleaug.weights import load_strictly, read_state_dict

_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))

OWN_VGG = "vgg19-normalised"
"""The encoder of AdaIN, SANet and RAST, which takes images in [0, 1] as they are."""


class VGGNormalised(nn.Sequential):
    """The VGG-19 of AdaIN, with the keys of its published file, up to the deepest requested map.

    A 1 x 1 convolution maps colours to what the filters expect; every other convolution reflects
    at the borders, and pooling rounds up.

    Args:
        layers: Names of the maps, ``relu1_1`` ... ``relu5_4`` and ``pool1`` ... ``pool4``, in the
            order in which they are returned.

    Raises:
        ValueError: If a name is unknown.

    Source:
        The file ``vgg_normalised.pth`` of Huang & Belongie, ICCV 2017, in its PyTorch form.

    Example:
        >>> import torch
        >>> maps = VGGNormalised(["relu3_1", "pool3"])(torch.rand(1, 3, 64, 64))
        >>> [tuple(m.shape) for m in maps]
        [(1, 256, 16, 16), (1, 256, 8, 8)]
    """

    def __init__(self, layers: Sequence[str]) -> None:
        modules, ends = _own_vgg()
        for layer in layers:
            check_choice("layers", layer, ends)
        super().__init__(*modules[: max(ends[layer] for layer in layers) + 1])
        self.positions = [ends[layer] for layer in layers]

    def train(self, mode: bool = True) -> VGGNormalised:
        """Stay in eval mode, whatever a parent module asks for, as `FeatureExtractor` does."""
        return super().train(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps of images ``(B, 3, H, W)`` in [0, 1]."""
        found, x = {}, image
        for index, module in enumerate(self):
            x = module(x)
            if index in self.positions:
                found[index] = x
        return [found[index] for index in self.positions]


def load_own_vgg(encoder: nn.Module, file: str | Path) -> None:
    """Load a `VGGNormalised` from ``vgg_normalised.pth``; deeper layers of the file are ignored."""
    state = read_state_dict(file)
    own = {key: state[key] for key in encoder.state_dict() if key in state}
    load_strictly(encoder, own, origin=str(file))


def build_encoder(backbone: str, layers: Sequence[str]) -> nn.Module:
    """Return a frozen encoder with random weights, which maps images to a list of maps.

    Its convolutions reflect at the borders, those of torchvision's backbones, too: where they pad
    with zeros, a decoder paints a frame.

    Args:
        backbone: "vgg19-normalised" or a backbone of `styleaug.features.FeatureExtractor`.
        layers: Names of the maps.
    """
    if backbone == OWN_VGG:
        encoder: nn.Module = VGGNormalised(layers)
    else:
        features = importlib.import_module("styleaug.features")  # it needs torchvision
        encoder = features.FeatureExtractor(backbone, layers, weights=None)
        for module in encoder.modules():
            if isinstance(module, nn.Conv2d) and module.padding != (0, 0):
                module.padding_mode = "reflect"
    return encoder.requires_grad_(False).eval()


def _own_vgg() -> tuple[list[nn.Module], dict[str, int]]:
    """Return all 53 modules and the positions of the named maps."""
    modules: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    ends, inputs = {}, 3
    for stage, (channels, count) in enumerate(_STAGES, start=1):
        for number in range(1, count + 1):
            modules += [nn.ReflectionPad2d(1), nn.Conv2d(inputs, channels, 3), nn.ReLU()]
            ends[f"relu{stage}_{number}"], inputs = len(modules) - 1, channels
        if stage < len(_STAGES):
            modules.append(nn.MaxPool2d(2, ceil_mode=True))
            ends[f"pool{stage}"] = len(modules) - 1
    return modules, ends
