"""How and where to stylize: what everything that holds a stylizer takes and passes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import torch

from styleaug.stylizers.base import Precision


class StylizerOptions(TypedDict, total=False):
    """How and where to stylize: the arguments that `StyleTransfer` and all adapters share."""

    weights: str | None
    device: str | torch.device | None
    precision: Precision
    max_batch: int | None
    preserve_color: bool
    mean: Sequence[float] | None
    std: Sequence[float] | None
    options: Mapping[str, Any] | None
    region: str | int | None


def check_names(how: Mapping[str, Any]) -> None:
    """Raise ``TypeError`` unless all names are those of `StylizerOptions`."""
    unknown = sorted(set(how) - set(StylizerOptions.__annotations__))
    if unknown:
        raise TypeError(
            f"StyleTransfer takes {sorted(StylizerOptions.__annotations__)} besides its own "
            f"arguments, got {unknown}. What a stylizer takes of its own goes into options."
        )
