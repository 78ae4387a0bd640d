"""contextual-adain: AdaIN with a decoder trained by the contextual loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from styleaug.functional import adain_to, feature_moments
from styleaug.stylizers.adain_network import AdaINConfig, AdaINNetwork
from styleaug.stylizers.base import Maps, Precision
from styleaug.stylizers.decoding import DecodingStylizer
from styleaug.stylizers.lost_detail import keeps_detail
from styleaug.weights import EXTRA, Weights, load_network, locate_weights, read_state_dict

_FEATURES = {"backbone": "vgg19", "layer": "relu3_1", "feature_scale": 300.0}

PACKAGED = (
    Weights(
        "medical",
        "contextual-adain.safetensors",
        "CC BY 4.0",
        "H&E and other stains, fluorescence, blood smears, skin, fundus, X-rays, CT, photographs",
        sha256="c765ca1a4a3b3f7d5db73810fd5554eda80f25552fde22e47c460be0376370ec",
        size=2222542,
        package=EXTRA,
        config=_FEATURES,
    ),
    Weights(
        "ct",
        "contextual-adain-ct.safetensors",
        "CC BY 4.0",
        "the same, and then CT slices in six windows",
        sha256="391824acbd3a1d11bcb13991e724e2c3d8c3aa673fd39a032fb97e981d2a8a18",
        size=2222542,
        package=EXTRA,
        config=_FEATURES,
    ),
)
"""The weights that ``styleaug-weights`` holds; their card lies beside them."""


class ContextualAdaIN(DecodingStylizer[Tensor]):
    """Exchange means and standard deviations of encoder features, and decode.

    ``alpha`` blends the features before decoding, as in AdaIN; ``alpha=0`` returns the content
    itself. A style code holds two numbers per feature channel.

    Args:
        weights: "medical", for images of all kinds, or "ct"; a file written by ``styleaug train
            contextual-adain``; or the decoder of AdaIN (``decoder.pth``), a path or an ``https://``
            address.
        encoder: With a bare decoder: the encoder it belongs to (``vgg_normalised.pth``), likewise.
        detail: Put back the detail that decoding loses, see `styleaug.stylizers.lost_detail`; it
            takes a second pass. None: with weights of ours alone, whose decoder begins at a
            quarter of the size. The published system does not do this.
        precision: "auto", "fp32", "bf16" or "fp16".
        max_batch: Most images at once.

    Raises:
        FileNotFoundError: If a file does not exist, or ``styleaug-weights`` is not installed.
        ValueError: If the weights do not fit.

    Source:
        Xu, Li & Shin, "Medical image processing with contextual style transfer", HCIS 10, 2020,
        on the network of Huang & Belongie, ICCV 2017.
    """

    name = "contextual-adain"
    multiple = 8
    style_size = 512

    def __init__(
        self,
        *,
        weights: str | Path = "medical",
        encoder: str | Path | None = None,
        detail: bool | None = None,
        precision: Precision = "auto",
        max_batch: int | None = None,
    ) -> None:
        super().__init__(precision=precision, max_batch=max_batch)
        located = locate_weights(weights, PACKAGED)
        state = read_state_dict(located.path)
        if not any(key.startswith("decoder.") for key in state):
            state = _joined(state, encoder)
        self.network = AdaINNetwork(located.read_config(AdaINConfig))
        self.weights_id = load_network(self.network, state, origin=str(weights))
        self.detail = keeps_detail(detail, located.record)

    @property
    def _stride(self) -> int:
        return self.network.config.shape[1]

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        mean, std = feature_moments(self.network.encode(style))
        return {"mean": mean, "std": std}

    def _features(self, content: Tensor) -> Tensor:
        return self.network.encode(content)

    def _decoded(self, features: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        styled = adain_to(features, maps["mean"], maps["std"])
        mixed = torch.lerp(features, styled, alpha.to(features.dtype).view(-1, 1, 1, 1))
        painted: Tensor = self.network.decoder(mixed)
        return painted

    def _blended(self, content: Tensor, painted: Tensor, alpha: Tensor) -> Tensor:
        return painted  # its features are


def _joined(decoder: Mapping[str, Tensor], encoder: str | Path | None) -> dict[str, Tensor]:
    """Return the state of encoder and decoder from their published files."""
    if encoder is None:
        raise ValueError(
            "encoder must name the file of the encoder (vgg_normalised.pth), got None and weights "
            "that hold a decoder alone."
        )
    whole = read_state_dict(locate_weights(encoder, ()).path)
    needed = AdaINNetwork(AdaINConfig()).encoder.state_dict()
    part = {key: whole[key] for key in needed if key in whole}
    named = {f"encoder.{key}": tensor for key, tensor in part.items()}
    return named | {f"decoder.{key}": tensor for key, tensor in decoder.items()}
