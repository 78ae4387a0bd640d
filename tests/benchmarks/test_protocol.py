"""The studies of Stylizing ViT run on small made data in the layouts of the real ones."""

import argparse

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.built import build
from benchmarks.protocol import OURS, PUBLISHED, both_ways, moments_of, painters, run, settings
from benchmarks.protocol_data import STUDIES
from styleaug.stylizers.vit import CONFIGS, StylizingViTNetwork
from styleaug.weights import save_tensors


def _picture(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 30, (40, 48, 3))
    Image.fromarray((noise + value).astype(np.uint8)).save(path)


@pytest.fixture
def camelyon17(tmp_path):
    folder = tmp_path / "camelyon17_v1.0"
    lines = [",patient,node,x_coord,y_coord,tumor,slide,center,split"]
    for number in range(20):
        center, tumor = number // 4, number % 2
        patient = f"{center:03d}"
        where = f"patches/patient_{patient}_node_1"
        _picture(folder / where / f"patch_patient_{patient}_node_1_x_{number}_y_0.png", 5 * number)
        lines.append(f"{number},{patient},1,{number},0,{tumor},{center},{center},0")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    (folder / "RELEASE_v1.0.txt").touch()
    return tmp_path


@pytest.fixture
def epithelium_stroma(tmp_path):
    for cohort in ("NKI", "VGH", "IHC"):
        for kind in ("epithelium", "stroma"):
            for number in range(2 + 2 * (cohort == "NKI")):
                _picture(tmp_path / cohort / kind / f"{number}.png", 20 * number)
    return tmp_path


@pytest.fixture
def fitzpatrick17k(tmp_path):
    lines = ["md5hash,fitzpatrick_scale,three_partition_label"]
    for number in range(18):
        scale = number % 6 + 1
        label = ("benign", "malignant", "non-neoplastic")[number // 6]
        _picture(tmp_path / "images" / f"{number:032x}.jpg", 10 * number)
        lines.append(f"{number:032x},{scale},{label}")
    lines += ["f" * 32 + ",-1,benign", "e" * 32 + ",2,benign"]
    (tmp_path / "fitzpatrick17k.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def white_cells(tmp_path):
    lines = ["image,domain,label"]
    labels = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
    for place, domain in enumerate(("jtsc", "bccd", "cellavision")):
        for label in labels:
            name = f"cls/{domain}/{label}/1.png"
            _picture(tmp_path / name, 20 + 40 * place)
            lines.append(f"{name},{domain},{label}")
    (tmp_path / "index_cls.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


SIZES = {
    "camelyon17": {"train": 12, "val": 4, "test": 4},
    "epithelium-stroma": {"train": 8, "val": 4, "test": 4},
    "fitzpatrick17k": {"train": 6, "val": 6, "test": 6},
    "white-cells": {"train": 4, "val": 4, "test": 4},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("study", STUDIES)
def test_each_study_reads_its_splits(study, request):
    root = request.getfixturevalue(study.replace("-", "_"))
    read, classes = STUDIES[study]
    splits = read(root, 64)
    assert {name: len(part) for name, part in splits.items()} == SIZES[study]
    image, _ = splits["train"][0]
    assert image.shape == (3, 64, 64)
    assert image.dtype.is_floating_point is False
    for part in splits.values():
        assert {part[i][1] for i in range(len(part))} == set(range(classes))


@pytest.mark.filterwarnings("ignore")
def test_a_study_trains_and_is_tested_with_and_without_tta(epithelium_stroma, tmp_path):
    read, classes = STUDIES["epithelium-stroma"]
    splits = read(epithelium_stroma, 64)
    mean, std = moments_of(splits["train"])
    assert mean.shape == std.shape == (3,)
    assert 0.0 < float(std.min()) < float(mean.max()) < 1.0
    options = argparse.Namespace(
        weights=[], detail=True, portion=0.33, tta=["colorist"], views=2, epochs=1,
        batch_size=4, workers=0, quiet=True, out=str(tmp_path / "runs"), device="cpu",
    )  # fmt: skip
    found = run(splits, classes, "colorist", 1, options)
    labels = [f"colorist, {label}" for label in (PUBLISHED, OURS)]
    assert list(found) == ["seed", "as it is", *labels]
    for label in labels:
        assert set(found[label]) == {"accuracy", "balanced accuracy", "AUC"}
        assert all(0.0 <= value <= 1.0 for value in found[label].values())
    options.tta = []
    assert list(run(splits, classes, "TrivialAugment", 1, options)) == ["seed", "as it is"]


def test_stylizing_vit_paints_at_test_time_with_weights_that_are_named(tmp_path):
    network = StylizingViTNetwork(CONFIGS["tiny"])
    save_tensors(network.state_dict(), tmp_path / "vit.safetensors", {})
    (tmp_path / "config.json").write_text('{"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}')
    with pytest.raises(ValueError, match="weights must name"):
        build("stylizing-vit-small", [])
    painter = build("stylizing-vit-tiny", [f"stylizing-vit-tiny={tmp_path / 'vit.safetensors'}"])
    images = list(torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8))
    seen = []

    def model(batch):
        seen.append(batch)
        return batch.flatten(1)[:, :2]

    ways = both_ways(model, painter, images, 2)
    assert len(ways[PUBLISHED].bank) == 4
    ways[PUBLISHED](torch.stack(images[:1]))
    ways[OURS](torch.stack(images[:1]))
    assert [len(batch) for batch in seen] == [1, 3]  # one painted view; two, and the original
    assert not torch.equal(seen[0][0], images[0])
    assert sum(torch.equal(view, images[0]) for view in seen[1]) == 1


def test_the_record_says_which_weights_took_part_and_no_folder(tmp_path):
    file = tmp_path / "own.safetensors"
    file.touch()
    options = argparse.Namespace(
        augment=["none", "appearance"], tta=["appearance", "micro"], root=str(tmp_path), out="runs",
        weights=[f"micro={file}", "appearance=medical"], detail=False,
    )  # fmt: skip
    assert painters(options) == ["appearance", "micro"]
    found = settings(options)
    assert found["weights"] == {"micro": "own.safetensors", "appearance": "medical"}
    assert found["detail"] is False
    assert str(tmp_path) not in str(found)
