"""The network of "micro": a local colour transform, steered by channel statistics of the style."""

from __future__ import annotations

from functools import partial
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleaug.functional import MIN_STD, channel_moments

HALF, QUARTER, EIGHTH = 32, 64, 80
"""Channels of the content branch at one half, one quarter and one eighth of the image's size."""

_STATISTICS_CHANNELS = (24, 48, 64)
_HIDDEN = 192
_BLOCKS = 3
BANDS = 4
"""Bands of the pyramid: details of 1, 2, 4 and 8 pixels."""

Statistics: TypeAlias = tuple[Tensor, Tensor, Tensor]

_SEEN = (-0.5, 1.5)
"""Range of values that the network sees; wider than [0, 1], so that it can reduce such values."""
_MAX_GAIN = 4.0
_FAINT = 1e-3
_NEAR = 0.02
"""Distance of statistics at which the output of the network has half of its weight."""
_HALF_WAY = 0.03
"""Distance of statistics at which the result is half of the way to the style."""
_NORM_EPS = 1e-3


class MicroNetwork(nn.Module):
    """Gives the content the contrast of the style at every scale, with spatially varying gains.

    A Laplacian pyramid of the content is scaled to the strength of the style's bands, its coarsest
    level to the style's colours. The network sees this image, compares the statistics of its
    features with those of the style, and predicts how to amplify each band and how to mix colours
    at every position. Both are applied to the bands of the content, so every edge comes from the
    content. Features start at half of the image's size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = StatisticsEncoder()
        self.of_style = nn.Linear(self.encoder.size, _HIDDEN)
        self.of_content = nn.Linear(self.encoder.size, _HIDDEN)
        self.film = nn.Linear(_HIDDEN, sum(_film_sizes()))
        self.tune = nn.Linear(_HIDDEN, BANDS + 9 + 3)
        nn.init.normal_(self.film.weight, std=0.01)
        nn.init.zeros_(self.film.bias)
        self.stem = _conv(12, HALF)
        self.down1 = _conv(HALF, QUARTER, stride=2)
        self.down2 = _conv(QUARTER, EIGHTH, stride=2)
        self.blocks = nn.ModuleList(_conv(EIGHTH, EIGHTH) for _ in range(2 * _BLOCKS))
        self.up1 = nn.Conv2d(EIGHTH, QUARTER, 1)
        self.mix1 = _conv(QUARTER, QUARTER)
        self.up2 = nn.Conv2d(QUARTER, HALF, 1)
        self.mix2 = _conv(HALF, HALF)
        self.heads = nn.ModuleList(
            [_conv(HALF, 9 + 12 + 4 + 1), nn.Conv2d(QUARTER, 1, 1), nn.Conv2d(EIGHTH, 1, 1)]
        )
        for parameter in (*self.heads.parameters(), *self.tune.parameters()):
            nn.init.zeros_(parameter)

    def encode_style(self, style: Tensor) -> dict[str, Tensor]:
        """Return statistics of style images ``(S, 3, H, W)``: features, bands and colours."""
        bands, low = laplacian_pyramid(style.float())
        mean, std = channel_moments(low)
        features = self.of_style(self.encoder(style)).float()
        strengths = torch.stack([strength(band) for band in bands], dim=1)
        return {"features": features, "bands": strengths, "mean": mean, "std": std}

    def forward(
        self, content: Tensor, features: Tensor, bands: Tensor, mean: Tensor, std: Tensor
    ) -> Tensor:
        """Return stylized images, not clamped.

        Args:
            content: ``(B, 3, H, W)`` in [0, 1], sides multiples of 16.
            features: ``(B, N)`` from the statistics of the style's features.
            bands: ``(B, 4, 3, 1, 1)`` mean magnitudes of the style's bands.
            mean: ``(B, 3, 1, 1)`` colour means of the style.
            std: ``(B, 3, 1, 1)`` colour deviations of its coarsest level.
        """
        own, low = laplacian_pyramid(content.float())
        strengths = torch.stack([strength(band) for band in own], dim=1)
        moments = channel_moments(low)
        far = difference((strengths, *moments), (bands, mean, std))
        share = far / (far + _NEAR)
        low = match_channels(low, moments, (mean, std))
        gains = band_gains(strengths, bands).unbind(dim=1)
        own = [band * gain for band, gain in zip(own, gains, strict=True)]
        base = rebuild(own, low).clamp(*_SEEN)
        both = F.relu(features + self.of_content(self.encoder(base)))
        masks, field = self.look(base, self.film(both).float(), self.tune(both).float())
        pairs = zip(own, masks, strict=True)
        own = [band.addcmul(band, share * mask.to(band.dtype)) for band, mask in pairs]
        stylized = apply_field(rebuild(own, low), share * field)
        return content.float().lerp(stylized, full_strength(far))

    def look(self, base: Tensor, film: Tensor, tune: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return a mask ``(B, 1, ...)`` per band, and the field ``(B, 21, H/2, W/2)`` of colours.

        The field holds nine matrix entries and twelve sub-pixel offsets.

        Args:
            base: ``(B, 3, H, W)``.
            film: Scales and shifts of all layers.
            tune: ``(B, 16)``, added to masks, matrix and offset at every position.
        """
        steps = iter(film.split(_film_sizes(), dim=1))
        image = F.pixel_unshuffle(base - 0.5, 2).contiguous(memory_format=torch.channels_last)
        half = _act(self.stem(image), next(steps))
        quarter = _act(self.down1(half), next(steps))
        x = _act(self.down2(quarter), next(steps))
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            inner = _act(first(x), next(steps))
            x = _modulate(second(inner), next(steps)).add_(x)
        coarse = self.heads[2](x)
        x = F.interpolate(self.up1(x), scale_factor=2.0, mode="nearest").add_(quarter)
        x = _act(self.mix1(x), next(steps))
        middle = self.heads[1](x)
        x = F.interpolate(self.up2(x), scale_factor=2.0, mode="nearest").add_(half)
        fine, finest, field = self.heads[0](_act(self.mix2(x), next(steps))).split([1, 4, 21], 1)
        gains, matrix, offset = tune[..., None, None].split([BANDS, 9, 3], dim=1)
        masks = [F.pixel_shuffle(finest, 2), fine, middle, coarse]
        masks = [mask + gain for mask, gain in zip(masks, gains.split(1, dim=1), strict=True)]
        return masks, field + torch.cat([matrix, offset.repeat_interleave(4, dim=1)], dim=1)


