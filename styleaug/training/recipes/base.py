"""The contract of a recipe: networks, losses with weights, and what is saved in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from styleaug.training.config import TrainConfig
from styleaug.weights import Weights

Phase = Literal["generator", "discriminator"]


class Recipe(nn.Module):
    """Networks and losses of one stylizer; calling it gives the losses of a batch.

    Args:
        config: The settings of the run.

    Attributes:
        loss_weights: Weight of every loss of the generator.
        published: Weights that ``config.start`` may name.
        discriminator_steps: Discriminator updates per generator update, may be a fraction; 0 where
            there is none.

    Raises:
        ValueError: If ``config.weights`` or ``config.options`` names something unknown.
    """

    default_weights: ClassVar[Mapping[str, float]] = {}
    default_options: ClassVar[Mapping[str, object]] = {}
    published: ClassVar[Sequence[Weights]] = ()
    discriminator_steps: ClassVar[float] = 0

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        _refuse_unknown("weights", config.weights, self.default_weights)
        _refuse_unknown("options", config.options, self.default_options)
        self.config = config
        self.loss_weights = {**self.default_weights, **config.weights}
        self.options = {**self.default_options, **config.options}

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the losses of a batch in a phase, not weighted.

        The names of the losses of both phases are keys of ``default_weights``.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement forward.")

    def weigh(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of losses."""
        terms = [self.loss_weights[name] * loss for name, loss in losses.items()]
        return sum(terms[1:], start=terms[0])

    def generator(self) -> nn.Module:
        """Return what is trained and saved."""
        raise NotImplementedError(f"{type(self).__name__} must implement generator.")

    def trained(self) -> nn.Module:
        """Return what the optimiser of the generator changes: it, and heads that are not saved."""
        return self.generator()

    def discriminator(self) -> nn.Module | None:
        """Return what is trained against the generator, or None."""
        return None

    def file_config(self) -> dict[str, object]:
        """Return what a loader needs beside the weights, such as normalisation constants."""
        return {}

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images ``(B, 3, H, W)`` in [0, 1] to look at."""
        raise NotImplementedError(f"{type(self).__name__} must implement preview.")

    def _list(self, name: str) -> Sequence[object]:
        """Return an option that must be a list."""
        value = self.options[name]
        if not isinstance(value, list | tuple):
            raise ValueError(f"options.{name} must be a list, got {value!r}.")
        return value

    def _names(self, name: str) -> list[str]:
        """Return an option that is a list of names."""
        return [str(item) for item in self._list(name)]

    def _numbers(self, name: str) -> list[float]:
        """Return an option that is a list of numbers."""
        return [float(str(item)) for item in self._list(name)]


def _refuse_unknown(name: str, given: Mapping[str, object], known: Mapping[str, object]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{name} has unknown keys {unknown}; this recipe has {sorted(known)}.")
