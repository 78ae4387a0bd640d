"""Appearance: a random laboratory, scanner or camera for every image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from styleaug._checks import check_choice, check_probability
from styleaug._draws import uniforms
from styleaug.appearance.effect import Effect
from styleaug.appearance.kinds import EFFECTS, KINDS
from styleaug.appearance.params import AppearanceParams
from styleaug.images.batch import AnyImage, Images, from_content, to_content
from styleaug.images.drawn import DrawnTransform

MAX_STRENGTH = 2.0
"""Largest strength: twice the ranges."""


class Appearance(DrawnTransform[AppearanceParams]):
    """Change how images were made, without changing their content.

    Every image gets a random laboratory, scanner, camera and file: stain, light, optics, sensor,
    tone, sharpness, noise and compression, as far as they apply to its kind. It needs neither style
    images nor a network, and is used alone or before `StyleTransfer`.

    It takes the same images as `StyleTransfer`: any layout and container, uint8, uint16 or floating
    point in [0, 1], with 1, 3 or 4 channels, on any device.

    Args:
        kind: A name of `KINDS`, or several, from which one is drawn for every image.
        strength: Width of the ranges: 0 changes nothing, 1 is the usual difference between
            laboratories, 2 is the maximum. A pair is a range from which a strength is drawn
            uniformly for every image.
        p: Probability of each effect.
        image_p: Probability that an image is changed at all. Networks that also saw images as they
            are lost least in the laboratories of their training.
        effects: Name of `EFFECTS` that may be drawn, or several, of those of the kinds; None: all.
        seed: Draw from a random stream of its own instead of PyTorch's generator. Every rank and
            loader worker gets a different stream.

    Raises:
        ValueError: If an argument is out of range.

    Source:
        Sources of each effect and its range: the modules of `styleaug.appearance`. Many appearances
        of one image in training: Tellez et al., Med. Image Anal. 2019 (stain), Billot et al.,
        SynthSeg, Med. Image Anal. 2023 (everything).

    Example:
        >>> import torch
        >>> transform = Appearance("stained", seed=0)
        >>> images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
        >>> params = transform.make_params(images)
        >>> torch.equal(
        ...     transform.apply_transform(images, params)[2:],
        ...     transform.apply_transform(images[2:], params[2:]),
        ... )
        True
    """

    def __init__(
        self,
        kind: str | Sequence[str] = "stained",
        *,
        strength: float | tuple[float, float] = 1.0,
        p: float = 0.5,
        image_p: float = 0.5,
        effects: str | Sequence[str] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.kinds = (kind,) if isinstance(kind, str) else tuple(kind)
        for name in self.kinds or ("",):
            check_choice("kind", name, KINDS)
        self.strength = _check_strength(strength)
        self.p = check_probability("p", p)
        self.image_p = check_probability("image_p", image_p)
        names = _check_effects(effects, self.kinds)
        self.effects = tuple(effect for name, effect in EFFECTS.items() if name in names)

    def draw_params(
        self,
        count: int,
        generator: torch.Generator | None = None,
        *,
        ids: Sequence[int | str] | None = None,
    ) -> AppearanceParams:
        """Draw params for ``count`` images without the images; arguments as in `forward`."""
        columns = [2, *(1 + len(effect.parameters) for effect in self.effects)]
        drawn = torch.from_numpy(uniforms(self._keys(count, generator, ids), sum(columns) + 1))
        first, *rest, last = drawn.split([*columns, 1], dim=1)
        changed = last[:, 0] < self.image_p
        kind = (first[:, 0] * len(self.kinds)).long()
        low, high = self.strength
        strength = low + (high - low) * first[:, 1]
        values = {}
        for effect, own in zip(self.effects, rest, strict=True):
            has = torch.tensor([effect.name in KINDS[name] for name in self.kinds])[kind]
            values[effect.name] = _draw(effect, own, strength, has & changed & (own[:, 0] < self.p))
        return AppearanceParams(values)

    def apply_transform(self, image: AnyImage | Images, params: AppearanceParams) -> AnyImage:
        """Apply params that were drawn before; nothing is random here.

        Args:
            image: A batch or an image; see the class.
            params: What `make_params` returned, one row per image.

        Returns:
            The changed image: same kind, shape, data type and device as the input.

        Raises:
            ValueError: If the params are for another number of images, or the image is a volume.
        """
        images = self._images(image)
        if images.depth > 1:
            raise ValueError(
                f"image must not be a volume, got one of {images.depth} slices. "
                "Pass volume.sliced(), which are images."
            )
        if len(params) != len(images):
            raise ValueError(f"params must hold {len(images)} images, got {len(params)}.")
        return images.restore(_changed(images.batch, params))

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        kinds = ", ".join(map(repr, self.kinds))
        text = f"{kinds}, strength={self.strength}, p={self.p}, image_p={self.image_p}"
        return f"{text}, effects={[effect.name for effect in self.effects]}"


@torch.no_grad()
def change_appearance(content: Tensor, params: AppearanceParams) -> Tensor:
    """Apply params to images that have been checked.

    Args:
        content: float32 ``(B, 3, H, W)`` RGB in [0, 1].
        params: B rows.

    Returns:
        ``(B, 3, H, W)`` in [0, 1]; a copy.
    """
    out = content.clone()
    for name in (name for name in EFFECTS if name in params.values):
        effect, values = EFFECTS[name], params.tensor(name)
        rows = (values != torch.tensor(effect.neutral)).any(dim=1).nonzero().flatten()
        if len(rows):
            rows, some = rows.to(content.device), values[rows].to(content.device)
            out[rows] = effect.apply(out[rows], some).clamp_(0.0, 1.0)
    return out


def _changed(batch: Tensor, params: AppearanceParams) -> Tensor:
    return from_content(change_appearance(to_content(batch), params), batch)


def _draw(
    effect: Effect, drawn: Tensor, strength: Tensor, on: Tensor
) -> tuple[tuple[float, ...], ...]:
    """Return the values of an effect, neutral where it is off."""
    columns = []
    for parameter, place in zip(effect.parameters, drawn[:, 1:].unbind(dim=1), strict=True):
        value = parameter.at(place, strength)
        columns.append(torch.where(on, value, torch.full_like(value, parameter.neutral)))
    return tuple(map(tuple, torch.stack(columns, dim=1).tolist()))


def _check_effects(effects: str | Sequence[str] | None, kinds: Sequence[str]) -> set[str]:
    """Return the names of the effects to draw, or raise where the kinds have no such effect."""
    there = {name for kind in kinds for name in KINDS[kind]}
    if effects is None:
        return there
    names = [effects] if isinstance(effects, str) else list(effects)
    wrong = [name for name in names if name not in there]
    if wrong or not names:
        raise ValueError(
            f"effects must be some of those of {', '.join(map(repr, kinds))}, "
            f"{[name for name in EFFECTS if name in there]}, got {wrong or names}."
        )
    return set(names)


def _check_strength(strength: float | tuple[float, float]) -> tuple[float, float]:
    pair = tuple(strength) if isinstance(strength, Sequence) else (strength, strength)
    if len(pair) != 2 or not 0.0 <= pair[0] <= pair[1] <= MAX_STRENGTH:
        raise ValueError(
            f"strength must be a number in [0, {MAX_STRENGTH}] or a (low, high) pair of them, "
            f"got {strength!r}."
        )
    return float(pair[0]), float(pair[1])
