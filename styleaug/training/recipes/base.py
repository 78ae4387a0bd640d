"""The contract of a recipe: networks, weighted losses, and the saved result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from styleaug._records import read_record, refuse_unknown
from styleaug.training.config import TrainConfig
from styleaug.weights import Weights

Phase = Literal["generator", "discriminator"]


@dataclass(frozen=True)
class NoOptions:
    """Options of a recipe that has none."""


class Recipe(nn.Module):
    """Networks and losses of one stylizer; calling it gives the losses of a batch.

    Args:
        config: The settings of the run.

    Attributes:
        options_type: Frozen dataclass of the recipe's options, which checks them.
        options: The options of the run, an object of this class.
        loss_weights: Weight of every loss of the generator.
        published: Published weights that ``config.start`` can name.
        alike: Whether both images of a pair must share an appearance: crops of one image, or of two
            images of one group.
        discriminator_steps: Discriminator updates per generator update, possibly a fraction; 0 if
            there is no discriminator.

    Raises:
        ValueError: If ``config.weights`` or ``config.options`` names something unknown, an option
            does not fit, or every loss has weight 0.
    """

    default_weights: ClassVar[Mapping[str, float]] = {}
    options_type: ClassVar[type] = NoOptions
    published: ClassVar[Sequence[Weights]] = ()
    alike: ClassVar[bool] = False
    discriminator_steps: ClassVar[float] = 0

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.options = self.read_options(config)
        self.config = config
        self.loss_weights = {**self.default_weights, **config.weights}
        if self.loss_weights and not any(self.loss_weights.values()):
            raise ValueError(
                f"weights must give at least one loss a weight over 0, got {config.weights}."
            )

    @classmethod
    def read_options(cls, config: TrainConfig) -> Any:
        """Return the options of a run and check its loss weights, without building networks.

        Raises:
            ValueError: As for the class.
        """
        refuse_unknown("weights", config.weights, set(cls.default_weights))
        return read_record(cls.options_type, config.options, "options")

    def forward(self, content: Tensor, style: Tensor, phase: Phase) -> dict[str, Tensor]:
        """Return the unweighted losses of a batch in a phase.

        The names of the losses of both phases are keys of ``default_weights``.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement forward.")

    def weigh(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum of losses."""
        terms = [self.loss_weights[name] * loss for name, loss in losses.items()]
        return sum(terms[1:], start=terms[0])

    def generator(self) -> nn.Module:
        """Return the module that is trained and saved."""
        raise NotImplementedError(f"{type(self).__name__} must implement generator.")

    def trained(self) -> nn.Module:
        """Return the module with all trained parameters, including heads that are not saved."""
        return self.generator()

    def discriminator(self) -> nn.Module | None:
        """Return the discriminator, or None."""
        return None

    def file_config(self) -> dict[str, object]:
        """Return settings saved beside the weights, such as normalisation constants."""
        return {}

    def preview(self, content: Tensor, style: Tensor) -> Tensor:
        """Return stylized images ``(B, 3, H, W)`` in [0, 1] to look at."""
        raise NotImplementedError(f"{type(self).__name__} must implement preview.")


def scales_by_layer(layers: Sequence[str], scales: Sequence[float]) -> dict[str, float]:
    """Return the divisor of each layer's maps; without scales it is 1.

    Raises:
        ValueError: If there is not one scale over 0 per layer.

    Example:
        >>> scales_by_layer(["relu1_1", "relu2_1"], [])
        {'relu1_1': 1.0, 'relu2_1': 1.0}
    """
    scales = scales or [1.0] * len(layers)
    if len(scales) != len(layers) or min(scales, default=1.0) <= 0.0:
        raise ValueError(
            f"scales must be one number over 0 for each of {list(layers)}, got {list(scales)}."
        )
    return dict(zip(layers, scales, strict=True))
