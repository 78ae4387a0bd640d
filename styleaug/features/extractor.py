"""Frozen feature maps of common backbones, with the layer names that papers use."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from styleaug._checks import check_choice
from styleaug.weights import read_state_dict

try:
    from torchvision import models
except (ImportError, RuntimeError) as error:
    raise ImportError(
        f"styleaug.features needs torchvision, its import failed with {error}. Install both from "
        "one index: pip install torch torchvision."
    ) from error

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_VGG_STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_RESNETS = ("resnet50", "resnet101")
_DENSENETS = ("densenet121", "densenet169", "densenet201")
_EFFICIENTNETS = ("efficientnet_b0",)
_ALEXNET = {"relu1": 1, "pool1": 2, "relu2": 4, "pool2": 5, "relu3": 7, "relu4": 9, "relu5": 11}
BACKBONES = (*_VGG_STAGES, "alexnet", *_RESNETS, *_DENSENETS, *_EFFICIENTNETS)


class FeatureExtractor(nn.Module):
    """Feature maps of a frozen backbone of torchvision.

    Args:
        backbone: One of `BACKBONES`.
        layers: Names of the maps, in the order they come back. VGG: ``relu1_1`` ... ``relu5_4``
            and ``pool1`` ... ``pool5``. ResNet: ``layer1`` ... ``layer4``. DenseNet:
            ``denseblock1`` ... ``denseblock4``. EfficientNet: ``features0`` ... ``features8``.
            AlexNet: ``relu1`` ... ``relu5``.
        weights: "default" (torchvision's ImageNet weights, downloaded once), a file with
            torchvision's names, or None for random weights. A file may end after the deepest
            requested layer.
        normalize: Whether to normalise images in [0, 1] by ImageNet's mean and standard deviation.
        scale: Divisors of the maps, one per layer, for losses whose weights assume maps of about
            unit size.

    Raises:
        ImportError: On import of this module, if torchvision is missing or cannot be imported.
        ValueError: If a name is unknown or the weights do not fit.

    Example:
        >>> maps = FeatureExtractor("vgg19", ["relu1_1", "relu2_1"], weights=None)
        >>> [tuple(m.shape) for m in maps(torch.rand(1, 3, 32, 32))]
        [(1, 64, 32, 32), (1, 128, 16, 16)]
    """

    def __init__(
        self,
        backbone: str,
        layers: Sequence[str],
        *,
        weights: str | Path | None = "default",
        normalize: bool = True,
        scale: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        check_choice("backbone", backbone, BACKBONES)
        known = _layer_ends(backbone)
        for layer in layers:
            check_choice("layers", layer, known)
        self.layers = tuple(layers)
        ends = {layer: known[layer] for layer in layers}
        body, names = _body(backbone, _network(backbone, weights))
        self.body = body[: max(ends.values()) + 1]
        if weights is None:
            _randomise(self.body.to_empty(device="cpu"))
        elif weights != "default":
            _load(self.body.to_empty(device="cpu"), names, str(weights))
        self._positions = ends
        self.normalize = normalize
        constants = torch.tensor([IMAGENET_MEAN, IMAGENET_STD]).view(2, 3, 1, 1)
        self._imagenet: Tensor
        self.register_buffer("_imagenet", constants, persistent=False)
        self.scale = tuple(scale) if scale is not None else (1.0,) * len(self.layers)
        if len(self.scale) != len(self.layers):
            raise ValueError(f"scale must hold {len(self.layers)} numbers, got {len(self.scale)}.")
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FeatureExtractor:
        """Stay in eval mode, whatever a parent module asks for."""
        return super().train(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps of images ``(B, 3, H, W)`` in [0, 1], in the order of ``layers``."""
        mean, std = self._imagenet.to(image)
        x = (image - mean) / std if self.normalize else image
        wanted, found = set(self._positions.values()), {}
        for index, module in enumerate(self.body):
            x = module(x)
            if index in wanted:
                found[index] = x
        pairs = zip(self.layers, self.scale, strict=True)
        return [found[self._positions[layer]] / scale for layer, scale in pairs]


def _layer_ends(backbone: str) -> dict[str, int]:
    """Return the position in the body after which each named map is there."""
    if backbone in _RESNETS:
        return {f"layer{n}": 3 + n for n in range(1, 5)}
    if backbone in _DENSENETS:
        return {f"denseblock{n}": 2 + 2 * n for n in range(1, 5)}
    if backbone == "alexnet":
        return dict(_ALEXNET)
    if backbone in _EFFICIENTNETS:
        return {f"features{n}": n for n in range(9)}
    ends, index = {}, 0
    for stage, convolutions in enumerate(_VGG_STAGES[backbone], start=1):
        for number in range(1, convolutions + 1):
            ends[f"relu{stage}_{number}"] = index + 1
            index += 2
        ends[f"pool{stage}"] = index
        index += 1
    return ends


def _body(backbone: str, network: nn.Module) -> tuple[nn.Sequential, list[str]]:
    """Return the convolutional part as a flat sequence, and torchvision's name of each module."""
    prefix = "" if backbone in _RESNETS else "features."
    parts = network if backbone in _RESNETS else network.get_submodule("features")
    children = list(parts.named_children())
    if backbone in _RESNETS:
        children = children[:-2]  # not the pooling and the classifier
    for module in parts.modules():
        if isinstance(module, nn.ReLU | nn.SiLU):
            module.inplace = False
    return nn.Sequential(*(child for _, child in children)), [prefix + n for n, _ in children]


def _network(backbone: str, weights: str | Path | None) -> nn.Module:
    """Return the network of torchvision; without memory unless its weights are torchvision's."""
    build = getattr(models, backbone)
    with nullcontext() if weights == "default" else torch.device("meta"):
        network: nn.Module = build(weights="DEFAULT" if weights == "default" else None)
    return network


def _randomise(body: nn.Sequential) -> None:
    """Draw weights as He et al. do, which keep the size of maps from layer to layer."""
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.modules.batchnorm._NormBase):
            module.reset_running_stats()
            module.reset_parameters()


def _load(body: nn.Sequential, modules: Sequence[str], path: str) -> None:
    """Load the part of a torchvision checkpoint that the body needs; the rest may be missing."""
    state, own = read_state_dict(path), body.state_dict()
    split = {key: key.partition(".") for key in own}
    names = {key: f"{modules[int(index)]}.{rest}" for key, (index, _, rest) in split.items()}
    missing = [name for name in names.values() if name not in state]
    wrong = [
        f"{name} {tuple(state[name].shape)}"
        for key, name in names.items()
        if name in state and state[name].shape != own[key].shape
    ]
    if missing or wrong:
        raise ValueError(
            f"weights must be those of torchvision's backbone, {path!r} lacks {missing[:3]} and "
            f"has other shapes for {wrong[:3]}."
        )
    body.load_state_dict({key: state[name] for key, name in names.items()}, strict=True)
