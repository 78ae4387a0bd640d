"""The network of RAST: two style-attentional modules between a frozen encoder and a decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_choice, check_positive
from styleaug._records import check_fields
from styleaug.features.encoders import build_encoder
from styleaug.functional import adain_to, feature_moments
from styleaug.stylizers.adain_network import build_decoder

_VGG = {"relu4_1": ("relu5_1", (512, 512), 8), "relu3_1": ("pool3", (256, 256), 4)}
_LEVELS = {
    "vgg19-normalised": _VGG,
    "vgg19": _VGG,
    "efficientnet_b0": {"features3": ("features5", (40, 112), 8)},
}


@dataclass(frozen=True)
class RASTConfig:
    """Configuration: which features are exchanged.

    Attributes:
        backbone: "vgg19-normalised" (the published one), torchvision's "vgg19", or
            "efficientnet_b0", the simplified encoder.
        layer: The finer map: "relu4_1" (with relu5_1), "relu3_1" (with pool3) or, for
            EfficientNet, "features3" (with features5).
        feature_scale: Divisor of both maps, which should be of the order of 1; otherwise the first
            steps of training destroy the initial decoder.
        coarse_scale: Further divisor of the coarser map, where its values are larger than those of
            the finer one, to which it is added.

    Raises:
        ValueError: If there are no such maps.

    Example:
        >>> RASTConfig("vgg19", "relu3_1").layers
        ('relu3_1', 'pool3')
    """

    backbone: str = "vgg19-normalised"
    layer: str = "relu4_1"
    feature_scale: float = 1.0
    coarse_scale: float = 1.0

    def __post_init__(self) -> None:
        check_positive("feature_scale", self.feature_scale)
        check_positive("coarse_scale", self.coarse_scale)
        check_fields(self)
        check_choice("backbone", self.backbone, _LEVELS)
        check_choice("layer", self.layer, _LEVELS[self.backbone])

    @property
    def layers(self) -> tuple[str, str]:
        """Names of the finer and of the coarser map, which is half its size."""
        return self.layer, _LEVELS[self.backbone][self.layer][0]

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of both maps."""
        return _LEVELS[self.backbone][self.layer][1]

    @property
    def stride(self) -> int:
        """Image pixels per position of the finer map along a side."""
        return _LEVELS[self.backbone][self.layer][2]

    @property
    def width(self) -> int:
        """Channels of both maps in the transform."""
        return 256 if self.backbone == "efficientnet_b0" else self.channels[0]


_SHARPNESS = 32.0
"""Factor of the cosines of normalised features in the softmax, before anything is learned."""


