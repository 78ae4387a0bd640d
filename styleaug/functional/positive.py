"""Systems of equations with a positive definite matrix, on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """Return the solutions ``(B, N, K)`` of positive definite systems.

    By Cholesky's method on a CPU; elsewhere by elimination in plain operations, which waits for no
    device and can be exported.

    Args:
        matrix: ``(B, N, N)``, positive definite and not badly conditioned.
        right: ``(B, N, K)``.

    Example:
        >>> solve_positive(torch.eye(2)[None] * 4.0, torch.ones(1, 2, 1)).flatten()
        tensor([0.2500, 0.2500])
    """
    if matrix.device.type == "cpu" and not torch.compiler.is_compiling():
        return torch.cholesky_solve(right, torch.linalg.cholesky_ex(matrix)[0])
    return eliminated(matrix, right)


def eliminated(matrix: Tensor, right: Tensor) -> Tensor:
    """Return the solutions of positive definite systems by elimination; as `solve_positive`."""
    count = matrix.shape[1]
    rows = torch.cat([matrix, right], dim=2)
    for index in range(count):
        pivot = rows[:, index : index + 1] / rows[:, index : index + 1, index : index + 1]
        others = rows - rows[:, :, index : index + 1] * pivot
        rows = torch.cat([others[:, :index], pivot, others[:, index + 1 :]], dim=1)
    return rows[:, :, count:]
