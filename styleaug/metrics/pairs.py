"""The base of most metrics: the mean of one number per pair of images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from styleaug.images.checks import check_unit_range


class PairMetric(Metric):
    """Averages `measure` over all pairs.

    Attributes:
        higher_is_better: Direction, as torchmetrics states it.
        same_size: Whether both images of a pair must have the same size.

    Raises:
        ValueError: From `update`, if the two batches differ in length (or in size, if this
            matters), or an image holds NaN or infinity or leaves [0, 1]; from `compute`, if there
            are no pairs.
    """

    is_differentiable: bool | None = False
    full_state_update: bool | None = False
    same_size: ClassVar[bool] = True
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, output: Tensor, reference: Tensor) -> None:
        """Add pairs ``(B, 3, H, W)`` in [0, 1]."""
        check_pairs(output, reference, same_size=self.same_size)
        values = self.measure(output, reference)
        self.total += values.double().sum()
        self.count += len(values)

    def compute(self) -> Tensor:
        """Return the mean over all pairs."""
        if int(self.count) == 0:
            raise ValueError(f"{type(self).__name__} must see at least one pair, got none.")
        return (self.total / self.count).float()

    def measure(self, output: Tensor, reference: Tensor) -> Tensor:
        """Return one number per pair, ``(B,)``."""
        raise NotImplementedError(f"{type(self).__name__} must implement measure.")


def check_pairs(output: Tensor, reference: Tensor, *, same_size: bool) -> None:
    """Raise ``ValueError`` unless two batches of images can be compared pair by pair."""
    for name, images in (("output", output), ("reference", reference)):
        check_metric_images(name, images)
    if len(output) != len(reference):
        raise ValueError(
            f"output and reference must hold as many images, got {len(output)} and "
            f"{len(reference)}."
        )
    if same_size and output.shape != reference.shape:
        raise ValueError(
            f"output and reference must have one shape, got {tuple(output.shape)} and "
            f"{tuple(reference.shape)}."
        )


def check_metric_images(name: str, images: Tensor) -> None:
    """Raise ``ValueError`` unless images are ``(B, 3, H, W)``, finite and in [0, 1]."""
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"{name} must be (B, 3, H, W) with images, got {tuple(images.shape)}.")
    if not images.is_floating_point():
        raise TypeError(f"{name} must be floating point in [0, 1], got {images.dtype}.")
    check_unit_range(name, images)
