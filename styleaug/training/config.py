"""The settings of a training run: a frozen dataclass that reads and writes TOML."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from styleaug._checks import check_choice
from styleaug._records import check_fields, read_record

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a training run.

    Attributes:
        recipe: Name of a recipe of `styleaug.training.recipes.RECIPES`.
        content: Folders of content images.
        style: Folders of style images; empty takes the content folders.
        same_kind: Share of the pairs with both images from the same content folder.
        group: Regular expression that is searched in paths; images with the same match form a group
            (one slide, one patient). Empty: every image is its own group.
        output: Folder of checkpoints, logs and the final weights.
        steps: Optimiser steps.
        epochs: Passes over the contents, instead of ``steps``; 0 to use ``steps``.
        batch_size: Images per device and step.
        accumulate: Batches whose gradients are summed before a step.
        size: Side of the square crops in pixels.
        learning_rate: Peak learning rate; after the warm-up it decays to zero along half a cosine.
        warm_up: Steps over which the rate rises.
        weight_decay: Weight decay of AdamW.
        clip: Largest norm of the gradient.
        precision: "32-true", "bf16-mixed" or "16-mixed".
        devices: Processes on this machine; under ``torchrun`` its world size is used instead.
        accelerator: "auto", "cpu", "cuda" or "mps".
        workers: Loader workers per process.
        seed: Seed of weights, crops and pairs; every rank and worker draws a different stream.
        checkpoint_every: Steps between checkpoints.
        log_every: Steps between scalars.
        images_every: Steps between image grids.
        start: Weights to start from instead of random ones: a file, or a published name such as
            "medical"; empty for none.
        features: File with the weights of the perceptual backbone; empty downloads torchvision's.
        weights: Loss weights by name, which replace those of the recipe; 0 or more.
        options: Further settings of the recipe: strings, numbers, booleans, and lists of them.

    Raises:
        ValueError: If a setting has the wrong type or is out of range. Unknown losses and options
            are refused by the `Trainer`, which knows the recipe.

    Example:
        >>> config = TrainConfig("micro", content=("slides",), output="run", steps=10)
        >>> TrainConfig.from_toml(config.to_toml()) == config
        True
    """

    recipe: str
    content: tuple[str, ...]
    output: str
    style: tuple[str, ...] = ()
    same_kind: float = 0.0
    group: str = ""
    steps: int = 10_000
    epochs: float = 0.0
    batch_size: int = 8
    accumulate: int = 1
    size: int = 128
    learning_rate: float = 1e-3
    warm_up: int = 100
    weight_decay: float = 1e-2
    clip: float = 1.0
    precision: str = "32-true"
    devices: int = 1
    accelerator: str = "auto"
    workers: int = 1
    seed: int = 0
    checkpoint_every: int = 500
    log_every: int = 20
    images_every: int = 500
    start: str = ""
    features: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("accelerator", self.accelerator, ACCELERATORS)
        for name, bound in _LEAST.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}.")
        for name, bound in (("same_kind", 1), ("seed", 2**32 - 1)):
            if getattr(self, name) > bound:
                raise ValueError(f"{name} must be at most {bound}, got {getattr(self, name)}.")
        if self.clip <= 0.0:
            raise ValueError(f"clip must be over 0, got {self.clip}.")
        if not self.content:
            raise ValueError(f"content must name at least one folder, got {self.content}.")
        _check_texts(self)
        for name, weight in self.weights.items():
            if weight < 0.0:
                raise ValueError(f"weights.{name} must be 0 or more, got {weight}.")
        options = {name: _plain(f"options.{name}", value) for name, value in self.options.items()}
        object.__setattr__(self, "options", options)

    def to_toml(self) -> str:
        """Return the settings as TOML."""
        flat = {k: v for k, v in asdict(self).items() if not isinstance(v, Mapping)}
        tables = {k: v for k, v in asdict(self).items() if isinstance(v, Mapping) and v}
        lines = [f"{key} = {_literal(value)}" for key, value in flat.items()]
        for name, table in tables.items():
            items = (f"{_literal(key)} = {_literal(value)}" for key, value in table.items())
            lines += ["", f"[{name}]", *items]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str, **changes: Any) -> TrainConfig:
        """Read TOML; ``changes`` take precedence.

        Raises:
            ValueError: If the text is no TOML, or has unknown keys or values that do not fit.
        """
        try:
            record = tomllib.loads(text) | changes
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"config must be TOML, {error}.") from error
        return read_record(cls, record, "config")

    @classmethod
    def from_file(cls, path: str | Path, **changes: Any) -> TrainConfig:
        """Read a TOML file; ``changes`` take precedence."""
        return cls.from_toml(Path(path).read_text(encoding="utf-8"), **changes)

    def with_changes(self, **changes: Any) -> TrainConfig:
        """Return a copy with other values."""
        return replace(self, **changes)


_LEAST = {
    **{"steps": 1, "epochs": 0, "batch_size": 2, "accumulate": 1, "size": 32, "devices": 1},
    **{"learning_rate": 0, "warm_up": 0, "weight_decay": 0, "workers": 0, "seed": 0},
    **{"checkpoint_every": 1, "log_every": 1, "images_every": 1, "same_kind": 0},
}


def _check_texts(config: TrainConfig) -> None:
    """Refuse strings that TOML cannot hold, and empty paths, which would mean this folder."""
    named = {"content": config.content, "style": config.style, "output": (config.output,)}
    for name, texts in named.items():
        if "" in texts:
            raise ValueError(f"{name} must be a folder, got an empty text.")
    for text in (*config.content, *config.style, config.output, config.start, config.features):
        _check_writable("paths", text)


def _plain(name: str, value: Any) -> Any:
    """Return a value with lists as tuples, or raise ``ValueError`` if TOML cannot hold it."""
    if isinstance(value, list | tuple):
        return tuple(_plain(name, item) for item in value)
    if isinstance(value, str):
        _check_writable(name, value)
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(
        f"{name} must be a text, a finite number, true, false or a list of them, got {value!r}."
    )


def _check_writable(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} must be Unicode to be written down, got {text!r}.") from error


def _literal(value: Any) -> str:
    """Return a scalar or a list of scalars as TOML; strings and numbers are written as in JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
