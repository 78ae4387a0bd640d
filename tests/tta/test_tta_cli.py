"""``styleaug bank`` and ``styleaug tta`` on files."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from styleaug import StyleBank
from styleaug.cli import main
from styleaug.samples import sample_images
from styleaug.tta import StyleTTA


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.head = nn.Linear(3, 4)

    def forward(self, x):
        return 5.0 * self.head(x.mean((2, 3)))


def build_net():
    return Net()


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for path in sample_images()[:4]:
        with Image.open(path) as image:
            image.convert("RGB").resize((48, 40)).save(folder / f"{path.stem}.png")
    return folder


@pytest.fixture
def bank(files, tmp_path):
    path = tmp_path / "bank.safetensors"
    assert main(["bank", str(files), "--stylizer", "colorist", "-o", str(path)]) == 0
    return path


@pytest.fixture(params=["export", "script", "factory"])
def model(request, tmp_path, monkeypatch):
    net = Net().eval()
    if request.param == "factory":
        (tmp_path / "somewhere.py").write_text(
            "from tests.tta.test_tta_cli import build_net as load\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        return "somewhere:load"
    if request.param == "export":
        batch = torch.export.Dim("batch")
        program = torch.export.export(net, (torch.rand(2, 3, 40, 48),), dynamic_shapes=[{0: batch}])
        torch.export.save(program, tmp_path / "net.pt2")
        return str(tmp_path / "net.pt2")
    torch.jit.script(net).save(str(tmp_path / "net.ts"))
    return str(tmp_path / "net.ts")


def _table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_the_table_is_what_the_library_says(files, bank, model, tmp_path):
    out = tmp_path / "out" / "table.csv"
    arguments = ["tta", "--model", model, "--bank", str(bank), "--input", str(files)]
    assert main([*arguments, "-n", "3", "--out", str(out)]) == 0
    rows = _table(out)
    assert [row["file"] for row in rows] == sorted(path.name for path in files.iterdir())
    tta = StyleTTA(Net(), "colorist", StyleBank.load(bank), 3, return_stats=True)
    for row in rows:
        with Image.open(files / row["file"]) as image:
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
        chances, stats = tta(pixels[None], ids=[row["file"]])
        assert [float(row[f"p{i}"]) for i in range(4)] == pytest.approx(
            chances[0].tolist(), abs=1e-4
        )
        assert int(row["prediction"]) == int(chances.argmax())
        assert float(row["entropy"]) == pytest.approx(stats.entropy.item(), abs=1e-4)
        assert float(row["std2"]) == pytest.approx(stats.std[0, 2].item(), abs=1e-4)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "net.pt2"
    dims = {0: torch.export.Dim("batch")}
    torch.export.save(
        torch.export.export(Net(), (torch.rand(2, 3, 32, 32),), dynamic_shapes=[dims]), path
    )
    return ["tta", "--model", str(path)]


def test_broken_files_are_named_and_the_rest_is_done(files, bank, script, tmp_path, capsys):
    (files / "broken.png").write_bytes(b"not an image")
    out = tmp_path / "table.csv"
    arguments = [*script, "--bank", str(bank), "--input", str(files), "--out", str(out)]
    extra = ["-n", "2", "--size", "32", "--mean", "0.5", "--std", "0.2", "--keep-edges", "0.5"]
    assert main([*arguments, *extra, "--select", "nearest", "--batch-size", "3"]) == 1
    assert "broken.png" in capsys.readouterr().err
    assert len(_table(out)) == 4
    assert main([*arguments, *extra]) == 2  # the table exists
    assert main([*arguments, *extra, "--overwrite", "--activation", "sigmoid"]) == 1


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["-n", "5"], "n must be between 1 and 4"),
        (["--mean", "0.5"], "go together"),
        (["--batch-size", "0"], "--batch-size"),
        (["--stylizer", "reinhard"], "colorist"),
        (["--model", "nowhere.ts"], "module:factory"),
        (["--model", "nowhere:load"], "cannot be loaded"),
    ],
)
def test_wrong_arguments_are_refused(files, bank, script, tmp_path, capsys, extra, words):
    out = tmp_path / "table.csv"
    arguments = [*script, "--bank", str(bank), "--input", str(files), "--out", str(out), "-n", "2"]
    assert main([*arguments, *extra]) == 2
    assert words in capsys.readouterr().err.replace("\n", " ")
    assert not out.exists()


def _state_dict(path):
    torch.save(Net().state_dict(), path)


@pytest.mark.parametrize("name", ["model.ts", "model.pt", "model.pt2"])
@pytest.mark.parametrize("write", [lambda path: path.write_bytes(b"no program"), _state_dict])
def test_a_model_that_is_no_program_is_refused(files, bank, tmp_path, capsys, name, write):
    write(tmp_path / name)
    words = ["--bank", str(bank), "--input", str(files), "--out", str(tmp_path / "o.csv")]
    assert main(["tta", "--model", str(tmp_path / name), *words]) == 2
    printed = capsys.readouterr().err.replace("\n", " ")
    assert "--model must be a TorchScript or torch.export (.pt2) file" in printed
    assert "package.module:factory" in printed


def test_dense_outputs_have_no_table(files, bank, tmp_path, capsys, monkeypatch):
    (tmp_path / "dense.py").write_text("def load():\n    return lambda x: x\n")
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["--bank", str(bank), "--input", str(files), "--out", str(tmp_path / "o.csv")]
    assert main(["tta", "--model", "dense:load", *arguments, "-n", "2", "--size", "32"]) == 2
    assert "scores (B, C)" in capsys.readouterr().err


def test_a_bank_of_few_styles_that_stand_for_all(files, tmp_path, capsys):
    path = tmp_path / "few.safetensors"
    assert (
        main(["bank", str(files), "--count", "2", "--stylizer", "reinhard", "-o", str(path)]) == 0
    )
    assert len(StyleBank.load(path)) == 2
    assert main(["bank", str(files), "-o", str(path)]) == 2
    assert main(["bank", str(files), "--count", "9", "-o", str(tmp_path / "x.safetensors")]) == 2
    assert main(["bank", str(files), "-o", str(tmp_path / "x.bin")]) == 2
    assert "exists" in capsys.readouterr().err
