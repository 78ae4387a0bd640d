"""The network of AdaIN: a frozen encoder, exchange of statistics, and a decoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from styleaug._checks import check_choice, check_positive
from styleaug._records import check_fields
from styleaug.features.encoders import build_encoder
from styleaug.functional import adain

_DECODER: tuple[int | str, ...] = (256, "up", 256, 256, 256, 128, "up", 128, 64, "up", 64, 3)
_LAYERS = {
    "vgg19-normalised": {"relu3_1": (256, 4), "relu4_1": (512, 8)},
    "vgg19": {"relu3_1": (256, 4), "relu4_1": (512, 8)},
    "resnet50": {"layer1": (256, 4), "layer2": (512, 8)},
    "resnet101": {"layer1": (256, 4), "layer2": (512, 8)},
    "densenet121": {"denseblock1": (256, 4), "denseblock2": (512, 8)},
    "densenet169": {"denseblock1": (256, 4), "denseblock2": (512, 8)},
    "densenet201": {"denseblock1": (256, 4), "denseblock2": (512, 8)},
}
BACKBONES = tuple(_LAYERS)


@dataclass(frozen=True)
class AdaINConfig:
    """Configuration: which features are exchanged.

    Attributes:
        backbone: "vgg19-normalised" (the one of AdaIN, without ImageNet's normalisation), or a
            backbone of torchvision: "vgg19", "resnet50", "resnet101", "densenet121", "densenet169"
            or "densenet201".
        layer: Its last map, at a quarter or an eighth of the image's size.
        feature_scale: Divisor of the features, which should be of the order of 1: with much larger
            ones a newly trained decoder learns slowly.

    Raises:
        ValueError: If there is no decoder for these features.
    """

    backbone: str = "vgg19-normalised"
    layer: str = "relu4_1"
    feature_scale: float = 1.0

    def __post_init__(self) -> None:
        check_positive("feature_scale", self.feature_scale)
        check_fields(self)
        check_choice("backbone", self.backbone, _LAYERS)
        check_choice("layer", self.layer, _LAYERS[self.backbone])

    @property
    def shape(self) -> tuple[int, int]:
        """Channels of the features, and their stride: image pixels per feature along a side."""
        return _LAYERS[self.backbone][self.layer]


class AdaINNetwork(nn.Module):
    """Encoder and decoder; the encoder has random weights until some are loaded.

    Args:
        config: The features that are exchanged.

    Source:
        Huang & Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance
        Normalization", ICCV 2017. Features at a quarter of the image size are decoded by the last
        part of its decoder.

    Example:
        >>> import torch
        >>> network = AdaINNetwork(AdaINConfig())
        >>> network.decoder(network.encode(torch.rand(1, 3, 64, 48))).shape
        torch.Size([1, 3, 64, 48])
    """

    def __init__(self, config: AdaINConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.backbone, [config.layer])
        self.decoder = build_decoder(*config.shape)

    def encode(self, image: Tensor) -> Tensor:
        """Return features ``(B, C, h, w)`` of images ``(B, 3, H, W)`` in [0, 1], scaled."""
        features: Tensor = self.encoder(image)[0] / self.config.feature_scale
        return features

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Return contents in the style of others, not clamped."""
        features = self.encode(content)
        painted: Tensor = self.decoder(adain(features, self.encode(style)))
        return painted


def build_decoder(channels: int, stride: int) -> nn.Sequential:
    """Return the decoder of AdaIN with the keys of its published file, or its last part.

    Args:
        channels: Channels of the features: 512 at stride 8, 256 at stride 4.
        stride: Pixels per feature.
    """
    plan = _DECODER if stride == 8 else _DECODER[5:]
    layers: list[nn.Module] = []
    inputs = channels
    for place, item in enumerate(plan, start=1):
        if item == "up":
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
            continue
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(inputs, int(item), 3)]
        inputs = int(item)
        if place < len(plan):
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)
