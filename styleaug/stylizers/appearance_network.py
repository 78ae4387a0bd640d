"""The network of "appearance": two codes become one map of colours and three gains of detail."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn

from styleaug.functional import monge_kantorovich
from styleaug.functional.roots import matrix_roots
from styleaug.stylizers.appearance_code import (
    APPEARANCE,
    CLASSES,
    CODE,
    AppearanceEncoder,
    class_colors,
    mean_and_covariance,
)
from styleaug.stylizers.detail import REACH, STEPS, bordered_grey, detail_change

_UNITS = 12
_HIDDEN = 512
_PIXELS = 2**16
"""Pixels that are painted at once on a CPU: what is made of them on the way stays in its cache."""


Maps = tuple[Tensor, Tensor, Tensor]
"""Affine maps ``(B, 3, 4)``, ramps ``(B, 12, 4)`` and what each ramp adds ``(B, 3, 12)``."""


class AppearanceNetwork(nn.Module):
    """Paints images as others were made: the code of the image and that of a style go in.

    The image's detail is amplified band by band; then every pixel goes through one map of colours,
    an affine one and 12 ramps. Equal colours in equal surroundings come out equal wherever they
    are, so no cloud and no halo wider than `REACH` can arise. Map and gains are a difference of
    two predictions, one for (image, style), one for (image, image): an image in its own code stays
    as it is. Where two pictures show the same things, statistics of all colours take over, see
    `Transport`; what is missed at the colours of the classes that both codes know, `ClassFit` takes
    back.

    Source:
        One map of colours from a network that sees a thumbnail: Ke et al., Neural Preset, CVPR
        2023. Ramps in the place of their matrix, gains of detail and codes from other pictures are
        ours.

    Example:
        >>> network = AppearanceNetwork()
        >>> images = torch.rand(2, 3, 50, 70)
        >>> network(images, network.encoder(torch.rand(2, 3, 64, 64))).shape
        torch.Size([2, 3, 50, 70])
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = AppearanceEncoder()
        last = nn.Linear(_HIDDEN, sum(_SIZES))
        nn.init.normal_(last.weight, std=3e-3)
        nn.init.zeros_(last.bias)
        self.predictor = nn.Sequential(
            nn.Linear(3 * APPEARANCE, _HIDDEN),
            nn.GELU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.GELU(),
            last,
        )
        ramps = torch.randn(_UNITS, 4) * torch.tensor([1.5, 1.5, 1.5, 0.75])
        self.ramps = nn.Parameter(ramps)
        self.transport = Transport()
        self.fit = ClassFit()

    def forward(self, images: Tensor, code: Tensor) -> Tensor:
        """Return painted images ``(B, 3, H, W)``, which may leave [0, 1]; B codes ``(B, 188)``."""
        return self.painted(images, self.encoder(images), code)

    def painted(self, images: Tensor, own: Tensor, code: Tensor) -> Tensor:
        """Return painted images, whose own codes ``(B, 188)`` are at hand."""
        return paint(images, *self.mapping(own, code))

    def mapping(self, own: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return gains of detail, affine maps, ramps and what each ramp adds.

        Args:
            own: ``(B, 188)`` codes of the images.
            code: ``(B, 188)`` codes of the styles.

        Returns:
            ``(B, 3)``, ``(B, 3, 4)``, ``(B, 12, 4)`` and ``(B, 3, 12)``; the fourth column of a map
            is its offset, colours are counted from 0.5.
        """
        gains, maps = self.predicted(own, code)
        return (gains, *self.fit(self.transport(maps, own, code), own, code))

    def predicted(self, own: Tensor, code: Tensor) -> tuple[Tensor, Maps]:
        """Return gains and maps as the predictor alone says; arguments as in `mapping`."""
        one, other = own[:, :APPEARANCE], code[:, :APPEARANCE]
        asked = torch.cat([one, other, other - one], dim=1)
        kept = torch.cat([one, one, torch.zeros_like(one)], dim=1)
        there, here = self.predictor(torch.stack([asked, kept]))
        gains, affine, ramps, added = (there - here).split(_SIZES, dim=1)
        identity = torch.eye(3, 4, device=own.device, dtype=affine.dtype)
        maps = (
            identity + affine.view(-1, 3, 4),
            self.ramps + ramps.view(-1, _UNITS, 4),
            added.view(-1, 3, _UNITS),
        )
        return gains.clamp(-1.6, 1.6).exp(), maps


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
        affine, ramps, added = maps
        share = self.score(maps, own, code).sigmoid().view(-1, 1, 1)
        return affine.lerp(transport(own, code), share), ramps, added * (1.0 - share)

    def score(self, maps: Maps, own: Tensor, code: Tensor) -> Tensor:
        """Return how far to go, ``(B,)``, before the sigmoid; arguments as in `forward`."""
        compared = _compared(maps, transport(own, code), own, code)
        return self.gate(compared).squeeze(1)  # type: ignore[no-any-return]


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
    one, wide = torch.eye(3, device=matrix.device, dtype=torch.float64), matrix.double()
    square = (wide / limit) @ (wide / limit)
    root, _ = matrix_roots((one + square @ square) / (1.0 + limit**-4))
    return (wide @ matrix_roots(root)[1]).to(matrix.dtype)


def _compared(maps: Maps, matched: Tensor, own: Tensor, code: Tensor) -> Tensor:
    """Return the numbers that say whether two pictures show the same things.

    These are both codes, the ratios of the amounts of classes, and how far each map misses the
    colours of the style's classes, by logarithms.
    """
    amounts = slice(APPEARANCE + 4 * CLASSES, APPEARANCE + 5 * CLASSES)
    ratio = (code[:, amounts] + 1e-2).log() - (own[:, amounts] + 1e-2).log()
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
        self.costs = nn.Parameter(torch.tensor([-5.0] * 4 + [-4.0] * _UNITS))

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


def solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """Return the solutions ``(B, N, K)`` of positive definite systems, by elimination.

    In plain operations: for a few unknowns this is as fast as a library's, waits for no device and
    can be exported.

    Args:
        matrix: ``(B, N, N)``, positive definite and not badly conditioned.
        right: ``(B, N, K)``.

    Example:
        >>> solve_positive(torch.eye(2)[None] * 4.0, torch.ones(1, 2, 1)).flatten()
        tensor([0.2500, 0.2500])
    """
    count = matrix.shape[1]
    rows = torch.cat([matrix, right], dim=2)
    for index in range(count):
        pivot = rows[:, index : index + 1] / rows[:, index : index + 1, index : index + 1]
        others = rows - rows[:, :, index : index + 1] * pivot
        rows = torch.cat([others[:, :index], pivot, others[:, index + 1 :]], dim=1)
    return rows[:, :, count:]


_SIZES = (len(STEPS), 3 * 4, _UNITS * 4, 3 * _UNITS)


def paint(
    images: Tensor,
    gains: Tensor,
    affine: Tensor,
    ramps: Tensor,
    added: Tensor,
    alpha: Tensor | None = None,
) -> Tensor:
    """Amplify detail and map colours, strip by strip.

    Args:
        images: ``(B, 3, H, W)``.
        gains: ``(B, 3)``.
        affine: ``(B, 3, 4)``.
        ramps: ``(B, 12, 4)``.
        added: ``(B, 3, 12)``.
        alpha: ``(B,)`` how far to go from the images to what is painted; None goes all the way.
    """
    grey, maps = bordered_grey(images), (affine, ramps, added)
    whole = torch.is_grad_enabled() or torch.compiler.is_compiling()
    if whole or images.device.type != "cpu":
        painted = map_colors(images + detail_change(grey, gains), *maps)
        return painted if alpha is None else images.lerp(painted, alpha.view(-1, 1, 1, 1))
    out = torch.empty_like(images)
    height, width = images.shape[2:]
    strip = max(REACH, _PIXELS // width)
    for row, top in product(range(len(images)), range(0, height, strip)):
        one, bottom = slice(row, row + 1), min(top + strip, height)
        part = images[one, :, top:bottom]
        change = detail_change(grey[one, :, top : bottom + 2 * REACH], gains[one])
        painted = map_colors(part + change, *(each[one] for each in maps))
        out[one, :, top:bottom] = painted if alpha is None else part.lerp(painted, alpha[row])
    return out


def colorless(maps: Sequence[Tensor], grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return maps, those marked in ``grey`` ``(B,)`` with three equal channels.

    Args:
        maps: Affine map, ramps and what each ramp adds, as in `paint`.
        grey: Which images and styles are grey.
    """
    affine, ramps, added = maps
    affine, added = (
        torch.where(grey.view(-1, 1, 1), each.mean(dim=1, keepdim=True), each)
        for each in (affine, added)
    )
    return affine, ramps, added


def map_colors(images: Tensor, affine: Tensor, ramps: Tensor, added: Tensor) -> Tensor:
    """Send every colour through its image's affine map and ramps; arguments as in `paint`."""
    colors = images.flatten(2)
    out = torch.baddbmm(_offset(affine) + 0.5, affine[:, :, :3], colors)
    lit = torch.baddbmm(_offset(ramps), ramps[:, :, :3], colors).relu_()
    return torch.baddbmm(out, added, lit).view_as(images)


def _offset(matrix: Tensor) -> Tensor:
    """Return the offset of a map of colours that are counted from 0.5."""
    return matrix[:, :, 3:] - 0.5 * matrix[:, :, :3].sum(dim=2, keepdim=True)
