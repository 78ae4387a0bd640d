"""The network of StyleKernel: kernels for every position from aligned style features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug._checks import check_choice, check_positive
from styleaug._records import check_fields
from styleaug.features.encoders import build_encoder
from styleaug.stylizers.rast_network import normalised, repeat_input
from styleaug.stylizers.style_kernel_attention import GATES, Gate, align

_LAYERS = {
    "vgg16": {"relu4_1": (512, 8), "relu3_1": (256, 4)},
    "vgg19": {"relu4_1": (512, 8), "relu3_1": (256, 4)},
}
Kernels: TypeAlias = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class StyleKernelConfig:
    """Configuration: the shape of the network, and how its paper is interpreted.

    Attributes:
        backbone: "vgg16" (the paper's) or "vgg19" of torchvision.
        layer: Its last map, "relu4_1" (the paper's) or "relu3_1".
        heads: Heads of the attention.
        kernel: Side of the predicted kernels, odd; 0 for none: the decoder then gets the sum of the
            normalised content features and the aligned style features.
        groups: Channel groups that are shuffled in training.
        temperature: Factor of the cosine similarities before the softmax.
        gate: How keys are left out: "ste", "relu" or "dagl"; "none" keeps all.
        renormalise: Whether the remaining attention is normalised to sum to 1.
        shuffle_at_test: Whether groups are also shuffled outside of training, in one fixed order.
        feature_scale: Divisor of the features, which should be of the order of 1: with much larger
            ones the first steps of training disable the layers that predict kernels.

    Raises:
        ValueError: If a setting is out of range.

    Example:
        >>> StyleKernelConfig("vgg19", "relu3_1").channels
        256
    """

    backbone: str = "vgg16"
    layer: str = "relu4_1"
    heads: int = 8
    kernel: int = 3
    groups: int = 8
    temperature: float = 100.0
    gate: Gate = "ste"
    renormalise: bool = False
    shuffle_at_test: bool = False
    feature_scale: float = 1.0

    def __post_init__(self) -> None:
        check_positive("feature_scale", self.feature_scale)
        check_fields(self)
        check_choice("backbone", self.backbone, _LAYERS)
        check_choice("layer", self.layer, _LAYERS[self.backbone])
        check_choice("gate", self.gate, GATES)
        if self.kernel != 0 and (self.kernel < 0 or self.kernel % 2 == 0):
            raise ValueError(f"kernel must be odd, or 0 for none, got {self.kernel}.")
        for name in ("heads", "groups"):
            count = getattr(self, name)
            if count < 1 or self.channels % count:
                raise ValueError(f"{name} must divide {self.channels} channels, got {count}.")

    @property
    def channels(self) -> int:
        """Channels of the features."""
        return _LAYERS[self.backbone][self.layer][0]

    @property
    def stride(self) -> int:
        """Image pixels per feature along a side."""
        return _LAYERS[self.backbone][self.layer][1]


class StyleAlignment(nn.Module):
    """Style alignment encoding with content-based gating.

    Args:
        config: The shape.

    Source:
        Xu, Long & Nie, CVPR 2023, Eq. 1-5. Queries and keys come from instance-normalised features.
        It is initialised to bring the style's features to where they are most alike, which is ours.
    """

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        width = config.channels
        self.config = config
        self.query, self.key, self.value = (repeat_input(_conv(width, width)) for _ in range(3))
        self.gating = nn.Sequential(
            _conv(width, width // 4),
            nn.ReLU(),
            _conv(width // 4, width // 8),
            nn.ReLU(),
            _conv(width // 8, 2 * config.heads),
        )
        _open(self.gating[-1], config.heads)

    def style_maps(self, features: Tensor) -> dict[str, Tensor]:
        """Return keys and values ``(B, C, h, w)`` of style features."""
        keys = self.key(normalised(features)).float().unflatten(1, (self.config.heads, -1))
        return {
            "keys": F.normalize(keys, dim=2).flatten(1, 2),
            "values": self.value(features).float(),
        }

    def forward(self, features: Tensor, style: Mapping[str, Tensor]) -> Tensor:
        """Return style features ``(B, C, H, W)``, aligned with the content's positions."""
        config = self.config
        scale, offset = self.gating(features).float().chunk(2, dim=1)
        return align(
            self.query(normalised(features)).float(),
            style["keys"],
            style["values"],
            (scale, offset),
            heads=config.heads,
            temperature=config.temperature,
            gate=config.gate,
            renormalise=config.renormalise,
        )


class KernelPredictor(nn.Module):
    """Style kernel generation: two kernels and a bias for every position and channel.

    The initial kernels change nothing, and the initial bias is what is positive of the aligned
    style.

    Args:
        width: Channels of the features.
        kernel: Side of the kernels.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.layers = nn.Sequential(
            repeat_input(_conv(width, width)), nn.ReLU(), _conv(width, width * (2 * kernel + 1))
        )
        last: Any = self.layers[-1]
        nn.init.zeros_(last.weight)
        nn.init.dirac_(last.weight.data[-width:])
        bias = torch.zeros(2 * kernel + 1, width)
        bias[kernel // 2], bias[kernel + kernel // 2] = 1.0, 1.0
        last.bias.data.copy_(bias.flatten())

    def forward(self, aligned: Tensor) -> Kernels:
        """Return columns and rows of kernels ``(B, k, C, H, W)``, and biases ``(B, C, H, W)``."""
        found = self.layers(aligned).unflatten(1, (2 * self.kernel + 1, -1))
        return found[:, : self.kernel], found[:, self.kernel : -1], found[:, -1]


class StyleKernelNetwork(nn.Module):
    """Encoder, alignment, kernels, dynamic convolution and decoder; random weights at first.

    Args:
        config: The shape.

    Source:
        Xu, Long & Nie, "Learning Dynamic Style Kernels for Artistic Style Transfer", CVPR 2023.

    Example:
        >>> network = StyleKernelNetwork(StyleKernelConfig("vgg19", "relu3_1"))
        >>> network(torch.rand(1, 3, 32, 48), torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 3, 32, 48])
    """

    def __init__(self, config: StyleKernelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.backbone, [config.layer])
        self.alignment = StyleAlignment(config)
        if config.kernel:
            self.predictor = KernelPredictor(config.channels, config.kernel)
        self.decoder = _decoder(config.channels)

    def encode(self, image: Tensor) -> Tensor:
        """Return the features of images ``(B, 3, H, W)`` in [0, 1], divided by their scale."""
        features: Tensor = self.encoder(image)[0] / self.config.feature_scale
        return features

    def repaint(self, features: Tensor, aligned: Tensor) -> Tensor:
        """Return images in [0, 1] from content features and aligned style features."""
        aligned = aligned.to(features.dtype)
        content = normalised(features)
        if self.training:
            content = shuffle_groups(content, self.config.groups)
        elif self.config.shuffle_at_test:
            always_the_same = torch.Generator().manual_seed(0)
            content = shuffle_groups(content, self.config.groups, always_the_same)
        if self.config.kernel:
            mixed = dynamic_convolution(content, *self.predictor(aligned))
        else:
            mixed = content + aligned
        painted: Tensor = self.decoder(mixed)
        return 0.5 * (painted + 1.0)

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Return contents in the style of others, in [0, 1]."""
        features = self.encode(content)
        maps = self.alignment.style_maps(self.encode(style))
        return self.repaint(features, self.alignment(features, maps))


class ResidualBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, and a 1 x 1 convolution around them.

    Args:
        inputs: Input channels.
        outputs: Output channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(), _conv(inputs, outputs), nn.ReLU(), _conv(outputs, outputs)
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same size."""
        found: Tensor = self.body(features) + self.shortcut(features)
        return found


def dynamic_convolution(
    content: Tensor, vertical: Tensor, horizontal: Tensor, bias: Tensor
) -> Tensor:
    """Convolve every position and channel with its own kernel: a column, then a row.

    Sums shifted views, so that neighbourhoods are never copied.

    Args:
        content: ``(B, C, H, W)``.
        vertical: ``(B, k, C, H, W)``, k odd, applied first.
        horizontal: ``(B, k, C, H, W)``.
        bias: ``(B, C, H, W)``.

    Returns:
        ``(B, C, H, W)``; borders are reflected.

    Source:
        Xu, Long & Nie, CVPR 2023, Eq. 6, read as sequential, which its cost of k + k + 1 implies.

    Example:
        >>> content = torch.rand(1, 2, 5, 5)
        >>> centre = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1, 1).expand(1, 3, 2, 5, 5)
        >>> torch.equal(dynamic_convolution(content, centre, centre, 0 * content), content)
        True
    """
    height, width = content.shape[2:]
    reach = vertical.shape[1] // 2
    padded = F.pad(content, (0, 0, reach, reach), mode="reflect") if reach else content
    column = padded[:, :, :height] * vertical[:, 0]
    for place in range(1, vertical.shape[1]):
        column = torch.addcmul(column, padded[:, :, place : place + height], vertical[:, place])
    padded = F.pad(column, (reach, reach, 0, 0), mode="reflect") if reach else column
    found = bias
    for place in range(horizontal.shape[1]):
        found = torch.addcmul(found, padded[..., place : place + width], horizontal[:, place])
    return found


def shuffle_groups(
    features: Tensor, groups: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return features with their groups of channels in a random order, the same for the batch.

    Args:
        features: ``(B, C, H, W)``.
        groups: Number of groups; must divide C.
        generator: Source of randomness on the CPU; None takes torch's global one.

    Source:
        Xu, Long & Nie, CVPR 2023, grouped shuffling. The layers around a fixed order would
        undo it; therefore training draws a new one at every step.

    Example:
        >>> shuffle_groups(torch.arange(4.0).view(1, 4, 1, 1), 1).flatten().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """
    order = torch.randperm(groups, generator=generator).to(features.device)
    shuffled: Tensor = features.unflatten(1, (groups, -1))[:, order].flatten(1, 2)
    return shuffled


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


def _open(last: Any, heads: int) -> None:
    """Initialise the gate to keep nearly all relevant keys: a tenth of a uniform share."""
    nn.init.normal_(last.weight, std=1e-3)
    last.bias.data.zero_()
    last.bias.data[:heads] = 0.1


def _decoder(channels: int) -> nn.Sequential:
    """Return residual blocks, each followed by upsampling, down to 64 channels."""
    modules: list[nn.Module] = []
    while channels > 64:
        modules += [ResidualBlock(channels, channels // 2), nn.Upsample(scale_factor=2)]
        channels //= 2
    return nn.Sequential(*modules, nn.ReLU(), _conv(64, 3), nn.Tanh())
