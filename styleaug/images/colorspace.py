"""Colour spaces as pure functions of tensors: sRGB and CIE L*a*b*."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

_double = partial(torch.tensor, dtype=torch.float64)


class _Affine:
    """``matrix @ (x + before) + after`` of the channels of images."""

    def __init__(self, matrix: Tensor, before: float = 0.0, after: Tensor | float = 0.0) -> None:
        self.matrix, self.offset = matrix, (before * matrix.sum(dim=1) + after)[:, None]
        self._like: dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        matrix, offset = self._on(x)
        return torch.baddbmm(offset, matrix.expand(x.shape[0], 3, 3), x.flatten(2)).view_as(x)

    def _on(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if torch.compiler.is_compiling():  # what a tracer makes of them is no constant
            return self.matrix.to(x), self.offset.to(x)
        key = (x.dtype, x.device)
        if key not in self._like:
            self._like[key] = self.matrix.to(x), self.offset.to(x)
        return self._like[key]


# IEC 61966-2-1 primaries and the D65 white point.
_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.95047, 1.0, 1.08883)
_TO_XYZ = _double(_RGB_TO_XYZ) / _double(_WHITE)[:, None]
_TO_LAB = _double(((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0)))
_FROM_LAB = torch.linalg.inv(_TO_LAB)
_BLACK = _double((-16.0, 0.0, 0.0))

# The slopes below the knees, and the values of the lines there, go with the matrices.
_linear_to_xyz = _Affine(_TO_XYZ / 12.92, before=-0.04045)
_root_to_lab = _Affine(7.787 * _TO_LAB, before=-0.008856, after=_BLACK)
_lab_to_root = _Affine(_FROM_LAB, after=-_FROM_LAB @ _BLACK)
_xyz_to_linear = _Affine(torch.linalg.inv(_TO_XYZ) / 7.787, before=-0.2068966)


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
    xyz = _linear_to_xyz(_curve(image, 0.04045, 12.92 * 1.055**-2.4, 2.4, shift=0.055))
    return _root_to_lab(_curve(xyz, 0.008856, 1 / 7.787, 1 / 3))


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
    linear = _xyz_to_linear(_curve(_lab_to_root(lab), 0.2068966, 7.787, 3))
    curved = _curve(linear, 0.0031308, 1.055 / 12.92, 1 / 2.4)
    return curved.sub_(0.0031308).mul_(12.92).sub_(0.055)


def _curve(x: Tensor, knee: float, gain: float, exponent: float, *, shift: float = 0.0) -> Tensor:
    """Return a line up to the knee and ``gain * (x + shift) ** exponent`` above it, summed.

    The curves of both colour spaces are this times a slope, minus what the line is at the knee:
    both are left to the matrix that follows. Clamped branches take a third of the time of
    ``torch.where``, exp2 and log2 two thirds of that of ``torch.pow``.
    """
    line, above = x.clamp_max(knee), x.clamp_min(knee)
    if shift:
        above.add_(shift)
    plain = exponent == 3 or torch.compiler.is_compiling()
    power = above**exponent if plain else above.log2().mul_(exponent).exp2_()
    return line.add_(power, alpha=gain)
