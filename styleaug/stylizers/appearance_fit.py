"""Where two pictures show the same: their statistics, and classes of pixels that correspond."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from styleaug.functional import monge_kantorovich
from styleaug.functional.positive import solve_positive
from styleaug.functional.roots import matrix_roots
from styleaug.stylizers.appearance_code import (
    APPEARANCE,
    CLASSES,
    CODE,
    class_amounts,
    class_colors,
    mean_and_covariance,
)

UNITS = 12
"""Ramps of a map of colours."""

Maps = tuple[Tensor, Tensor, Tensor]
"""Affine maps ``(B, 3, 4)``, ramps ``(B, 12, 4)`` and what each ramp adds ``(B, 3, 12)``."""


class Transport(nn.Module):
    """Goes over to the map that gives an image the statistics of the style, as far as they apply.

    If both pictures show the same things in the same amounts, the linear optimal transport between
    their colours is nearly exact, and a network cannot do better; if not, it is wrong. A small
    network says how far to go, from both codes and from where each of the two maps sends the
    colours of the classes.
    """

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(64, 1)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, -2.0)
        self.gate = nn.Sequential(nn.Linear(_COMPARED, 64), nn.GELU(), last)

    def forward(self, maps: Maps, own: Tensor, code: Tensor) -> Maps:
        """Return affine maps, ramps and what each ramp adds; the same is given."""
        (affine, ramps, added), matched = maps, transport(own, code)
        share = self.score(maps, matched, own, code).sigmoid().view(-1, 1, 1)
        return affine.lerp(matched, share), ramps, added * (1.0 - share)

    def score(self, maps: Maps, matched: Tensor, own: Tensor, code: Tensor) -> Tensor:
        """Return how far to go, ``(B,)``, before the sigmoid.

        Args:
            maps: As predicted.
            matched: What `transport` gives for the two codes.
            own: ``(B, 188)`` codes of the images.
            code: ``(B, 188)`` codes of the styles.
        """
        score: Tensor = self.gate(_compared(maps, matched, own, code))
        return score.squeeze(1)


def transport(own: Tensor, code: Tensor) -> Tensor:
    """Return affine maps ``(B, 3, 4)`` that take mean and covariance of one code to another's.

    No direction of colours is stretched more than fivefold, so that noise on flat images stays low.
    """
    (mean, covariance), (wanted, target) = mean_and_covariance(own), mean_and_covariance(code)
    matrix = bounded(monge_kantorovich(covariance, target, eps=_FAINT_SQUARED), _STEEPEST)
    return torch.cat([matrix, wanted - matrix @ mean], dim=2)


def bounded(matrix: Tensor, limit: float) -> Tensor:
    """Return symmetric positive definite ``(B, 3, 3)`` with eigenvalues that stay below a limit.

    ``T ((1 + (T / limit)^4) / (1 + limit^-4))^(-1/4)``: 1 stays, half of the limit is lowered by
    1.5 %, the limit itself by 16 %.

    Example:
        >>> bounded(torch.diag(torch.tensor([1.0, 2.0, 99.0]))[None], 4.0).diagonal(dim1=1, dim2=2)
        tensor([[1.0000, 1.9718, 4.0039]])
    """
    wide = matrix.double()
    if matrix.device.type == "cpu" and not torch.compiler.is_compiling():
        values, vectors = torch.linalg.eigh(wide)
        lowered: Tensor = values * ((1.0 + (values / limit) ** 4) / (1.0 + limit**-4)) ** -0.25
        turned: Tensor = (vectors * lowered.unsqueeze(1)) @ vectors.transpose(1, 2)
        return turned.to(matrix.dtype)
    one, square = torch.eye(3, device=matrix.device, dtype=torch.float64), wide @ wide / limit**2
    root, _ = matrix_roots((one + square @ square) / (1.0 + limit**-4))
    return (wide @ matrix_roots(root)[1]).to(matrix.dtype)


def _compared(maps: Maps, matched: Tensor, own: Tensor, code: Tensor) -> Tensor:
    """Return the numbers that say whether two pictures show the same things.

    These are both codes, the ratios of the amounts of classes, and how far each map misses the
    colours of the style's classes, by logarithms.
    """
    there, here = (class_amounts(each) + 1e-2 for each in (code, own))
    ratio = there.log() - here.log()
    colors, wanted = class_colors(own)[0], class_colors(code)[0]
    sent = (_raised(colors, maps[1]) @ _joined(maps), _points(colors) @ matched.transpose(1, 2))
    missed = [((each - wanted).abs().mean(dim=2) + 1e-2).log() + 3.0 for each in sent]
    change = code - own
    return torch.cat(
        [own, change, change[:, :APPEARANCE].abs(), ratio, ratio.abs(), *missed], dim=1
    )


def _points(colors: Tensor) -> Tensor:
    """Return colours ``(B, N, 3)`` with a column of ones."""
    return torch.cat([colors, torch.ones_like(colors[..., :1])], dim=2)


def _raised(colors: Tensor, ramps: Tensor) -> Tensor:
    """Return colours, ones, and their heights on the ramps, ``(B, N, 16)``."""
    points = _points(colors)
    return torch.cat([points, (points @ ramps.transpose(1, 2)).relu()], dim=2)


def _joined(maps: Maps) -> Tensor:
    """Return what `_raised` colours are multiplied by, ``(B, 16, 3)``."""
    return torch.cat([maps[0], maps[2]], dim=2).transpose(1, 2)


_COMPARED = 2 * CODE + APPEARANCE + 4 * CLASSES
_FAINT_SQUARED = (2.0 / 255.0) ** 2
_STEEPEST = 5.0


class ClassFit(nn.Module):
    """Moves a map of colours so that the classes of an image land on those of the style.

    A ridge regression: its points are the colours of the classes, weighted by how surely both
    pictures show them; its unknowns are added to the affine map and to what the ramps add. A
    network alone predicts such a map to a few per cent; the regression makes it exact where the
    classes correspond. If both codes are equal, nothing moves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.costs = nn.Parameter(torch.tensor([-5.0] * 4 + [-4.0] * UNITS))

    def forward(self, maps: Maps, own: Tensor, code: Tensor) -> Maps:
        """Return affine maps, ramps and what each ramp adds; the same is given."""
        affine, ramps, added = maps
        (colors, found), (wanted, sought) = class_colors(own), class_colors(code)
        features = _raised(colors, ramps)
        missed = wanted - features @ _joined(maps)
        weighted = (features * (found * sought).unsqueeze(2)).transpose(1, 2)
        normal = weighted @ features + torch.diag_embed(self.costs.exp())
        moved = solve_positive(normal, weighted @ missed).transpose(1, 2)
        return affine + moved[:, :, :4], ramps, added + moved[:, :, 4:]