class StatisticsEncoder(nn.Module):
    """Means and standard deviations of the colours of an image and of three levels of features."""

    size = 2 * (3 + sum(_STATISTICS_CHANNELS))

    def __init__(self) -> None:
        super().__init__()
        first, second, third = _STATISTICS_CHANNELS
        self.level1 = _inner_conv(12, first)
        self.level2 = _inner_conv(first, second, stride=2)
        self.level3 = _inner_conv(second, third, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(B, size)`` statistics of images ``(B, 3, H, W)``, in float32."""
        first = F.relu(self.level1(F.pixel_unshuffle(image - 0.5, 2)), inplace=True)
        second = F.relu(self.level2(first), inplace=True)
        third = F.relu(self.level3(second), inplace=True)
        levels = [image, first, second, third]
        return torch.cat([part for level in levels for part in _statistics(level)], dim=1)


def laplacian_pyramid(image: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return four bands, finest first, and the remainder at a sixteenth of the size.

    Source:
        Burt & Adelson, IEEE Trans. Communications 1983, with a 2 x 2 box to go down and bilinear
        interpolation to go up.
    """
    bands = []
    for _ in range(BANDS):
        smaller = F.avg_pool2d(image, 2)
        bands.append(image - _twice(smaller))
        image = smaller
    return bands, image


def rebuild(bands: list[Tensor], low: Tensor) -> Tensor:
    """Return the image of a pyramid."""
    for band in reversed(bands):
        low = _twice(low) + band
    return low


def strength(band: Tensor) -> Tensor:
    """Return the mean magnitude ``(B, 3, 1, 1)`` of a band."""
    return band.abs().mean(dim=(2, 3), keepdim=True)


def band_gains(own: Tensor, style: Tensor) -> Tensor:
    """Return the factors between the strengths of bands, limited to 1/4 ... 4."""
    return (style / own.clamp_min(_FAINT)).clamp(1.0 / _MAX_GAIN, _MAX_GAIN)


def difference(content: Statistics, style: Statistics) -> Tensor:
    """Return the distance of a content's statistics from a style's, ``(B, 1, 1, 1)``; 0 if equal.

    Args:
        content: Strengths of the bands ``(B, 4, 3, 1, 1)``, means and deviations of the coarsest
            level ``(B, 3, 1, 1)``.
        style: The same for the style.
    """
    bands, mean, std = ((own - other).abs() for own, other in zip(content, style, strict=True))
    return torch.stack([bands.sum(dim=1), mean, std]).sum(dim=0).mean(dim=1, keepdim=True)


def full_strength(far: Tensor) -> Tensor:
    """Return how far to go towards a style, as a share, from the distance of the statistics.

    The share is 1 for another stain, scanner or exposure. For two images that could come from one
    slide or film, statistics differ because of the contents, and a share of 1 would overshoot.
    """
    return far**3 / (far**3 + _HALF_WAY**3)


def match_channels(
    content: Tensor, own: tuple[Tensor, Tensor], style: tuple[Tensor, Tensor]
) -> Tensor:
    """Give the content the channel moments of the style; contrast is amplified at most four-fold.

    Args:
        content: ``(B, 3, H, W)``.
        own: Means and standard deviations of the content, ``(B, 3, 1, 1)`` each.
        style: Those of the style.
    """
    gain = (style[1] / own[1].clamp_min(MIN_STD)).clamp_max(_MAX_GAIN)
    return content * gain + (style[0] - own[0] * gain)


def apply_field(image: Tensor, field: Tensor) -> Tensor:
    """Apply a field of colour matrices (half size) and offsets (sub-pixels) to an image."""
    field = field.to(image.dtype)
    moved = image + F.pixel_shuffle(field[:, 9:], 2)
    for index, channel in enumerate((image - 0.5).split(1, dim=1)):
        moved.addcmul_(_twice(field[:, index:9:3]), channel)
    return moved


def _twice(image: Tensor) -> Tensor:
    return F.interpolate(image, scale_factor=2.0, mode="bilinear", align_corners=False)


def _conv(
    inputs: int,
    outputs: int,
    stride: int = 1,
    padding_mode: Literal["reflect", "zeros"] = "reflect",
) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, padding_mode=padding_mode)


