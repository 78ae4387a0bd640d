"""JPEG: artefacts of compression."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, color_matrix

_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
_YCBCR = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)


class Jpeg(Effect):
    """Rounds the cosine coefficients of 8 x 8 blocks, without chroma subsampling; 100 is neutral.

    Source:
        ITU-T T.81, Annex K.1 (tables), scaled by quality as in libjpeg.
    """

    name = "jpeg"
    reproducible = False
    parameters: ClassVar = (Parameter("quality", 100.0, 35.0, 95.0, "of 100"),)

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        height, width = images.shape[2:]
        padded = F.pad(images, (0, -width % 8, 0, -height % 8), mode="replicate")
        forward = _YCBCR.to(images.device).expand(len(images), 3, 3)
        # 128 levels off, as in the standard, for one rounds about 0
        blocks = _to_blocks(color_matrix(255.0 * padded - 128.0, forward))
        cosines = _cosines().to(images.device)
        steps = _steps(values[:, 0]).to(images.device)
        rounded = (cosines @ blocks @ cosines.T / steps).round() * steps
        back = _from_blocks(cosines.T @ rounded @ cosines, padded.shape)
        out = (color_matrix(back, torch.linalg.inv(forward)) + 128.0) / 255.0
        kept = values[:, 0].view(-1, 1, 1, 1) >= 100.0
        return torch.where(kept, images, out[..., :height, :width])


def _steps(quality: Tensor) -> Tensor:
    """Return the steps of rounding ``(B, 3, 1, 1, 8, 8)``."""
    quality = quality.clamp(1.0, 100.0)
    scale = torch.where(quality < 50.0, 5000.0 / quality, 200.0 - 2.0 * quality) / 100.0
    tables = torch.tensor([_LUMA, _CHROMA, _CHROMA], device=quality.device, dtype=torch.float32)
    return (tables * scale.view(-1, 1, 1)).round().clamp(1.0, 255.0).view(-1, 3, 1, 1, 8, 8)


def _cosines() -> Tensor:
    """Return the orthonormal matrix of the discrete cosine transform of eight numbers."""
    rows = [
        [math.cos(math.pi * k * (2 * n + 1) / 16) * math.sqrt((1 if k == 0 else 2) / 8)]
        for k in range(8)
        for n in range(8)
    ]
    return torch.tensor(rows).view(8, 8)


def _to_blocks(images: Tensor) -> Tensor:
    blocks: Tensor = images.unflatten(3, (-1, 8)).unflatten(2, (-1, 8))
    return blocks.transpose(3, 4)


def _from_blocks(blocks: Tensor, shape: torch.Size) -> Tensor:
    return blocks.transpose(3, 4).reshape(shape)
