"""One file to deploy: a stylizer as ONNX or as an exported program of PyTorch.

Exporting needs ``pip install 'styleaug[export]'``. Running the exported file needs no styleaug, and
ONNX files need no PyTorch either.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from styleaug._checks import check_choice
from styleaug._files import replacing
from styleaug.styles.bank import StyleBank
from styleaug.stylizers.base import Stylizer

SUFFIXES = (".onnx", ".pt2")
TOLERANCE = 1e-4
"""Largest difference allowed between images of the exported program and of the stylizer; it is
checked before the file is written."""

_SIDE = 64
_LARGEST_SIDE = 2**16
_MOST_IMAGES = 2**12


class _Program(nn.Module):
    """Content, strengths and the tensors of the style codes in, images out."""

    def __init__(self, stylizer: Stylizer, names: Sequence[str]) -> None:
        super().__init__()
        self.stylizer, self.names = stylizer, tuple(names)

    def forward(self, content: Tensor, alpha: Tensor, style: Sequence[Tensor]) -> Tensor:
        maps = dict(zip(self.names, style, strict=True))
        return self.stylizer.paint_at_once(content, maps, alpha)


def export_stylizer(stylizer: Stylizer, bank: StyleBank, path: str | Path) -> tuple[Path, Path]:
    """Write a stylizer as one program, and the styles of a bank beside it.

    The program takes ``content`` (float32 ``(B, 3, H, W)`` in [0, 1], RGB), ``alpha`` (float32
    ``(B,)``: 0 keeps the content, 1 is full style) and the tensors of a style code, ``style_...``,
    with B rows each; it returns ``stylized``, as ``content``. B, H and W are free; H and W must be
    multiples of ``stylizer.multiple``. The styles are arrays of the same names in an ``.npz`` file,
    S rows each, with their ``names``. Before anything is written, the program is run on images of
    another size and compared with the stylizer.

    Args:
        stylizer: What to export, on the CPU.
        bank: Styles that it encoded.
        path: The program: ``.onnx``, or ``.pt2`` for ``torch.export.load``. An existing file is
            replaced.

    Returns:
        The path of the program, and of the ``.npz`` file beside it.

    Raises:
        ImportError: If the packages of ONNX are missing.
        ValueError: If the bank was encoded by another stylizer, the suffix is unknown, or the
            stylizer does not compute in float32 or cannot be exported with free batch and size.

    Example:
        >>> import tempfile
        >>> from styleaug import StyleBank, create_stylizer
        >>> stylizer = create_stylizer("colorist")
        >>> bank = StyleBank.from_images(torch.rand(2, 3, 64, 64), stylizer)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     program, styles = export_stylizer(stylizer, bank, f"{folder}/align.pt2")
        ...     program.name, styles.name
        ('align.pt2', 'align.npz')
    """
    program = Path(path)
    check_choice("path", program.suffix, SUFFIXES)
    bank.check_fits(stylizer)
    if stylizer.unexportable:
        raise ValueError(f"{stylizer.name} cannot be exported: {stylizer.unexportable}.")
    if stylizer.compute_precision(torch.device("cpu")) != "fp32":
        raise ValueError(f"stylizer must compute in fp32, got {stylizer.precision!r}.")
    if program.suffix == ".onnx":
        _check_onnx()
    names = tuple(bank.code.maps)
    exported = _exported(_Program(stylizer, names).eval(), bank)
    with replacing(program) as file:
        if program.suffix == ".pt2":
            _check_close(exported.module(), stylizer, bank)
            buffer = io.BytesIO()
            with _quiet():
                torch.export.save(exported, buffer)
            file.write_bytes(buffer.getvalue())
        else:
            _write_onnx(exported, names, file)
            _check_close(_OnnxProgram(file, names), stylizer, bank)
    styles = program.with_suffix(".npz")
    arrays = {f"style_{name}": tensor.numpy() for name, tensor in bank.code.maps.items()}
    with replacing(styles) as file, file.open("wb") as out:
        np.savez(out, allow_pickle=False, names=np.array(bank.names), **arrays)
    return program, styles


def _exported(program: _Program, bank: StyleBank) -> ExportedProgram:
    """Return the program of any batch and size that the multiple allows."""
    multiple = program.stylizer.multiple
    count = Dim("batch", min=1, max=_MOST_IMAGES)
    sides = [
        Dim(name, min=max(1, -(-program.stylizer.least_side // multiple)), max=_LARGEST_SIDE)
        for name in ("height", "width")
    ]
    if multiple > 1:
        sides = [multiple * side for side in sides]
    shapes = (
        {0: count, 2: sides[0], 3: sides[1]},
        {0: count},
        [{0: count} for _ in program.names],
    )
    inputs = _inputs(bank, 2, (_SIDE, _SIDE + multiple * 2))
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(program, inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever the tracer meets in a stylizer
        raise _unexportable(program.stylizer, error) from error


def _unexportable(stylizer: Stylizer, error: Exception) -> ValueError:
    reason = str(error).strip().splitlines()[0][:200]
    return ValueError(f"{stylizer.name} cannot be exported for any batch and size: {reason}")


def _inputs(
    bank: StyleBank, count: int, size: tuple[int, int]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return images, strengths and style tensors to try a program on; always the same."""
    drawn = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 5, 5, generator=drawn)
    content = nn.functional.interpolate(coarse, size, mode="bilinear")
    content = (0.9 * content + 0.1 * torch.rand(content.shape, generator=drawn)).contiguous()
    rows = torch.arange(count) % len(bank)
    maps = [tensor[rows] for tensor in bank.code.maps.values()]
    return content, torch.linspace(0.0, 1.0, count), maps


