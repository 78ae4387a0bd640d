"""Adversarial losses of discriminator and generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def lsgan_loss(scores: Sequence[Tensor], *, real: bool) -> Tensor:
    """Return the squared distance of a discriminator's scores from 1 (real) or 0 (fake).

    Args:
        scores: One tensor of scores per scale.
        real: The desired decision of the discriminator; for the generator's loss True.

    Source:
        Mao et al., "Least Squares GANs", ICCV 2017, summed over the scales as in pix2pixHD.

    Example:
        >>> lsgan_loss([torch.zeros(1, 1, 2, 2)], real=True).item()
        1.0
    """
    return torch.stack([(score - float(real)).square().mean() for score in scores]).sum()
