"""micro: a compact learned stylizer, trained by ``styleaug train micro``."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from styleaug.stylizers.base import Maps, Precision, Stylizer
from styleaug.stylizers.grey import is_grey, without_hue
from styleaug.stylizers.micro_network import MicroNetwork
from styleaug.weights import Weights, load_published

PACKAGED = (
    Weights(
        "medical",
        "micro.safetensors",
        "CC BY 4.0",
        "stained nuclei, blood smears, skin, chest X-rays, CT, photographs",
        sha256="0bfa958c6f11e6653e09f57bc151f910e0a1a01b0435939825eb2eec41ef54c3",
        size=1836848,
    ),
)
"""The weights that ship with the package; their card lies beside them in ``data``."""


class Micro(Stylizer):
    """Transfers colours, and contrast at every scale, with a small network.

    As in AdaIN the network sees only statistics of the style, so a bank holds 210 numbers per style
    and no image. Statistics are taken over the whole image: 4096 x 4096 pixels are processed at
    once, without tiles and seams. ``alpha`` blends the images. If the statistics of content and
    style are nearly equal, ``alpha=1`` goes only part of the way, because all of it would
    overshoot. A grey image in a grey style stays exactly grey.

    Args:
        weights: "medical", which ships with the package, or a file written by
            ``styleaug train micro``.
        precision: "auto", "fp32", "bf16" or "fp16".
        max_batch: Largest number of images processed at once.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the weights do not fit.

    Source:
        Related to AdaIN (Huang & Belongie, ICCV 2017). Scaling the bands of the content to the
        strength of those of a model: Bae, Paris & Durand, SIGGRAPH 2006. The per-pixel affine
        colour transform: bilateral learning, Gharbi et al., SIGGRAPH 2017.

    Example:
        >>> import torch
        >>> stylizer = Micro()
        >>> code = stylizer.encode_style(torch.rand(1, 3, 64, 64))
        >>> stylizer.stylize(torch.rand(2, 3, 50, 70), code).shape
        torch.Size([2, 3, 50, 70])
    """

    name = "micro"
    multiple = 16

    def __init__(
        self,
        *,
        weights: str | Path = "medical",
        precision: Precision = "auto",
        max_batch: int | None = None,
    ) -> None:
        super().__init__(precision=precision, max_batch=max_batch)
        self.network = MicroNetwork()
        self.weights_id = load_published(self.network, weights, PACKAGED)

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        height, width = (side - side % self.multiple for side in style.shape[2:])
        return self.network.encode_style(style[..., :height, :width])

    def _chunk_size(self, images: Tensor) -> int | None:
        if images.device.type != "cpu":
            return None
        return max(1, _PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        stylized = self.network(content, **maps).float()
        grey = is_grey(maps["mean"]) & is_grey(maps["std"])
        stylized = without_hue(stylized, grey & is_grey(content))
        return content.lerp(stylized, alpha.view(-1, 1, 1, 1))


_PIXELS_AT_ONCE = 2**17
"""Pixels processed at once on a CPU: the maps of more do not fit into its cache and need newly
allocated pages every time."""
