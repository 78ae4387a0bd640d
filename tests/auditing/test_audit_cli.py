"""``styleaug audit`` on files, with models of every kind."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from styleaug.appearance import KINDS
from styleaug.cli import main
from styleaug.commands import arguments
from styleaug.commands.models import load_model

SMALL = ["--laboratories", "2", "--search", "0", "--no-trial"]


class Brighter(nn.Module):
    """Thresholds the mean brightness."""

    def forward(self, images):
        light = images.mean((1, 2, 3))
        return 8.0 * torch.stack([0.5 - light, light - 0.5], dim=1)


def save(folder, kind):
    net, path = Brighter().eval(), folder / f"net.{kind}"
    dims = {0: torch.export.Dim("batch", min=1, max=64)}
    shape = (2, 3, 16, 16)
    if kind == "pt2":
        program = torch.export.export(net, (torch.rand(shape),), dynamic_shapes=[dims])
        torch.export.save(program, path)
    elif kind == "onnx":
        program = torch.onnx.export(
            net, (torch.rand(shape),), dynamo=True, dynamic_shapes=[dims], verbose=False
        )
        program.save(path)
    elif kind == "fixed.onnx":
        torch.onnx.export(net, (torch.rand(shape),), dynamo=True, verbose=False).save(path)
    else:
        torch.jit.script(net).save(str(path))
    return path


@pytest.fixture
def files(tmp_path):
    """Dark and light images in a folder each, a table of them, and masks."""
    rows = []
    for index, level in enumerate((60, 90, 110, 140, 160, 190)):
        name = f"{'light' if level > 127 else 'dark'}/{index}.png"
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 9, (16, 16, 3))
        Image.fromarray((noise + level).astype(np.uint8)).save(tmp_path / "in" / name)
        mask = np.full((16, 16), int(level > 127), np.uint8)
        Image.fromarray(mask).save(tmp_path / f"mask{index}.png")
        row = {"file": name, "label": name.split("/")[0], "group": "ab"[index % 2]}
        rows.append(row | {"mask": f"mask{index}.png"})
    _table(tmp_path / "labels.csv", rows, ("file", "label", "group"))
    _table(tmp_path / "masks.csv", rows, ("file", "mask"))
    return tmp_path


def _table(path, rows, columns):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def factory(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "def load():\n"
        "    def model(x):\n"
        "        light = x.mean((1, 2, 3))\n"
        "        return 8.0 * torch.stack([0.5 - light, light - 0.5], 1)\n"
        "    return model\n"
        "def segment():\n"
        "    def model(x):\n"
        "        light = x.mean(1, keepdim=True)\n"
        "        return 20.0 * torch.cat([0.5 - light, light - 0.5], 1)\n"
        "    return model\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "nets", raising=False)
    return "nets:load"


def _run(files, model, *more, out="report"):
    words = ["audit", "--model", model, "--input", files / "in", "--kind", "ct", *SMALL, *more]
    return main([str(word) for word in (*words, "-o", files / out)])


def _record(files, out="report"):
    return json.loads((files / out / "audit.json").read_text())


def test_the_kinds_are_those_of_the_library():
    assert tuple(KINDS) == arguments.KINDS


def test_tables_and_folders_say_the_same(files, factory, capsys):
    assert _run(files, factory, "--labels", files / "labels.csv") == 0
    assert "balanced accuracy: 1.000 as images are" in capsys.readouterr().err
    assert _run(files, factory, "--labels", "folders", out="other") == 0
    table, folders = _record(files), _record(files, "other")
    assert table["changes"] == folders["changes"]
    assert table["settings"]["classes"] == ["dark", "light"]
    assert [row["name"] for row in table["groups"]] == ["a", "b"]
    assert folders["groups"] == []


def test_the_exit_status_is_that_of_the_lowest_score(files, factory, capsys):
    labels = ("--labels", files / "labels.csv")
    assert _run(files, factory, *labels) == 0
    lowest = min(row["score"] for row in _record(files)["kinds"])
    assert 0.0 < lowest < 1.0
    assert _run(files, factory, *labels, "--fail-under", lowest - 0.01) == 0
    capsys.readouterr()
    assert _run(files, factory, *labels, "--fail-under", lowest + 0.01) == 3
    assert f"is under {lowest + 0.01}" in capsys.readouterr().err


def test_a_broken_file_is_named_and_the_rest_is_audited(files, factory, capsys):
    (files / "in" / "dark" / "broken.png").write_bytes(b"no image")
    assert _run(files, factory) == 1
    assert "broken.png" in capsys.readouterr().err
    assert _record(files)["settings"]["images"] == 6


def test_masks_are_audited_by_dice(files, factory):
    more = ("--labels", files / "masks.csv", "--size", "12", "--batch-size", "4")
    assert _run(files, "nets:segment", *more) == 0
    record = _record(files)
    assert (record["score"], record["before"]["score"]) == ("Dice", 1.0)


def test_styles_are_files_and_few_images_are_taken_evenly(files, factory):
    assert _run(files, factory, "--style", files / "in" / "light", "--stylizer", "mkl") == 0
    members = {row["member"] for row in _record(files)["changes"] if row["kind"] == "style"}
    assert len(members) == 3
    assert _run(files, factory, "--count", "3", out="few") == 0
    assert _record(files, "few")["settings"]["images"] == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["ts", "pt2", "onnx", "fixed.onnx"])
def test_a_saved_model_says_what_the_network_says(tmp_path, kind):
    model = load_model(str(save(tmp_path, kind)), "cpu")
    images = torch.rand(5, 3, 16, 16)
    assert torch.allclose(model(images), Brighter()(images), atol=1e-5)


def test_a_file_that_is_no_program_is_refused(files, capsys):
    (files / "net.onnx").write_bytes(b"no program")
    assert _run(files, files / "net.onnx") == 2
    assert "ONNX (.onnx)" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--fail-under", "80"], "--fail-under must be in [0, 1]"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
        (["--laboratories", "0"], "--laboratories must be at least 1"),
        (["--search", "-1"], "--search must be at least 0"),
        (["--labels", "nowhere.csv"], "nowhere.csv"),
        (["--labels", "wrong.csv"], "columns file and label or mask"),
        (["--labels", "short.csv"], "must have a row for"),
        (["--labels", "folders", "--classes", "a", "b"], "--classes must name all labels"),
        (["--mean", "0.5"], "go together"),
        (["--kind", "ct", "--output", ""], "output"),
        (["--bits", "40"], "--bits"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    files, factory, capsys, more, words, monkeypatch
):
    monkeypatch.chdir(files)
    _table(files / "wrong.csv", [{"name": "x"}], ("name",))
    _table(files / "short.csv", [{"file": "x.png", "label": "dark"}], ("file", "label"))
    words_given = ["audit", "--model", factory, "--input", "in", "--kind", "ct", "-o", "report"]
    assert main([*words_given, *more]) == 2
    assert words in capsys.readouterr().err.replace("\n", " ")
    assert not (files / "report").exists()


def test_the_users_folder_is_kept(files, factory, capsys):
    (files / "report").mkdir()
    (files / "report" / "audit.json").write_text("mine")
    assert _run(files, factory) == 2
    assert "was not written by an audit" in capsys.readouterr().err.replace("\n", " ")
    assert (files / "report" / "audit.json").read_text() == "mine"
