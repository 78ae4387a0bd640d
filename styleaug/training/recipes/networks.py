"""Frozen networks of the recipes: encoders with their weights, and loss networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from styleaug.features import FeatureExtractor
from styleaug.features.encoders import OWN_VGG, VGGNormalised, load_own_vgg

_STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_1", "relu3_4")
_STYLE_SCALES = (105.0, 106.0, 131.0, 478.0)
"""Mean activations of the VGG-19 with Caffe's scale on a photograph: divisors to unit size."""


def style_features(weights: str) -> FeatureExtractor:
    """Return the extractor of four VGG-19 maps, of unit size, for comparing styles.

    Args:
        weights: A file of VGG-19; empty downloads torchvision's.
    """
    features = FeatureExtractor(
        "vgg19", _STYLE_LAYERS, weights=weights or "default", scale=_STYLE_SCALES
    )
    return features.to(memory_format=torch.channels_last)


def load_encoder(encoder: nn.Module, backbone: str, layers: Sequence[str], weights: str) -> None:
    """Load a frozen encoder.

    Args:
        encoder: The result of `styleaug.features.encoders.build_encoder`.
        backbone: Name of its backbone.
        layers: Names of its maps.
        weights: A file; empty downloads torchvision's.

    Raises:
        ValueError: If no file is given for AdaIN's encoder, which cannot be downloaded.
    """
    if backbone != OWN_VGG:
        loaded = FeatureExtractor(backbone, layers, weights=weights or "default")
        encoder.load_state_dict(loaded.state_dict())
        return
    if not weights:
        raise ValueError("features must be the file vgg_normalised.pth for this backbone, got ''.")
    load_own_vgg(encoder, weights)


class Perception:
    """Named maps of a frozen loss network; not a module, so that it is never trained or saved.

    Args:
        backbone: "vgg19-normalised", or a VGG of torchvision.
        layers: Names of the maps.
        weights: A file; empty downloads torchvision's.
        scales: Divisors of the maps by layer; 1 for layers left out.
    """

    def __init__(
        self, backbone: str, layers: Sequence[str], weights: str, scales: Mapping[str, float]
    ) -> None:
        self.layers = tuple(dict.fromkeys(layers))
        if backbone == OWN_VGG:
            network: nn.Module = VGGNormalised(self.layers)
            load_encoder(network, backbone, self.layers, weights)
        else:
            network = FeatureExtractor(backbone, self.layers, weights=weights or "default")
        self._network = network.requires_grad_(False).eval()
        self._scales = [float(scales.get(layer, 1.0)) for layer in self.layers]

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return maps by name, in float32."""
        self._network.to(images.device)
        maps = zip(self.layers, self._network(images), self._scales, strict=True)
        return {layer: features.float() / scale for layer, features, scale in maps}

    def split(self, images: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Return the maps of several batches of one size, computed together."""
        maps = self(torch.cat(list(images.values())))
        sizes = [len(batch) for batch in images.values()]
        parts = {layer: features.split(sizes) for layer, features in maps.items()}
        return {
            name: {layer: chunks[index] for layer, chunks in parts.items()}
            for index, name in enumerate(images)
        }
