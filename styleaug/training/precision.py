"""Mixed precision that keeps images in float32."""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric.plugins import MixedPrecision

from styleaug.training.config import TrainConfig


class FullImages(MixedPrecision):
    """Autocast for layers, but images stay in float32.

    Lightning rounds all inputs to half precision. In bfloat16 smooth slopes of an image become
    steps of one 8-bit level, which the losses of structure would then preserve.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the data unchanged."""
        return data


def precision_arguments(config: TrainConfig) -> dict[str, Any]:
    """Return the arguments of Fabric for the precision of a run."""
    if not config.precision.endswith("-mixed"):
        return {"precision": config.precision}
    found = None if config.accelerator == "cpu" else torch.accelerator.current_accelerator()
    device = found.type if found is not None and torch.accelerator.is_available() else "cpu"
    # no half precision but bfloat16 on CPUs, as Lightning decides
    precision = "bf16-mixed" if device == "cpu" else config.precision
    return {"plugins": FullImages(precision, device)}  # type: ignore[arg-type]
