"""Calls of a model: in evaluation mode, with outputs of several forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn


def named_outputs(output: Any) -> dict[str, Tensor]:
    """Return the outputs of a model by name; a bare tensor has the name ""."""
    if isinstance(output, tuple) and output:
        return named_outputs(output[0])
    if isinstance(getattr(output, "logits", None), Tensor):
        return {"": output.logits}
    if isinstance(output, Tensor):
        return {"": output}
    if not isinstance(output, Mapping):
        raise TypeError(
            "model must return a tensor, a dict of tensors, an object with .logits or a tuple that "
            f"starts with one of them, got {type(output).__name__}. Wrap it into a module that "
            "returns its scores."
        )
    for name, value in output.items():
        if not isinstance(value, Tensor):
            raise TypeError(
                f"model must return a dict of tensors, got {type(value).__name__} under {name!r}."
            )
    return dict(output)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a module into evaluation mode, and restore the mode of every part afterwards.

    Exported programs have no modes.
    """
    is_module = isinstance(model, nn.Module)
    flags = [(part, part.training) for part in model.modules()] if is_module else []
    try:
        if is_module:
            with suppress(NotImplementedError):
                model.eval()
        yield
    finally:
        for part, flag in flags:
            part.training = flag
