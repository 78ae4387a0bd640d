"""The changes that a model is audited under; each is a function of images, already drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from styleaug._draws import id_keys, uniforms
from styleaug.appearance import EFFECTS, KINDS, Appearance, AppearanceParams, change_appearance
from styleaug.appearance.effect import Effect, Parameter
from styleaug.images.batch import Images, from_content, to_content
from styleaug.params import StyleParams
from styleaug.transform import StyleTransfer

NOTHING = "as it is"
LABORATORY = "laboratory"
STYLE = "style"
WORST = "worst found"
_SEED = "seed"
"""Name of the parameter that is the seed of a generator: it has no ends and no strength."""


class Change(Protocol):
    """A change of appearance."""

    @property
    def kind(self) -> str:
        """What is changed: an effect, `LABORATORY`, `STYLE`, `WORST` or `NOTHING`."""

    @property
    def member(self) -> str:
        """Name among the changes of its kind; empty if there is only one."""

    @property
    def strength(self) -> float:
        """Strength: 0 changes nothing, 1 is the range between laboratories, or full style."""

    def apply(self, images: Images, names: Sequence[str]) -> Tensor:
        """Return the changed images, in the layout of ``images.restore``."""


@dataclass(frozen=True)
class Unchanged:
    """Leaves the images as they are."""

    kind: str = NOTHING
    member: str = ""
    strength: float = 0.0

    def apply(self, images: Images, names: Sequence[str]) -> Tensor:
        """See `Change`."""
        return torch.as_tensor(images.restore(images.batch))


@dataclass(frozen=True)
class OneEffect:
    """A single effect at the ends of its ranges.

    If the neutral value of a parameter lies within its range, one of the two ends is drawn for
    every image; otherwise, as for blur, it is the end that is further from neutral.
    """

    kind: str
    strength: float
    seed: int
    member: str = ""

    def params(self, names: Sequence[str]) -> AppearanceParams:
        """Return the values of every image."""
        return effect_ends(EFFECTS[self.kind], names, [self.strength] * len(names), self.seed)

    def apply(self, images: Images, names: Sequence[str]) -> Tensor:
        """See `Change`."""
        return changed(images, self.params(names))


@dataclass(frozen=True)
class OneAppearance:
    """One appearance for all images, as if one laboratory had made them."""

    kind: str
    member: str
    strength: float
    values: Mapping[str, tuple[float, ...]]
    seed: int

    def apply(self, images: Images, names: Sequence[str]) -> Tensor:
        """See `Change`."""
        rows = {name: (value,) * len(names) for name, value in self.values.items()}
        return changed(images, reseeded(AppearanceParams(rows), names, self.seed))


@dataclass(frozen=True)
class OneStyle:
    """One style of a bank for all images."""

    member: str
    strength: float
    style: int
    transform: StyleTransfer
    kind: str = STYLE

    def apply(self, images: Images, names: Sequence[str]) -> Tensor:
        """See `Change`."""
        count = len(names)
        fingerprint = self.transform.source.fingerprint(count)
        params = StyleParams(
            (True,) * count, (self.style,) * count, (self.strength,) * count, fingerprint
        )
        return torch.as_tensor(self.transform.apply_transform(images, params))


@dataclass(frozen=True)
class Plan:
    """The changes that an audit goes through.

    Attributes:
        kind: Kind of the images, a key of `KINDS`.
        strengths: Strengths of single effects, rising; laboratories are drawn at the last one,
            styles painted at the last two.
        laboratories: Number of appearances that are drawn for all images together.
        transform: Paints the styles; None for an audit without styles.
        styles: Numbers of the styles in the bank.
        seed: Seed of everything random.
    """

    kind: str
    strengths: tuple[float, ...]
    laboratories: int
    transform: StyleTransfer | None
    styles: tuple[int, ...]
    seed: int

    @cached_property
    def changes(self) -> list[Change]:
        """All changes but the worst appearance, which is searched for later."""
        single = [
            OneEffect(effect, strength, self.seed)
            for effect in KINDS[self.kind]
            for strength in self.strengths
        ]
        drawn = [
            drawn_laboratory(self.kind, number, self.full, self.seed)
            for number in range(self.laboratories)
        ]
        return [Unchanged(), *single, *drawn, *self._styles()]

    @property
    def full(self) -> float:
        """The highest strength."""
        return self.strengths[-1]

    def _styles(self) -> list[OneStyle]:
        if self.transform is None:
            return []
        names = self.transform.source.names  # type: ignore[attr-defined]
        return [
            OneStyle(f"{style}: {names[style]}", strength, style, self.transform)
            for style in self.styles
            for strength in self.strengths[-2:]
        ]


def drawn_laboratory(kind: str, number: int, strength: float, seed: int) -> OneAppearance:
    """Return a random appearance of a kind; each effect is on with probability 1/2.

    The same number gives the same appearance at every strength, scaled towards neutral.
    """
    draw = Appearance(kind, strength=strength, p=0.5, image_p=1.0, seed=seed)
    params = draw.draw_params(1, ids=[f"{LABORATORY} {number}"])
    values = {name: rows[0] for name, rows in params.values.items()}
    return OneAppearance(LABORATORY, str(number + 1), strength, values, seed)


def effect_ends(
    effect: Effect, names: Sequence[str], strengths: Sequence[float], seed: int
) -> AppearanceParams:
    """Return values of one effect at the ends of its ranges, drawn from the names of the images.

    Args:
        effect: The effect.
        names: One name per image.
        strengths: One strength per image.
        seed: Seed of the draw.

    Example:
        >>> effect_ends(EFFECTS["point-spread"], ["a"], [0.5], 0).values
        {'point-spread': ((0.85...,),)}
    """
    keys = id_keys(seed, [f"{effect.name} of {name}" for name in names])
    drawn = torch.from_numpy(uniforms(keys, len(effect.parameters)))
    strength = torch.tensor(list(strengths), dtype=torch.float64)
    columns = [
        _end(parameter, place, strength)
        for parameter, place in zip(effect.parameters, drawn.unbind(dim=1), strict=True)
    ]
    rows = tuple(map(tuple, torch.stack(columns, dim=1).tolist()))
    return AppearanceParams({effect.name: rows})


def changed(images: Images, params: AppearanceParams) -> Tensor:
    """Apply a row of params to each image; all slices of a volume share its row.

    Args:
        images: Images or volumes.
        params: A row per image.
    """
    flat = images.sliced() if images.depth > 1 else images
    if images.depth > 1:
        params = _per_slice(params, images.depth)
    content = change_appearance(to_content(flat.batch), params)
    return torch.as_tensor(flat.restore(from_content(content, flat.batch)))


def reseeded(params: AppearanceParams, names: Sequence[str], seed: int) -> AppearanceParams:
    """Return params with other noise for every image."""
    numbers = uniforms(id_keys(seed, [f"noise of {name}" for name in names]), 1)
    return _with_seeds(params, (numbers[:, 0] * 2.0**24).tolist())


def _end(parameter: Parameter, place: Tensor, strength: Tensor) -> Tensor:
    if parameter.name == _SEED:
        return parameter.at(place, torch.ones_like(strength))
    if parameter.low < parameter.neutral < parameter.high:
        ends = (place >= 0.5).double()
    else:
        far = abs(parameter.high - parameter.neutral) >= abs(parameter.low - parameter.neutral)
        ends = torch.full_like(place, float(far))
    return parameter.at(ends, strength)


def _per_slice(params: AppearanceParams, depth: int) -> AppearanceParams:
    """Repeat the row of every volume for its slices, with other noise in each."""
    values = {
        name: tuple(row for row in rows for _ in range(depth))
        for name, rows in params.values.items()
    }
    for name in filter(_has_seed, values):
        rows = values[name]
        values[name] = tuple((*row[:-1], row[-1] + place % depth) for place, row in enumerate(rows))
    return AppearanceParams(values)


def _with_seeds(params: AppearanceParams, seeds: Sequence[float]) -> AppearanceParams:
    values = dict(params.values)
    for name in filter(_has_seed, params.values):
        neutral = tuple(EFFECTS[name].neutral)
        rows = zip(params.values[name], seeds, strict=True)
        values[name] = tuple(
            row if row == neutral else (*row[:-1], float(seed)) for row, seed in rows
        )
    return AppearanceParams(values)


def _has_seed(effect: str) -> bool:
    return EFFECTS[effect].parameters[-1].name == _SEED