# Statistics do not show borders, so zeros do: reflecting takes time.
_inner_conv = partial(_conv, padding_mode="zeros")


def _film_sizes() -> list[int]:
    channels = [HALF, QUARTER, EIGHTH, *[EIGHTH] * (2 * _BLOCKS), QUARTER, HALF]
    return [2 * count for count in channels]


def _modulate(x: Tensor, film: Tensor) -> Tensor:
    """Normalise every channel over the image, then scale and shift it by values of the style.

    The scaling works in place: at 1024 x 1024 pixels a map takes 32 MB, and allocating it would
    take as long as the arithmetic.
    """
    scale, shift = film.to(x.dtype).view(film.shape[0], -1, 1, 1).chunk(2, dim=1)
    normal = F.group_norm(x, x.shape[1], eps=_NORM_EPS).to(x.dtype)
    return normal.mul_(1.0 + scale).add_(shift)


def channel_moments_of_map(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return float32 means and deviations ``(B, C, 1, 1)`` of a map of any precision."""
    mean = x.mean(dim=(2, 3), keepdim=True, dtype=torch.float32)
    square = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True, dtype=torch.float32).square()
    var = square / (x.shape[2] * x.shape[3]) - mean.square()
    return mean, (var.clamp_min(0.0) + _NORM_EPS).sqrt()


def _act(x: Tensor, film: Tensor) -> Tensor:
    return F.relu(_modulate(x, film), inplace=True)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = channel_moments_of_map(x)
    return mean.flatten(1), std.flatten(1)
