"""Stains: their amounts in the tissue, and their colours."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from styleaug.appearance.effect import Effect, Parameter, color_matrix, to_density

_STAINS = torch.tensor(
    [[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], dtype=torch.float64
)
"""Optical densities of haematoxylin, eosin and DAB in R, G, B (rows)."""


class StainAmounts(Effect):
    """Changes the amounts of three stains, in optical density; empty glass is unchanged.

    The stains are haematoxylin, eosin and DAB of Ruifrok & Johnston; for other stains (Giemsa,
    Papanicolaou) they serve as three directions in colour space. The ranges, half to twice, cover
    differences of laboratory protocols and section thickness.

    Source:
        Ruifrok & Johnston, Anal. Quant. Cytol. Histol. 23, 2001 (vectors); Tellez et al., IEEE TMI
        2018 (amounts as an augmentation, narrower: 0.95 to 1.05, "strong" 0.8 to 1.2).
    """

    name = "stain-amounts"
    parameters: ClassVar = (
        Parameter("haematoxylin", 1.0, 0.5, 2.0, "factor", log=True),
        Parameter("eosin", 1.0, 0.5, 2.0, "factor", log=True),
        Parameter("residual", 1.0, 0.6, 1.6, "factor", log=True),
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        stains = _STAINS.to(images.device)
        back = torch.linalg.inv(stains)
        matrix = back @ torch.diag_embed(values.double()) @ stains  # of row vectors
        return _in_density(images, matrix.transpose(1, 2).to(images))


class StainVectors(Effect):
    """Changes the colours of stains by mixing the densities of R, G and B.

    Dye batch, pH and age change the spectrum of a stain; lamp and filters change its recorded
    colour. Empty glass is unchanged.

    Source:
        Macenko et al., ISBI 2009, and Vahadane et al., IEEE TMI 2016, find vectors that differ by
        up to 0.3 between laboratories.
    """

    name = "stain-vectors"
    parameters: ClassVar = tuple(
        Parameter(f"{a} into {b}", 0.0, -0.3, 0.3, "share of the density")
        for a in ("red", "green", "blue")
        for b in ("red", "green", "blue")
        if a != b
    )

    def apply(self, images: Tensor, values: Tensor) -> Tensor:
        """See `Effect.apply`."""
        matrix = torch.eye(3, device=images.device).repeat(len(images), 1, 1)
        source, target = zip(*((a, b) for a in range(3) for b in range(3) if a != b), strict=True)
        matrix[:, target, source] = values
        return _in_density(images, matrix)


def _in_density(images: Tensor, matrix: Tensor) -> Tensor:
    """Multiply densities by one matrix per image; densities never become negative."""
    return (-color_matrix(to_density(images), matrix).clamp_min(0.0)).exp()
