"""micro: a compact learned stylizer whose weights ship with the package."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from styleaug.stylizers.base import Maps, Precision, Stylizer
from styleaug.stylizers.micro_network import MicroNetwork
from styleaug.weights import load_strictly, read_state_dict, weights_digest

PRETRAINED = Path(__file__).parents[1] / "pretrained" / "micro.safetensors"


class Micro(Stylizer):
    """A colour transform that differs from place to place, predicted by a small network.

    The style enters as channel statistics, as in AdaIN, so a bank holds about fifteen hundred
    numbers per style and no image. All statistics are taken over the whole image, so there are no
    tiles and no seams: 4096 x 4096 pixels go through at once. ``alpha`` blends the images.

    Args:
        weights: None for the weights that ship with the package, or a file written by
            ``styleaug train micro``.
        precision: "auto", "fp32", "bf16" or "fp16".
        max_batch: Most images at once.

    Raises:
        ValueError: If the weights do not fit.

    Source:
        In the family of AdaIN (Huang & Belongie, ICCV 2017). The per-pixel affine colour transform
        is that of bilateral learning (Gharbi et al., SIGGRAPH 2017), here at half size.

    Example:
        >>> import torch
        >>> from styleaug import create_stylizer
        >>> stylizer = create_stylizer("micro")
        >>> code = stylizer.encode_style(torch.rand(1, 3, 100, 80))
        >>> stylizer.stylize(torch.rand(2, 3, 64, 50), code).shape
        torch.Size([2, 3, 64, 50])
    """

    name = "micro"
    multiple = 8
    style_size = 256

    def __init__(
        self,
        *,
        weights: str | None = None,
        precision: Precision = "auto",
        max_batch: int | None = None,
    ) -> None:
        super().__init__(precision=precision, max_batch=max_batch)
        self.network = MicroNetwork()
        path = PRETRAINED if weights is None else Path(weights)
        state = {name: tensor.float() for name, tensor in read_state_dict(path).items()}
        load_strictly(self.network, state, origin=str(path))
        self.weights_id = weights_digest(state)

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        return self.network.encode_style(style)

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        stylized = self.network(content, maps["film"], maps["mean"], maps["std"])
        return content.lerp(stylized.float(), alpha.view(-1, 1, 1, 1))
