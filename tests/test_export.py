"""Exported programs paint what the stylizer paints, without this package."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from builders import build

from styleaug import StyleBank
from styleaug.cli import main
from styleaug.export import export_stylizer


def _images(count, height, width):
    # within the gamut: at its edge the curve of sRGB multiplies rounding by 13
    coarse = 0.2 + 0.6 * torch.rand(count, 3, 5, 5)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def _bank(stylizer):
    return StyleBank.from_images(_images(3, 64, 80), stylizer, names=["a", "b", "c"])


# what a machine without PyTorch and styleaug runs
DEPLOYED = """
import sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
styles = np.load(sys.argv[2])
given = dict(np.load(sys.argv[3]))
rows = given.pop("rows")
given |= {name: styles[name][rows] for name in styles.files if name != "names"}
np.save(sys.argv[4], session.run(["stylized"], given)[0])
assert not {"torch", "styleaug"} & set(sys.modules)
"""


@pytest.mark.parametrize(
    "name",
    [
        *("colorist", "reinhard", "mkl", "histogram", "micro", "appearance"),
        *("stylizing-vit-tiny", "stylizing-vit-small"),  # "fit" and "224", the default
        *("contextual-adain, detail", "rast, detail", "style-kernel"),
    ],
)
def test_onnx_runs_without_pytorch_and_paints_the_same(name, tmp_path):
    stylizer = build(name)
    bank = _bank(stylizer)
    program, styles = export_stylizer(stylizer, bank, tmp_path / "align.onnx")
    content, alpha, rows = _images(5, 96, 128), torch.linspace(0, 1, 5), [2, 0, 1, 0, 2]
    np.savez(tmp_path / "in.npz", content=content.numpy(), alpha=alpha.numpy(), rows=rows)
    places = [program, styles, tmp_path / "in.npz", tmp_path / "out.npy"]
    subprocess.run([sys.executable, "-c", DEPLOYED, *map(str, places)], check=True)
    expected = stylizer.stylize(content, bank.code[rows], alpha)
    assert np.abs(np.load(tmp_path / "out.npy") - expected.numpy()).max() < 1e-4
    assert list(np.load(styles)["names"]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "name",
    [
        *("colorist", "reinhard", "mkl", "histogram", "micro", "appearance"),
        *("contextual-adain, detail", "rast", "rast, detail", "style-kernel, detail"),
        *("stylizing-vit-tiny", "stylizing-vit-tiny, detail"),
    ],
)
def test_exported_programs_of_pytorch_paint_the_same(name, tmp_path):
    stylizer = build(name)
    bank = _bank(stylizer)
    program, styles = export_stylizer(stylizer, bank, tmp_path / "align.pt2")
    run = torch.export.load(program).module()
    loaded = np.load(styles)
    rows = [1, 2, 0, 0]
    maps = [torch.from_numpy(loaded[f"style_{name}"][rows]) for name in bank.code.maps]
    content, alpha = _images(4, 128, 96), torch.tensor([1.0, 0.5, 0.25, 0.0])
    expected = stylizer.stylize(content, bank.code[rows], alpha)
    assert torch.allclose(run(content, alpha, maps), expected, atol=1e-4)


def test_the_command_takes_the_stylizer_of_the_bank_and_replaces_nothing(tmp_path, capsys):
    bank = _bank(build("reinhard"))
    bank.save(tmp_path / "bank.safetensors")
    given = ["export", "--style", str(tmp_path / "bank.safetensors"), "-o"]
    assert main([*given, str(tmp_path / "align.pt2")]) == 0
    before = (tmp_path / "align.pt2").read_bytes()
    assert main([*given, str(tmp_path / "align.pt2")]) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "align.pt2").read_bytes() == before
    assert main([*given, str(tmp_path / "align.txt")]) != 0
    assert "'.onnx'" in capsys.readouterr().err


def test_what_cannot_be_exported_says_why(tmp_path, monkeypatch):
    fda = build("fda")
    with pytest.raises(ValueError, match="fda cannot be exported: how many frequencies"):
        export_stylizer(fda, _bank(fda), tmp_path / "align.onnx")
    tissue = build("mkl, tissue")
    with pytest.raises(ValueError, match="cannot be exported"):
        export_stylizer(tissue, _bank(tissue), tmp_path / "align.pt2")
    colorist = build("colorist")
    with pytest.raises(ValueError, match="styles must be a bank encoded by 'colorist'"):
        export_stylizer(colorist, _bank(build("reinhard")), tmp_path / "align.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="styleaug\\[export\\]"):
        export_stylizer(colorist, _bank(colorist), tmp_path / "align.onnx")
    assert not list(tmp_path.iterdir())


def test_a_program_that_paints_something_else_is_not_written(tmp_path, monkeypatch):
    from styleaug import export

    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    colorist = build("reinhard")
    with pytest.raises(ValueError, match="Nothing was written"):
        export_stylizer(colorist, _bank(colorist), tmp_path / "align.onnx")
    assert not list(tmp_path.iterdir())