class SANet(nn.Module):
    """A style-attentional module: every position of the content attends to similar style positions.

    ``out(h(s) softmax(f(c)' g(s))') + c`` with f and g on instance-normalised features. The style's
    linear maps are moved to the other side of the softmax, with the same result: g becomes part of
    the query (its bias is the same for all keys and cancels), and h is applied to the average of
    style features. So the normalised features serve as keys and values, and a bank stores them
    once.

    It is initialised to add, at every position, the style's features where they are most alike,
    so that an image in its own style is repeated from the beginning.

    Args:
        width: Channels.

    Source:
        Park & Lee, "Arbitrary Style Transfer with Style-Attentional Networks", CVPR 2019, Eq. 2-3;
        no scaling by the root of the width. The initialisation is ours.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        convs = (repeat_input(nn.Conv2d(width, width, 1)) for _ in range(4))
        self.f, self.g, self.h, self.out_conv = convs
        self.f.weight.data.mul_(_SHARPNESS / width)

    def forward(self, content: Tensor, style: Mapping[str, Tensor]) -> Tensor:
        """Return features ``(B, C, H, W)``.

        Args:
            content: ``(B, C, H, W)``.
            style: What `style_maps` returned: "keys" ``(B, C, h, w)``, "mean" and "std".
        """
        query = F.conv2d(self.f(normalised(content)), self.g.weight.transpose(0, 1))
        gathered = mean_of_keys(query, style["keys"]) * style["std"] + style["mean"]
        found: Tensor = self.out_conv(self.h(gathered.to(content.dtype))) + content
        return found


class Transform(nn.Module):
    """Both modules, and the convolution that merges them; parameters as published.

    It is initialised to the mean of what both modules add and of the content's maps.

    Args:
        width: Channels of both maps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sanet4_1, self.sanet5_1 = SANet(width), SANet(width)
        self.merge_conv = repeat_input(nn.Conv2d(width, width, 3))
        self.merge_conv.weight.data.mul_(0.25)

    def forward(self, content: Sequence[Tensor], style: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """Return features of the size of the finer map."""
        fine = self.sanet4_1(content[0], style[0])
        coarse = self.sanet5_1(content[1], style[1])
        merged = fine + F.interpolate(coarse, fine.shape[2:], mode="nearest")
        found: Tensor = self.merge_conv(F.pad(merged, (1, 1, 1, 1), mode="reflect"))
        return found


class RASTNetwork(nn.Module):
    """A transfer block: frozen encoder, transform, decoder; random weights until some are loaded.

    Args:
        config: Which features.

    Source:
        Ma, Zhao, Li & Basu, "RAST: Restorable Arbitrary Style Transfer via Multi-Restoration",
        WACV 2023. The coarser map is resized to the finer one, as in its main variant. The
        simplified encoder of Karatyshchev & Kitov has maps of unequal width; a 1 x 1 convolution
        each brings them to one.

    Example:
        >>> network = RASTNetwork(RASTConfig("vgg19-normalised", "relu3_1"))
        >>> network(torch.rand(1, 3, 32, 48), torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 3, 32, 48])
    """

    def __init__(self, config: RASTConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.backbone, config.layers)
        same = config.channels == (config.width, config.width)
        self.project = nn.ModuleList(
            nn.Identity() if same else nn.Conv2d(channels, config.width, 1)
            for channels in config.channels
        )
        self.transform = Transform(config.width)
        self.decoder = build_decoder(config.width, config.stride)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Return both maps of images ``(B, 3, H, W)`` in [0, 1], divided by their scales."""
        scales = self.config.feature_scale, self.config.feature_scale * self.config.coarse_scale
        triples = zip(self.project, self.encoder(image), scales, strict=True)
        return [project(features / scale) for project, features, scale in triples]

    def transfer(self, content: Sequence[Tensor], style: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """Return images, not clamped, from maps of contents and `style_maps` of styles."""
        painted: Tensor = self.decoder(self.transform(content, style))
        return painted

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Return contents in the style of others, not clamped."""
        styles = [style_maps(features) for features in self.encode(style)]
        return self.transfer(self.encode(content), styles)


def style_maps(features: Tensor) -> dict[str, Tensor]:
    """Return the parts of a style's features that attention needs: normalised maps and moments."""
    mean, std = feature_moments(features)
    return {"keys": normalised(features), "mean": mean, "std": std}


def normalised(features: Tensor) -> Tensor:
    """Return features with mean 0 and standard deviation 1 per channel."""
    mean, std = feature_moments(features)
    return adain_to(features, torch.zeros_like(mean), torch.ones_like(std))


def repeat_input(conv: nn.Conv2d) -> nn.Conv2d:
    """Initialise a convolution to repeat its input, and return it."""
    nn.init.dirac_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def mean_of_keys(query: Tensor, keys: Tensor) -> Tensor:
    """Return for every query the mean of the keys, weighted by the softmax of their products.

    Always in float32, also under autocast, because the products are large and not scaled. The
    matrix of products is never held in memory as a whole.

    Args:
        query: ``(B, C, H, W)``.
        keys: ``(B, C, h, w)``.

    Returns:
        ``(B, C, H, W)`` in float32.
    """
    # of strided points PyTorch would take a kernel that holds the matrix
    rows, columns = (
        x.float().flatten(2).transpose(1, 2).contiguous().unsqueeze(1) for x in (query, keys)
    )
    with torch.autocast(query.device.type, enabled=False):
        found = F.scaled_dot_product_attention(rows, columns, columns, scale=1.0)
    return found.squeeze(1).transpose(1, 2).reshape(query.shape)
