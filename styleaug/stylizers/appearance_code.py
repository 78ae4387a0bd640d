"""The code of an appearance: a vector that says how a picture was made, not what is in it."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

APPEARANCE = 96
"""The first numbers of a code: how a picture was made, as a whole."""

CLASSES = 16
"""Kinds of pixels (glass, nuclei, ...), each found in every picture; their colours follow."""

STATISTICS = CLASSES + 3 + 9
"""How much of each class there is, mean and second moments of the colours; they come last."""

CODE = APPEARANCE + 4 * CLASSES + STATISTICS
"""Numbers of a code."""

_THUMBNAIL = 48
_GRID = 24
_DISTANCES = (1, 2, 4)
_QUANTILES = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)


class AppearanceEncoder(nn.Module):
    """Images of any size to codes ``(B, 188)``.

    The first 96 numbers, of unit root mean square, say how a picture was made as a whole. 64 are
    the colours of 16 classes of pixels and how surely each was found, see `ClassFinder`. The last
    28 do depend on what is shown: how much there is of each class, and mean and second moments of
    the colours.

    Three looks at the image: a thumbnail, for what is where; 24 x 24 pixels on a grid with the
    differences from their neighbours 1, 2 and 4 pixels away at full resolution, for colours and
    sharpness; and quantiles and moments of those pixels. The first two are pooled by attention
    into a few classes (glass, nuclei, ...), whose values do not depend on how much there is of
    each. Trained such that two crops of one appearance get one code.

    Source:
        Attention over classes of pixels: Lee et al., Set Transformer, ICML 2019 (pooling by seeds).

    Example:
        >>> AppearanceEncoder()(torch.rand(2, 3, 50, 300)).shape
        torch.Size([2, 188])
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (6, 24, 40, 64, 64)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=1 if index == 2 else 2, padding=1)
            for index, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.places = ClassPooling(64, classes=4, values=48)
        self.pixel = nn.Sequential(nn.Linear(9, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.pixels = ClassPooling(32, classes=8, values=32)
        self.classes = nn.Linear(32, 8)
        numbers = 4 * 48 + 8 * 32 + 2 * 8 * 9 + 3 * len(_QUANTILES) + 9 + 6
        self.out = nn.Sequential(nn.Linear(numbers, 192), nn.ReLU(), nn.Linear(192, APPEARANCE))
        self.finder = ClassFinder()

    def forward(self, images: Tensor) -> Tensor:
        """Return the codes of images ``(B, 3, H, W)`` in [0, 1], sides >= 9."""
        return self.read(images)[0]

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes, and ``(B, 16, N)`` how much each sampled pixel counts in each class."""
        colors, details = sample_pixels(images)
        known = torch.cat([colors - 0.5, _density(colors), _compressed(details)], dim=1)
        looks = torch.cat([self._thumbnail(images), self._pixels(colors, details, known)], dim=1)
        appearance = F.layer_norm(self.out(looks), (APPEARANCE,))
        classes, score = self.finder(appearance, colors, known)
        amount = score.softmax(dim=1).mean(dim=2)
        code = torch.cat([appearance, classes, amount, *moments(colors)], dim=1)
        return code, score.softmax(dim=2)

    def _thumbnail(self, images: Tensor) -> Tensor:
        small = _thumbnail(images)
        maps = torch.cat([small - 0.5, _density(small)], dim=1)
        for convolution in self.convolutions:
            maps = F.relu(convolution(maps))
        pooled: Tensor = self.places(maps.flatten(2).transpose(1, 2))
        return pooled.flatten(1)

    def _pixels(self, colors: Tensor, details: Tensor, known: Tensor) -> Tensor:
        rows = known.transpose(1, 2)
        hidden = self.pixel(rows)
        share = self.classes(hidden).transpose(1, 2).softmax(dim=2)
        mean = share @ rows
        spread = (share @ rows.square() - mean.square()).clamp_min(1e-6).sqrt()
        ordered = colors.sort(dim=2).values
        places = [round(q * (colors.shape[2] - 1)) for q in _QUANTILES]
        levels = torch.stack([ordered[:, :, place] for place in places], dim=2)
        centre = colors.mean(dim=2, keepdim=True)
        covariance = (colors - centre) @ (colors - centre).transpose(1, 2) / colors.shape[2]
        pairs = torch.cat([covariance[:, row, row:] for row in range(3)], dim=1)
        detail = (details.mean(dim=2) + 1e-3).log()
        strong = (details.square().mean(dim=2).sqrt() + 1e-3).log()
        return torch.cat(
            [
                *(self.pixels(hidden).flatten(1), mean.flatten(1), spread.flatten(1)),
                *(levels.flatten(1) - 0.5, centre.flatten(1) - 0.5, 10.0 * pairs),
                *(0.5 * detail, 0.5 * strong),
            ],
            dim=1,
        )


class ClassFinder(nn.Module):
    """The colours of 16 classes of pixels, which correspond in pictures that were made otherwise.

    What a class looks for depends on the picture's own appearance, so that one class is, say, the
    nuclei of a pale slide and those of a dark one.

    Example:
        >>> finder, colors = ClassFinder(), torch.rand(2, 3, 50)
        >>> classes, score = finder(torch.rand(2, 96), colors, torch.rand(2, 9, 50))
        >>> classes.shape, score.shape
        (torch.Size([2, 64]), torch.Size([2, 16, 50]))
    """

    def __init__(self) -> None:
        super().__init__()
        self.pixel = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU())
        self.query = nn.Linear(APPEARANCE, CLASSES * 32)
        self.found = nn.Linear(APPEARANCE + CLASSES, CLASSES)
        nn.init.normal_(self.query.bias, std=1.0)
        nn.init.zeros_(self.found.weight)
        nn.init.constant_(self.found.bias, 1.0)

    def forward(self, appearance: Tensor, colors: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(B, 64)`` colours and confidences of classes, and ``(B, 16, N)`` scores.

        Args:
            appearance: ``(B, 96)``.
            colors: ``(B, 3, N)``.
            known: ``(B, 9, N)`` of the same pixels.
        """
        spread, centre = torch.var_mean(colors, dim=2, keepdim=True, correction=0)
        relative = (colors - centre) / (spread + 1e-3).sqrt()
        hidden = self.pixel(torch.cat([known, relative], dim=1).transpose(1, 2))
        score = self.query(appearance).view(-1, CLASSES, 32) @ hidden.transpose(1, 2)
        share = score.softmax(dim=2)
        strength = score.logsumexp(dim=2) - math.log(score.shape[2])
        found = self.found(torch.cat([appearance, 0.1 * strength], dim=1)).sigmoid()
        means = (share @ colors.transpose(1, 2) - 0.5).flatten(1)
        return torch.cat([means, found], dim=1), score


def class_colors(code: Tensor) -> tuple[Tensor, Tensor]:
    """Return what codes ``(B, 188)`` say of the classes: colours from 0.5, and confidences.

    Returns:
        ``(B, 16, 3)`` and ``(B, 16)``.
    """
    _, colors, found, _ = code.split((APPEARANCE, 3 * CLASSES, CLASSES, STATISTICS), dim=1)
    return colors.view(-1, CLASSES, 3), found


def class_amounts(code: Tensor) -> Tensor:
    """Return how much of each class pictures with codes ``(B, 188)`` show, ``(B, 16)``."""
    return code[:, -STATISTICS:][:, :CLASSES]


def moments(colors: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean ``(B, 3)`` and second moments ``(B, 9)`` of colours ``(B, 3, N)``, from 0.5.

    No covariance: the mean of the moments of two images are the moments of both together.
    """
    shifted = colors - 0.5
    second = shifted @ shifted.transpose(1, 2) / colors.shape[2]
    return shifted.mean(dim=2), second.flatten(1)


def mean_and_covariance(code: Tensor) -> tuple[Tensor, Tensor]:
    """Return what codes ``(B, 188)`` say of all colours: means ``(B, 3, 1)`` from 0.5, covariances.

    The covariances are ``(B, 3, 3)``.
    """
    mean, second = code[:, -12:].split((3, 9), dim=1)
    return mean.unsqueeze(2), second.view(-1, 3, 3) - mean.unsqueeze(2) * mean.unsqueeze(1)


class ClassPooling(nn.Module):
    """Values of rows, averaged within classes that attention forms.

    Args:
        width: Numbers of a row.
        classes: How many classes.
        values: Numbers that are averaged.

    Example:
        >>> ClassPooling(8, classes=2, values=5)(torch.rand(1, 100, 8)).shape
        torch.Size([1, 2, 5])
    """

    def __init__(self, width: int, *, classes: int, values: int) -> None:
        super().__init__()
        self.share, self.value = nn.Linear(width, classes), nn.Linear(width, values)

    def forward(self, rows: Tensor) -> Tensor:
        """Return ``(B, classes, values)`` of rows ``(B, N, width)``."""
        pooled: Tensor = self.share(rows).transpose(1, 2).softmax(dim=2) @ self.value(rows)
        return pooled


def sample_pixels(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return colours and details of the pixels on a grid, at full resolution.

    Args:
        images: ``(B, 3, H, W)``, sides >= 9.

    Returns:
        Colours ``(B, 3, N)``, and ``(B, 3, N)`` of how far their grey is from the mean of the
        neighbours 1, 2 and 4 pixels away, along and across.
    """
    height, width = images.shape[2:]
    places = _grid(height, width, images.device).expand(*images.shape[:2], -1)
    pixels = images.flatten(2).gather(2, places)  # a twentieth of the time of an index_select
    colors, beside = pixels.unflatten(2, (1 + 4 * len(_DISTANCES), -1)).split_with_sizes(
        (1, 4 * len(_DISTANCES)), dim=2
    )
    colors = colors.squeeze(2)
    grey, around = colors.mean(dim=1)[:, None], beside.mean(dim=1).unflatten(1, (-1, 4))
    left, right, over, under = around.unbind(dim=2)
    across, down = (grey - (left + right) / 2.0).abs(), (grey - (over + under) / 2.0).abs()
    return colors, (across + down) / 2.0


def _thumbnail(images: Tensor) -> Tensor:
    """Return images in 48 x 48 pixels, each the mean of an area."""
    if not torch.compiler.is_compiling():
        return F.interpolate(images, (_THUMBNAIL, _THUMBNAIL), mode="area")
    # the same as two products, whatever the size: ONNX has no area of a size that may vary
    rows, columns = (_area_means(side, images) for side in images.shape[2:])
    return rows @ images @ columns.T


def _area_means(side: int, like: Tensor) -> Tensor:
    """Return ``(48, side)``, which averages a side of an image to 48 pixels."""
    places = torch.arange(side, device=like.device)
    steps = torch.arange(_THUMBNAIL, device=like.device)[:, None]
    first, last = steps * side // _THUMBNAIL, -((steps + 1) * side // -_THUMBNAIL)
    inside = ((places >= first) & (places < last)).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


def _grid(height: int, width: int, device: torch.device) -> Tensor:
    """Return the numbers of the grid's pixels, then those of their neighbours, four a distance."""
    farthest = max(_DISTANCES)
    steps = torch.arange(_GRID, device=device)
    rows, cols = (
        farthest + steps * (side - 1 - 2 * farthest) // (_GRID - 1) for side in (height, width)
    )
    places = (rows[:, None] * width + cols).flatten()
    beside = [places + step for d in _DISTANCES for step in (-d, d, -d * width, d * width)]
    return torch.cat([places, *beside])


def _density(images: Tensor) -> Tensor:
    return -images.clamp_min(1.0 / 255.0).log() / 3.0 - 0.3


def _compressed(details: Tensor) -> Tensor:
    """Return details on a scale on which faint ones differ, too."""
    return (details + 1e-3).log() / 3.0 + 1.5
