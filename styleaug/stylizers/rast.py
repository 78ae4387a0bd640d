"""rast: style attention with restorable results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from styleaug.stylizers.base import Maps, Precision
from styleaug.stylizers.decoding import DecodingStylizer
from styleaug.stylizers.lost_detail import keeps_detail
from styleaug.stylizers.rast_network import RASTConfig, RASTNetwork, style_maps
from styleaug.weights import EXTRA, Weights, load_network, locate_weights, read_state_dict

PACKAGED = (
    Weights(
        "medical",
        "rast.safetensors",
        "CC BY 4.0",
        "H&E and other stains, fluorescence, blood smears, skin, fundus, X-rays, CT, photographs",
        sha256="58a99d328b35a6272455c9cc797e2b6dc7c691175adb7ab5280a2a54ce32785f",
        size=7998158,
        package=EXTRA,
        config={
            "backbone": "vgg19",
            "layer": "relu3_1",
            "feature_scale": 300.0,
            "coarse_scale": 10.0,
        },
    ),
)
"""The weights that ``styleaug-weights`` holds; their card lies beside them."""

_LEVELS = ("fine", "coarse")


class RAST(DecodingStylizer[list[Tensor]]):
    """Attend to the style's features at two scales, and decode.

    A style code holds feature maps of the style, from which the image can be guessed: treat such
    a bank like its images. ``alpha`` blends the images.

    Args:
        weights: "medical", for images of all kinds; a file written by ``styleaug train rast``; or
            the published decoder (``decoder_iter_160000.pth``; also those of SANet), a path or an
            ``https://`` address.
        transform: With a bare decoder: the transform it belongs to
            (``transformer_iter_160000.pth``).
        encoder: With a bare decoder: ``vgg_normalised.pth``.
        style_size: Styles are resized to a square of this side. Larger squares keep finer style;
            time and memory grow with the square of the side.
        detail: Put back the detail that decoding loses, see `styleaug.stylizers.lost_detail`; it
            takes a second pass. None: with weights of ours alone, whose decoder begins at a
            quarter of the size. The published system does not do this.
        precision: "auto", "fp32", "bf16" or "fp16"; attention always uses float32.
        max_batch: Largest number of images processed at once.

    Raises:
        FileNotFoundError: If a file does not exist, or ``styleaug-weights`` is not installed.
        ValueError: If the weights do not fit.

    Source:
        Ma, Zhao, Li & Basu, "RAST", WACV 2023, pp. 331-340; Karatyshchev & Kitov, "Enhancing
        methods for RAST".
    """

    name = "rast"
    multiple = 16

    def __init__(
        self,
        *,
        weights: str | Path = "medical",
        transform: str | Path | None = None,
        encoder: str | Path | None = None,
        style_size: int = 256,
        detail: bool | None = None,
        precision: Precision = "auto",
        max_batch: int | None = None,
    ) -> None:
        super().__init__(precision=precision, max_batch=max_batch)
        if style_size < 32:
            raise ValueError(f"style_size must be at least 32, got {style_size}.")
        self.style_size = style_size
        located = locate_weights(weights, PACKAGED)
        state = read_state_dict(located.path)
        if not any(key.startswith("decoder.") for key in state):
            state = _joined(state, transform, encoder)
        self.network = RASTNetwork(located.read_config(RASTConfig))
        self.weights_id = load_network(self.network, state, origin=str(weights))
        self.detail = keeps_detail(detail, located.record)

    def _code_settings(self) -> dict[str, Any]:
        return {"style_size": self.style_size}

    @property
    def _stride(self) -> int:
        return self.network.config.stride

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        pairs = zip(_LEVELS, self.network.encode(style), strict=True)
        return {
            f"{level}_{name}": tensor.float()
            for level, features in pairs
            for name, tensor in style_maps(features).items()
        }

    def _features(self, content: Tensor) -> list[Tensor]:
        return self.network.encode(content)

    def _decoded(self, features: list[Tensor], maps: Maps, alpha: Tensor) -> Tensor:
        styles = [
            {name: maps[f"{level}_{name}"] for name in ("keys", "mean", "std")} for level in _LEVELS
        ]
        return self.network.transfer(features, styles).float()


def _joined(
    decoder: Mapping[str, Tensor], transform: str | Path | None, encoder: str | Path | None
) -> dict[str, Tensor]:
    """Return the state of the network from its three published files."""
    if transform is None or encoder is None:
        raise ValueError(
            "transform and encoder must name the published files (transformer_iter_160000.pth, "
            f"vgg_normalised.pth), got {transform} and {encoder} and weights that hold a decoder "
            "alone."
        )
    files = {"transform": transform, "encoder": encoder}
    states = {name: read_state_dict(locate_weights(file, ()).path) for name, file in files.items()}
    needed = RASTNetwork(RASTConfig()).encoder.state_dict()  # the file goes on to relu5_4
    states["encoder"] = {key: t for key, t in states["encoder"].items() if key in needed}
    states["decoder"] = dict(decoder)
    return {f"{name}.{key}": t for name, state in states.items() for key, t in state.items()}
