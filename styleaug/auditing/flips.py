"""For every image the smallest change that flips the decision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from styleaug.appearance import EFFECTS, AppearanceParams
from styleaug.auditing.changes import changed, effect_ends
from styleaug.auditing.outcome import Outcome, Watcher
from styleaug.auditing.reference import Reference
from styleaug.auditing.samples import Samples
from styleaug.auditing.scores import flipped
from styleaug.images.batch import Images

HALVINGS = 4
"""How often the gap between the last strength that holds and the first that flips is halved."""


@dataclass(frozen=True)
class Flip:
    """The smallest change of one effect that flips the decision on an image.

    Attributes:
        image: Number of the image.
        effect: The effect.
        strength: Smallest strength at which the decision was found to flip.
        values: Parameters of the effect at that strength.
    """

    image: int
    effect: str
    strength: float
    values: tuple[float, ...]

    def change(self, seed: int) -> FlipChange:
        """Return the change of this image alone."""
        return FlipChange((self.effect,), (self.strength,), seed)

    @property
    def text(self) -> str:
        """The parameters that differ from neutral, with their units."""
        return describe_values(self.effect, self.values)


@dataclass(frozen=True)
class FlipChange:
    """A change with an effect and a strength of its own for every image."""

    effects: tuple[str, ...]
    strengths: tuple[float, ...]
    seed: int
    kind: str = "flip"
    member: str = ""
    strength: float = 0.0

    def apply(self, images: Images, names: Sequence[str]) -> Tensor:
        """Return the changed images; see `styleaug.auditing.changes.Change`."""
        own = zip(self.effects, names, self.strengths, strict=True)
        rows = [
            effect_ends(EFFECTS[effect], [name], [strength], self.seed).values[effect][0]
            for effect, name, strength in own
        ]
        values = {
            effect: tuple(
                row if effect == mine else tuple(EFFECTS[effect].neutral)
                for mine, row in zip(self.effects, rows, strict=True)
            )
            for effect in dict.fromkeys(self.effects)
        }
        return changed(images, AppearanceParams(values))


def smallest_flips(
    samples: Samples,
    reference: Reference,
    watcher: Watcher,
    graded: Mapping[str, Sequence[tuple[float, Outcome]]],
    before: Outcome,
    seed: int,
) -> list[Flip]:
    """Return the smallest flipping change of every image that has one, the smallest first.

    For each image the effect that flips at the lowest of the tried strengths is chosen. The gap
    below that strength is then halved `HALVINGS` times.

    Args:
        samples: The images.
        reference: What the model is compared with.
        watcher: The model.
        graded: For each effect its strengths, rising, and their outcomes.
        before: Outcome of the images as they are.
        seed: Seed of the draws of ends.
    """
    first = _first_flips(graded, before, reference)
    if not first:
        return []
    rows = sorted(first)
    effects = tuple(first[row][0] for row in rows)
    low = torch.tensor([first[row][1] for row in rows], dtype=torch.float64)
    high = torch.tensor([first[row][2] for row in rows], dtype=torch.float64)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        found = _flipped_at(samples, reference, watcher, before, rows, effects, middle, seed)
        low, high = torch.where(found, low, middle), torch.where(found, middle, high)
    names = samples.names
    flips = [
        Flip(row, effect, strength, _values(effect, names[row], strength, seed))
        for row, effect, strength in zip(rows, effects, high.tolist(), strict=True)
    ]
    return sorted(flips, key=lambda flip: (flip.strength, flip.image))


def flips_to_json(flips: Sequence[Flip]) -> str:
    """Return flips as JSON."""
    return json.dumps([asdict(flip) for flip in flips])


def flips_from_json(text: str) -> list[Flip]:
    """Read what `flips_to_json` wrote."""
    return [Flip(**{**item, "values": tuple(item["values"])}) for item in json.loads(text)]


def describe_values(effect: str, values: Sequence[float]) -> str:
    """Return the parameters of an effect that differ from neutral, in words.

    Example:
        >>> describe_values("exposure", (-0.25, 0.0))
        'exposure -0.25 EV'
    """
    parts = [
        f"{parameter.name} {value:.3g} {parameter.unit}"
        for parameter, value in zip(EFFECTS[effect].parameters, values, strict=True)
        if value != parameter.neutral and parameter.name != "seed"
    ]
    return ", ".join(parts)


def _first_flips(
    graded: Mapping[str, Sequence[tuple[float, Outcome]]], before: Outcome, reference: Reference
) -> dict[int, tuple[str, float, float]]:
    """Return for each image the effect, the last strength that holds and the first that flips."""
    first: dict[int, tuple[str, float, float]] = {}
    for effect, steps in graded.items():
        below = [0.0, *(strength for strength, _ in steps)]
        held = torch.ones(len(before), dtype=torch.bool)
        for last, (strength, outcome) in zip(below, steps, strict=False):
            now = flipped(outcome, before, reference) & held
            held &= ~now
            for row in now.nonzero().flatten().tolist():
                if row not in first or strength < first[row][2]:
                    first[row] = effect, last, strength
    return first


def _flipped_at(
    samples: Samples,
    reference: Reference,
    watcher: Watcher,
    before: Outcome,
    rows: Sequence[int],
    effects: tuple[str, ...],
    strengths: Tensor,
    seed: int,
) -> Tensor:
    """Return which of these images flip, each under its own effect and strength."""
    flags = []
    seen = samples.take(rows)
    truth, plain = reference.take(rows), before.take(list(rows))
    place = 0
    for batch in seen.batches:
        own = slice(place, place + len(batch))
        change = FlipChange(effects[own], tuple(strengths[own].tolist()), seed)
        numbers = list(range(own.start, own.stop))
        part = seen.take(numbers)
        outcome = watcher.watch(part, change, truth.take(numbers))
        flags.append(flipped(outcome, plain.take(numbers), truth.take(numbers)))
        place = own.stop
    return torch.cat(flags)


def _values(effect: str, name: str, strength: float, seed: int) -> tuple[float, ...]:
    return effect_ends(EFFECTS[effect], [name], [strength], seed).values[effect][0]
