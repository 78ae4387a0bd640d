"""style-kernel: dynamic convolution with kernels predicted from the style at every position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleaug.stylizers.base import Maps, Precision, check_unit_images
from styleaug.stylizers.code import StyleCode
from styleaug.stylizers.decoding import DecodingStylizer
from styleaug.stylizers.lost_detail import keeps_detail
from styleaug.stylizers.style_kernel_network import StyleKernelConfig, StyleKernelNetwork
from styleaug.weights import EXTRA, Weights, load_network, locate_weights, read_state_dict

PACKAGED = (
    Weights(
        "medical",
        "style-kernel.safetensors",
        "CC BY 4.0",
        "H&E and other stains, fluorescence, blood smears, skin, fundus, X-rays, CT, photographs",
        sha256="02c15072cca0dc33b88d0c42b85984ee8493b96b45fa39ab140719363cbec86d",
        size=15629734,
        package=EXTRA,
        config={"backbone": "vgg19", "layer": "relu3_1", "groups": 8, "feature_scale": 300.0},
    ),
)
"""The weights that ``styleaug-weights`` holds; their card lies beside them."""


class StyleKernel(DecodingStylizer[Tensor]):
    """Align style features with positions of the content, and convolve with kernels from them.

    A style code holds keys and values of all style positions, from which the image can be guessed:
    treat such a bank like its images. ``alpha`` blends the images.

    Args:
        weights: "medical", for images of many kinds; or a file written by
            ``styleaug train style-kernel``, a path or an ``https://`` address. Its authors
            published none.
        style_size: Styles are resized to a square of this side.
        detail: Put back the detail that decoding loses, see `styleaug.stylizers.lost_detail`; it
            takes a second pass. None: with weights of ours alone, whose decoder begins at a
            quarter of the size. The published system does not do this.
        precision: "auto", "fp32", "bf16" or "fp16"; attention always uses float32.
        max_batch: Largest number of images processed at once.

    Raises:
        FileNotFoundError: If the file does not exist, or ``styleaug-weights`` is not installed.
        ValueError: If the weights do not fit.

    Source:
        Xu, Long & Nie, "Learning Dynamic Style Kernels for Artistic Style Transfer", CVPR 2023.
    """

    name = "style-kernel"

    def __init__(
        self,
        *,
        weights: str | Path = "medical",
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
        self.network = StyleKernelNetwork(located.read_config(StyleKernelConfig))
        self.multiple = self.network.config.stride
        self.weights_id = load_network(self.network, state, origin=str(weights))
        self.detail = keeps_detail(detail, located.record)

    @torch.no_grad()
    def interpolate(self, content: Tensor, style_code: StyleCode, weights: Tensor) -> Tensor:
        """Repaint contents in a mixture of styles, by mixing their aligned features.

        Args:
            content: float ``(B, 3, H, W)`` in [0, 1], sides >= 32.
            style_code: S codes.
            weights: ``(B, S)``; every row sums to 1.

        Returns:
            float ``(B, 3, H, W)`` in [0, 1].

        Raises:
            ValueError: If a shape does not fit, or a row does not sum to 1.

        Source:
            Xu, Long & Nie, CVPR 2023, style interpolation.
        """
        check_unit_images("content", content)
        self.check_sides("content", content)
        self._check_code(style_code)
        if weights.shape != (len(content), len(style_code)):
            raise ValueError(
                f"weights must be ({len(content)}, {len(style_code)}), got {tuple(weights.shape)}."
            )
        if not torch.allclose(weights.sum(dim=1), weights.new_ones(len(weights)), atol=1e-4):
            raise ValueError(f"each row of weights must sum to 1, got {weights.sum(dim=1)}.")
        with self._numeric_context(content.device):
            features = self.network.encode(self._pad(content))
            mixed = torch.zeros_like(features, dtype=torch.float32)
            for index in range(len(style_code)):
                one = style_code[[index] * len(content)].to(content.device)
                share = weights[:, index].view(-1, 1, 1, 1).to(mixed)
                mixed += share * self.network.alignment(features, one.maps)
            painted = self.network.repaint(features, mixed).float()
            padded, full = self._pad(content), torch.ones(len(content), device=content.device)
            own = self._in_own_style(padded, features, full)
            painted = self._with_detail(painted, padded, own).to(content.dtype)
        return painted[..., : content.shape[2], : content.shape[3]].clamp(0.0, 1.0)

    def stitch(self, style_code: StyleCode) -> StyleCode:
        """Return one style with the positions of all styles; contents attend to similar ones.

        Args:
            style_code: S codes.

        Returns:
            A code of one style.

        Source:
            Xu, Long & Nie, CVPR 2023, stitched styles. Features are stitched instead of
            images, so that no seam is encoded.
        """
        self._check_code(style_code)
        wide = {name: torch.cat(list(maps), dim=2) for name, maps in style_code.maps.items()}
        return StyleCode({name: maps[None] for name, maps in wide.items()}, style_code.source)

    def _code_settings(self) -> dict[str, Any]:
        return {"style_size": self.style_size}

    @property
    def _stride(self) -> int:
        return self.network.config.stride

    def _encode_style(self, style: Tensor) -> dict[str, Tensor]:
        return self.network.alignment.style_maps(self.network.encode(style))

    def _features(self, content: Tensor) -> Tensor:
        return self.network.encode(content)

    def _decoded(self, features: Tensor, maps: Maps, alpha: Tensor) -> Tensor:
        return self.network.repaint(features, self.network.alignment(features, maps)).float()