def _check_close(program: Any, stylizer: Stylizer, bank: StyleBank) -> None:
    """Raise ``ValueError`` unless a program paints what the stylizer paints, at another size."""
    step = stylizer.multiple
    content, alpha, maps = _inputs(bank, 3, (_SIDE + step, 2 * _SIDE - step))
    with torch.no_grad():
        try:
            painted = program(content, alpha, maps)
        except AssertionError as fixed:  # a size that the tracer took for a constant
            raise _unexportable(stylizer, fixed) from fixed
        named = dict(zip(bank.code.maps, maps, strict=True))
        expected = stylizer.paint_at_once(content, named, alpha)
    error = float((painted - expected).abs().max())
    if not error <= TOLERANCE:
        raise ValueError(
            f"the exported {stylizer.name} must paint what the stylizer paints to {TOLERANCE}, got "
            f"a difference of {error:.2g}. Nothing was written."
        )


def _check_onnx() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(
                f"ONNX files need {package}: pip install 'styleaug[export]'. A .pt2 file needs "
                "nothing but PyTorch."
            ) from error


def _write_onnx(exported: ExportedProgram, names: Sequence[str], path: Path) -> None:
    inputs = ["content", "alpha", *(f"style_{name}" for name in names)]
    with _quiet():
        program = torch.onnx.export(
            exported, dynamo=True, verbose=False, input_names=inputs, output_names=["stylized"]
        )
    cast("torch.onnx.ONNXProgram", program).save(path)  # None only without dynamo


class _OnnxProgram:
    """An ONNX file that is called like the program it was exported from."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            path.read_bytes(), providers=["CPUExecutionProvider"]
        )
        self.names = [f"style_{name}" for name in names]

    def __call__(self, content: Tensor, alpha: Tensor, style: Sequence[Tensor]) -> Tensor:
        given = dict(zip(["content", "alpha", *self.names], [content, alpha, *style], strict=True))
        wanted = {item.name for item in self.session.get_inputs()}
        arrays = {name: tensor.numpy() for name, tensor in given.items() if name in wanted}
        return torch.from_numpy(self.session.run(None, arrays)[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages of PyTorch's exporters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
