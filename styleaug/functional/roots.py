"""Square roots of 3 x 3 matrices, on any device and in any graph."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def matrix_roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the square root and its inverse of symmetric positive definite ``(B, 3, 3)``.

    On a CPU it uses eigenvectors. On a GPU their solver would synchronise, and exported graphs do
    not have it. There a formula is used: the eigenvalues from the cosine of a third of an angle
    (Smith, 1961), the root from its invariants (Hoger & Carlson, 1984), and two Newton steps
    against rounding errors. Both agree to 1e-6 of the largest entry.
    """
    if matrix.device.type == "cpu" and not torch.compiler.is_compiling():
        return roots_by_eigenvectors(matrix)
    return roots_by_formula(matrix)


def roots_by_eigenvectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return root and inverse root; the solver of eigenvectors synchronises on a GPU."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp_min(1e-12).sqrt()  # sums round: a flat image can come out below zero
    back = vectors.transpose(-1, -2)
    return (vectors * roots.unsqueeze(-2)) @ back, (vectors / roots.unsqueeze(-2)) @ back


def roots_by_formula(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return root and inverse root without eigenvectors; see `matrix_roots` for the sources."""
    one = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    first, second, third = (part[:, None, None] for part in _root_invariants(matrix, one))
    root = (first**2 - second) * matrix + first * third * one - matrix @ matrix
    root = root / (first * second - third)
    for _ in range(2):
        root = 0.5 * (root + _inverse(root) @ matrix)
    return root, _inverse(root)


def _root_invariants(matrix: Tensor, one: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum, sum of products and product of the roots of the eigenvalues, ``(B,)`` each."""
    mean = matrix.diagonal(dim1=1, dim2=2).mean(dim=1)
    rest = matrix - mean[:, None, None] * one
    spread = (rest.square().sum(dim=(1, 2)) / 6.0).sqrt().clamp_min(1e-12)
    angle = _arc_cosine(_determinant(rest / spread[:, None, None]) / 2.0) / 3.0
    largest = mean + 2.0 * spread * angle.cos()
    least = mean + 2.0 * spread * (angle + 2.0 * math.pi / 3.0).cos()
    values = torch.stack([largest, 3.0 * mean - largest - least, least])
    a, b, c = values.clamp_min(1e-12).sqrt()
    return a + b + c, a * b + b * c + c * a, a * b * c


def _arc_cosine(cosine: Tensor) -> Tensor:
    """Return the arc cosine in float64, which runtimes of ONNX have in float32 only.

    Uses half of the angle, whose sine is exact near 0 and pi, and one Newton step.
    """
    half_sine = ((1.0 - cosine.abs()) / 2.0).clamp_min(0.0).sqrt()
    half = half_sine.float().asin().double()
    half = half + (half_sine - half.sin()) / half.cos()
    return torch.where(cosine >= 0.0, 2.0 * half, math.pi - 2.0 * half)


def _determinant(matrix: Tensor) -> Tensor:
    first, second, third = matrix.unbind(dim=1)
    product: Tensor = first * torch.linalg.cross(second, third)
    return product.sum(dim=1)


def _inverse(matrix: Tensor) -> Tensor:
    first, second, third = matrix.unbind(dim=1)
    columns = (
        torch.linalg.cross(second, third),
        torch.linalg.cross(third, first),
        torch.linalg.cross(first, second),
    )
    return torch.stack(columns, dim=2) / _determinant(matrix)[:, None, None]
