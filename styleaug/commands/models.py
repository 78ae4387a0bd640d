"""Models by name: saved programs, and factories of installed modules."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def load_model(name: str, device: str) -> Callable[[Tensor], Any]:
    """Load a model that was saved as a program, or call a factory of an installed module.

    Args:
        name: A ``torch.export`` archive (.pt2), an ONNX file (.onnx), a TorchScript file (any other
            existing file), or ``package.module:factory``, a function that is called without
            arguments.
        device: Device of the model.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If ONNX Runtime is not installed.
        ValueError: If the file is not a saved program, or the module or factory does not exist.
    """
    path = Path(name)
    if path.exists():
        return _load_program(path, device)
    module, _, factory = name.partition(":")
    if not factory:
        raise FileNotFoundError(f"--model must be a file or module:factory, got {name!r}.")
    try:
        model = getattr(importlib.import_module(module), factory)()
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"--model {name!r} cannot be loaded: {error}.") from error
    return model.to(device) if isinstance(model, nn.Module) else model


def _load_program(path: Path, device: str) -> Callable[[Tensor], Any]:
    try:
        if path.suffix == ".onnx":
            return OnnxModel(path, device)
        if path.suffix == ".pt2":
            return torch.export.load(path).module().to(device)
        program: nn.Module = torch.jit.load(str(path), map_location=device)
        return program.eval()
    except ImportError:
        raise
    except Exception as error:  # the readers raise whatever the first wrong byte leads to
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"--model must be a TorchScript or torch.export (.pt2) file, or ONNX (.onnx); "
            f"{str(path)!r} is not ({reason[0]}). Of a state_dict name a function that builds the "
            "network and loads it: --model package.module:factory."
        ) from error


class OnnxModel:
    """An ONNX program as a function of a batch; it has one input, and its first output counts.

    A program with a fixed batch size is called as often as needed; the last batch is filled with
    copies.

    Args:
        path: The file.
        device: Where it runs: CUDA where ONNX Runtime has it, else the CPU.

    Raises:
        ImportError: If ONNX Runtime is not installed.
        ValueError: If the program has several inputs.
    """

    def __init__(self, path: Path, device: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                f"--model {str(path)!r} needs pip install 'styleaug[export]' ({error})."
            ) from error
        wanted = ["CUDAExecutionProvider"] if torch.device(device).type == "cuda" else []
        known = onnxruntime.get_available_providers()
        providers = [name for name in [*wanted, "CPUExecutionProvider"] if name in known]
        self._session = onnxruntime.InferenceSession(str(path), providers=providers)
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ValueError(f"it has {len(inputs)} inputs, one is needed")
        self._name = inputs[0].name
        first = inputs[0].shape[0] if inputs[0].shape else None
        self._batch = first if isinstance(first, int) else None

    def __call__(self, images: Tensor) -> Tensor:
        """Return the first output for images ``(B, ...)``, on their device."""
        array = images.detach().cpu().numpy()
        size = self._batch or len(array)
        parts = [self._run(array[start : start + size]) for start in range(0, len(array), size)]
        return torch.from_numpy(np.concatenate(parts)[: len(array)]).to(images.device)

    def _run(self, array: np.ndarray) -> np.ndarray:
        missing = (self._batch or len(array)) - len(array)
        filled = np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
        found: np.ndarray = self._session.run(None, {self._name: filled})[0]
        return found
