"""The output of a model for all images under one change, and how it is saved as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from styleaug.auditing.changes import Change
from styleaug.auditing.reference import Reference, build_reference, mask_dice
from styleaug.auditing.samples import Batch, Samples, from_model, pieces, to_model
from styleaug.images.batch import as_images, to_content
from styleaug.images.volume import as_volumes
from styleaug.tta.merging import Activation, activate, check_columns
from styleaug.tta.outputs import evaluating, named_outputs

DIGITS = 6


@dataclass(frozen=True)
class Outcome:
    """Results of every image under one change, rounded as they are saved.

    Attributes:
        scores: ``(N, C)`` probabilities; for masks ``(N, C - 1)`` Dice of each class but the
            background, NaN where neither mask has the class.
        confidence: ``(N,)`` probability of the decision; for masks the mean over pixels.
        distance: ``(N,)`` distance of the appearance from that of the unchanged image; NaN where
            it was not measured.
    """

    scores: Tensor
    confidence: Tensor
    distance: Tensor

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: Tensor | Sequence[int]) -> Outcome:
        """Return some images."""
        return Outcome(*(getattr(self, item.name)[rows] for item in fields(self)))

    @staticmethod
    def cat(parts: Sequence[Outcome]) -> Outcome:
        """Join the images of all batches."""
        names = [item.name for item in fields(Outcome)]
        return Outcome(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def to_json(self) -> str:
        """Return the outcome as a JSON object; NaN is null."""
        record = {item.name: _listed(getattr(self, item.name)) for item in fields(self)}
        return json.dumps(record)

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Read what `to_json` wrote.

        Raises:
            ValueError: If it is something else.
        """
        record = json.loads(text)
        try:
            return cls(*(_tensor(record[item.name]) for item in fields(cls)))
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is no outcome of an audit ({error!r})") from error


def runnable(model: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """Return a model as something to call: of an exported program its module."""
    if isinstance(model, ExportedProgram):
        return model.module()
    return model


@dataclass(frozen=True)
class Watcher:
    """A model with its preprocessing and activation, run on changed images.

    Attributes:
        model: The model.
        preprocess: Applied to images before the model.
        activation: How outputs become probabilities.
        device: Device on which images are changed and the model runs.
        describe: Function from contents ``(B, 3, H, W)`` to vectors ``(B, K)`` of their appearance.
    """

    model: Callable[[Tensor], Any]
    preprocess: Callable[[Tensor], Tensor] | None
    activation: Activation
    device: torch.device
    describe: Callable[[Tensor], Tensor]

    def watch(
        self,
        samples: Samples,
        change: Change,
        reference: Reference,
        home: Tensor | None = None,
    ) -> Outcome:
        """Return the outcome of all images under a change.

        Args:
            samples: The images.
            change: The change.
            reference: What the model is compared with.
            home: What `appearances` returned; None: measure no distance.
        """
        parts = []
        for first, batch in pieces(samples):
            rows = slice(first, first + len(batch))
            own = None if home is None else home[rows]
            parts.append(self._watched(samples, batch, change, reference.masks[rows], own))
        return Outcome.from_json(Outcome.cat(parts).to_json())

    def reference(self, samples: Samples) -> Reference:
        """Return what the model is compared with; the model sees the unchanged images."""

        def predict(batch: Batch) -> Tensor:
            images = batch.on(self.device).images
            return self.probabilities(samples, torch.as_tensor(images.restore(images.batch)))

        return build_reference(samples, predict)

    @torch.no_grad()
    def probabilities(self, samples: Samples, images: Tensor) -> Tensor:
        """Return the probabilities ``(B, C, ...)`` of images in the library's layout.

        Raises:
            TypeError: If the model returns no tensor.
            ValueError: If its shape is not that of scores of classes.
        """
        seen = to_model(samples, images)
        output = self.raw(seen).float()
        spatial = seen.shape[2:]
        if output.shape[:1] != seen.shape[:1] or output.shape[2:] not in (spatial, ()):
            raise ValueError(
                f"model must return scores (B, C) or maps (B, C, ...) of the images' size, got "
                f"{tuple(output.shape)} for {tuple(seen.shape)}."
            )
        return _with_background(from_model(samples, output), self.activation)

    def raw(self, seen: Tensor) -> Tensor:
        """Run the model in evaluation mode and return its only output."""
        seen = seen if self.preprocess is None else self.preprocess(seen)
        with evaluating(self.model):
            named = named_outputs(self.model(seen))
        if len(named) != 1:
            raise ValueError(
                f"model must return one tensor, got {sorted(named)}. Wrap it into a function that "
                "returns the one to audit."
            )
        return next(iter(named.values()))

    def appearances(self, samples: Samples) -> Tensor:
        """Return the vectors ``(N, K)`` of the unchanged images."""
        found = []
        for batch in samples.batches:
            images = batch.on(self.device).images
            found.append(self._described(torch.as_tensor(images.restore(images.batch))))
        return torch.cat(found)

    def _watched(
        self,
        samples: Samples,
        batch: Batch,
        change: Change,
        masks: Sequence[Tensor],
        home: Tensor | None,
    ) -> Outcome:
        images = batch.on(self.device).images
        after = change.apply(images, batch.names).to(self.device)
        found = self.probabilities(samples, after)
        confidence, decided = found.max(dim=1)
        if found.ndim == 2:
            scores = found
        else:
            scores = mask_dice(decided.cpu(), torch.stack(list(masks)), found.shape[1])
            confidence = confidence.flatten(1).mean(dim=1)
        distance = torch.full_like(confidence, float("nan"))
        if home is not None:
            distance = (self._described(after) - home).norm(dim=1)
        return Outcome(scores.cpu(), confidence.cpu(), distance.cpu())

    def _described(self, images: Tensor) -> Tensor:
        """Return the vectors of images; volumes are described by their middle slice."""
        record = as_images(images) if images.ndim == 4 else as_volumes(images).middle()
        return self.describe(to_content(record.batch))


def _with_background(output: Tensor, activation: Activation) -> Tensor:
    """Return probabilities of at least two classes; a single column is the second of two."""
    check_columns(output, activation)
    found = activate(output[None], activation)[0]
    if activation == "sigmoid" and found.shape[1] > 1:
        raise ValueError(
            f"activation='sigmoid' is for models with one score, got {found.shape[1]}. Classes "
            "that exclude each other take 'softmax'; of several labels audit one at a time."
        )
    if activation is None and bool(((found < -1e-4) | (found > 1 + 1e-4)).any()):
        raise ValueError(
            "activation=None is for models that return probabilities, got values from "
            f"{float(found.min()):.4g} to {float(found.max()):.4g}. Name the activation."
        )
    return torch.cat([1.0 - found, found], dim=1) if found.shape[1] == 1 else found


def _listed(values: Tensor) -> Any:
    rounded = torch.round(values.double(), decimals=DIGITS)
    return _without_nan(rounded.tolist())


def _without_nan(values: Any) -> Any:
    if isinstance(values, list):
        return [_without_nan(value) for value in values]
    return None if values != values else values


def _tensor(values: Any) -> Tensor:
    return torch.tensor(_with_nan(values), dtype=torch.float64)


def _with_nan(values: Any) -> Any:
    if isinstance(values, list):
        return [_with_nan(value) for value in values]
    return float("nan") if values is None else values
