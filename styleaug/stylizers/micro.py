"""micro: a compact learned stylizer, trained by ``styleaug train micro``."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from styleaug.stylizers.base import Maps, Precision, Stylizer
from styleaug.stylizers.micro_network import MicroNetwork
from styleaug.weights import load_strictly, read_state_dict, weights_digest


class Micro(Stylizer):
    """Colours and contrast at every scale, place by place, as a small network says.

    The style enters as statistics, as in AdaIN, so a bank holds two hundred numbers per style and
    no image. All statistics are taken over the whole image, so there are no
    tiles and no seams: 4096 x 4096 pixels go through at once. ``alpha`` blends the images.

    Args:
        weights: A file written by ``styleaug train micro``. No weights are published yet.
        precision: "auto", "fp32", "bf16" or "fp16".
        max_batch: Most images at once.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If no weights are given, or they do not fit.

    Source:
        In the family of AdaIN (Huang & Belongie, ICCV 2017). Bands that keep their place and get
        the strength of a model's are those of Bae, Paris & Durand, SIGGRAPH 2006; the per-pixel
        affine colour transform is that of bilateral learning (Gharbi et al., SIGGRAPH 2017).

    Example:
        >>> Micro(weights="nowhere.safetensors")
        Traceback (most recent call last):
        ...
        FileNotFoundError: weights must be a file that exists, got 'nowhere.safetensors'.
    """

    name = "micro"
    multiple = 16

    def __init__(
        self,
        *,
        weights: str | None = None,
        precision: Precision = "auto",
        max_batch: int | None = None,
    ) -> None:
        super().__init__(precision=precision, max_batch=max_batch)
        if weights is None:
            raise ValueError(
                f"weights must be a file written by 'styleaug train micro', got {weights}: "
                "none are published yet."
            )
        self.network, path = MicroNetwork(), Path(weights)
        state = {name: tensor.float() for name, tensor in read_state_dict(path).items()}
        load_strictly(self.network, state, origin=str(path))
        self.weights_id = weights_digest(state)

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        height, width = (side - side % self.multiple for side in style.shape[2:])
        return self.network.encode_style(style[..., :height, :width])

    def _stylize(self, content: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        stylized = self.network(content, **maps)
        return content.lerp(stylized.float(), alpha.view(-1, 1, 1, 1))
