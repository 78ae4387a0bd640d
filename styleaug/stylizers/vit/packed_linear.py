"""A linear layer for inference: weights laid out once, activation and residual fused in.

On CPUs the general matrix product that `torch.nn.functional.linear` calls lays out its weights anew
at every call (bfloat16) or does not use the widest vector units of every maker (float32). oneDNN,
which PyTorch brings along and its compiler uses, keeps weights in its own layout. Where that path
is missing or disagrees with the plain product, the plain product is used.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Activation: TypeAlias = Literal["none", "gelu"]

_ROWS_HINT = 394  # two images of 14 x 14 patches; only steers the choice of the layout
_RELATIVE_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 3e-2}


class PackedLinear:
    """``activation(x W^T + b) + residual`` with frozen weights.

    Args:
        weight: ``(out, in)``.
        bias: ``(out,)`` or None.
        packed: Use oneDNN's layout where it works; False keeps to the plain product, which
            compilers can see through.

    Example:
        >>> double = PackedLinear(2 * torch.eye(3), None)
        >>> double(torch.ones(1, 3), residual=torch.ones(1, 3))
        tensor([[3., 3., 3.]])
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, packed: bool = True) -> None:
        self.bias = bias
        self.layout = _onednn_layout(weight, bias) if packed else None
        self.weight = weight if self.layout is None else None

    def __call__(
        self, x: Tensor, *, activation: Activation = "none", residual: Tensor | None = None
    ) -> Tensor:
        """Return the layer's output for ``x`` of shape ``(..., in)``."""
        if self.layout is not None:
            return _onednn_linear(x, self.layout, self.bias, activation, residual)
        return _plain_linear(x, self.weight, self.bias, activation, residual)


def _plain_linear(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    activation: Activation,
    residual: Tensor | None,
) -> Tensor:
    y = F.linear(x, weight, bias)  # type: ignore[arg-type]
    if activation == "gelu":
        y = F.gelu(y)
    return y if residual is None else y.add_(residual)


def _onednn_linear(
    x: Tensor,
    layout: Tensor,
    bias: Tensor | None,
    activation: Activation,
    residual: Tensor | None,
) -> Tensor:
    ops = torch.ops.mkldnn
    if residual is not None and activation == "none":
        added: Tensor = ops._linear_pointwise.binary(x, residual, layout, bias, "add")
        return added
    y: Tensor = ops._linear_pointwise(x, layout, bias, activation, [], "none")
    return y if residual is None else y.add_(residual)


def _onednn_layout(weight: Tensor, bias: Tensor | None) -> Tensor | None:
    """Return the weights in oneDNN's layout, or None where it is missing, fails or disagrees."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return None
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return None
    probe = torch.linspace(-1.0, 1.0, 2 * weight.shape[1]).view(2, -1).to(weight.dtype)
    expected = F.linear(probe, weight, bias)
    try:
        layout = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS_HINT)
        found = _onednn_linear(probe, layout, bias, "none", torch.zeros_like(expected))
    except (RuntimeError, NotImplementedError):  # a CPU or a build without this data type
        return None
    error = (found - expected).abs().amax()
    close = error <= _RELATIVE_TOLERANCE.get(weight.dtype, 0.0) * expected.abs().amax()
    return layout if bool(close) else None
