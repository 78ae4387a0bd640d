"""The study of contextual AdaIN on CT, on made slices."""

import argparse
import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import ct, tables
from styleaug import create_stylizer


def _slice(seed):
    """Return a round body with two lungs and a spine, and a table under it, in Hounsfield units."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    values = np.full((96, 96), -1000.0)
    values[(y - 46) ** 2 + (x - 48) ** 2 < 38**2] = 40.0
    for middle in (34, 62):
        values[((y - 42) / 1.4) ** 2 + (x - middle) ** 2 < 10**2] = -800.0
    values[(y - 70) ** 2 + (x - 48) ** 2 < 6**2] = 600.0
    values[90:93, 20:76] = 300.0
    return values + rng.normal(0, 15, values.shape)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct")
    lines = ["image,vendor,kernel,patient"]
    kernels = ["B20f"] * 5 + ["59 .10.AB50"] * 2 + ["STANDARD"] * 2 + ["BONE"] * 2
    for number, kernel in enumerate(kernels):
        vendor = "siemens" if kernel.startswith(("B2", "59")) else "ge"
        values = (_slice(number) + 1024).clip(0, 4095).astype(np.uint16)
        Image.fromarray(values).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{vendor},{kernel},p{number}")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    return folder / "index.csv"


def test_masks_are_the_anatomy():
    mask = ct.tissue(_slice(0))
    assert mask[46, 48] == ct.CLASSES.index("body")
    assert mask[42, 34] == mask[42, 62] == ct.CLASSES.index("lung")
    assert mask[70, 48] == ct.CLASSES.index("bone")
    assert mask[2, 2] == mask[91, 40] == ct.CLASSES.index("outside")  # the table is no body
    assert ct.tissue(np.full((8, 8), -1000.0)).max() == 0


def test_slices_know_their_scanner_and_their_window(index):
    slices = ct.read_slices(index, 48, -1024.0)
    assert {name: slices.domains.count(name) for name in slices.domains} == {
        "siemens smooth": 5, "siemens sharp": 2, "ge smooth": 2, "ge sharp": 2,
    }  # fmt: skip
    assert float(slices.hounsfield.min()) < -900
    shown = slices.shown("soft")
    assert shown.images.shape == (11, 3, 48, 48)
    assert shown.images[0, 0, 21, 17] == 0.0  # lung
    assert shown.images[0, 0, 23, 24] == pytest.approx((40 + 150) / 400, abs=0.05)
    assert torch.equal(shown.targets, slices.masks)
    kept, held = slices.split(0.3, 0)
    assert not set(kept.patients) & set(held.patients)
    assert len(kept.patients) + len(held.patients) == 11


def test_a_run_gives_accuracy_and_iou_with_and_without_styles(index):
    slices = ct.read_slices(index, 32, -1024.0)
    options = argparse.Namespace(
        source="siemens smooth", window="bone", other_window="soft", steps=2, p=1.0, device="cpu",
    )  # fmt: skip
    rows = []
    plain = ct.plain_arms(1.0, 0)
    assert list(plain) == ["none", "jitter", "changes of appearance"]
    for name, arm in (*plain.items(), ("colorist", create_stylizer("colorist"))):
        found = ct.run(slices, arm, 0, options)
        assert list(found) == ["other scanner", "and window"]
        for scores in found.values():
            assert all(0.0 <= value <= 1.0 for value in scores.values())
        rows.append({"training": name, "seed": 0, **found})
    assert len({row["and window"]["pixel accuracy"] for row in rows}) == len(rows)
    table = ct.mean_of([*rows, rows[0]])
    assert table["none"]["other scanner"]["miou"] == pytest.approx(
        rows[0]["other scanner"]["miou"], abs=1e-4
    )


def test_the_record_says_weights_and_detail(index, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.record.RESULTS", tmp_path)
    monkeypatch.setattr(
        "sys.argv",
        ["ct", "--index", str(index), "--stylizers", "contextual-adain", "--no-detail",
         "--size", "32", "--steps", "1", "--seeds", "1", "--device", "cpu",
         "-o", str(tmp_path / "runs.jsonl")],
    )  # fmt: skip
    ct.main()
    monkeypatch.setattr(ct, "run", None)
    ct.main()  # nothing is run twice
    (file,) = tmp_path.rglob("ct--cpu.json")
    results = json.loads(file.read_text())["results"]
    assert results["settings"]["weights"] == {"contextual-adain": "ct"}
    assert results["settings"]["detail"] is False
    shipped = create_stylizer("contextual-adain", weights="ct").weights_id
    assert results["weights"] == {"contextual-adain": shipped}
    assert list(results["table"]) == ["none", "jitter", "changes of appearance", "contextual-adain"]
    assert [run["training"] for run in results["runs"]] == list(results["table"])
    assert "no detail was put back" in tables._ct(results)
