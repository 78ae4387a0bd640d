"""One command measures on any device; what is missing says why."""

import json
import time

import pytest
import torch

from benchmarks import gpu, record, tables
from benchmarks.cells import Budget, attempt, count_work, measure, missing
from benchmarks.record import seconds_of, time_in_turns, write_record

SMALL = gpu.Sizes((32,), (1, 2), 32, 2, 2, (("colorist", "fp32"),), compiled=0, peers=())


def _budget(seconds=60.0, each=20.0):
    return Budget(seconds, each, repeating=0.01)


def test_a_cell_holds_the_time_of_what_was_called_after_two_calls_to_warm_up():
    calls = []

    def run():
        calls.append(1)
        time.sleep(0.02)

    cell = measure(lambda: run, "cpu", _budget())
    assert len(calls) == cell["repeats"] + 2
    assert 20.0 <= cell["ms"]["q1"] <= cell["ms"]["median"] <= cell["ms"]["q3"]


def test_what_fails_is_named_and_what_is_too_large_too():
    def raising(error):
        def work():
            raise error

        return work

    memory = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 51 GiB")
    assert attempt(raising(memory), "cpu", _budget()) == {"memory": "not enough"}
    full = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte")
    assert attempt(raising(full), "cpu", _budget()) == {"memory": "not enough"}
    found = attempt(raising(KeyError("of a\npeer")), "cpu", _budget())
    assert found["failed"].startswith("KeyError: ")
    assert missing(found)


def test_a_cell_that_takes_too_long_is_given_up_and_a_spent_budget_begins_none():
    began = time.monotonic()
    found = measure(lambda: lambda: time.sleep(30), "cpu", _budget(each=0.2))
    assert found == {"skipped": "takes longer than 0.2 s"}
    assert time.monotonic() - began < 10.0
    spent = measure(lambda: pytest.fail("begun"), "cpu", Budget(0.0, 1.0))
    assert spent == {"skipped": "the time of this part is spent"}


def test_operations_and_read_backs_are_counted():
    image = torch.rand(2, 3, 4, 4)
    found = count_work(lambda: bool(image.view(2, -1).add(1.0).mul(2.0).sum() > 0), "cpu")
    assert found == {"operations": 4, "read-backs": 1}
    lists = count_work(lambda: torch.stack(image.aminmax()).tolist(), "cpu")
    assert lists == {"operations": 2, "read-backs": 1}
    masks = count_work(lambda: image[image > 0.5], "cpu")
    assert masks == {"operations": 1, "read-backs": 1}


def test_clocks_stop_only_when_the_device_is_done(monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append(device))
    seconds_of(lambda: events.append("run"), "cuda:1")
    assert events == ["cuda:1", "run", "cuda:1"]
    events.clear()
    time_in_turns({"one": lambda: events.append("run")}, repeats=2, warm_up=1, device="cuda")
    assert events == ["run", *["cuda", "run", "cuda"] * 2]


def test_records_are_named_after_their_device(tmp_path, monkeypatch):
    name = lambda device=None: "NVIDIA H100 80GB HBM3"  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_name", name)
    path = write_record("step", {"a": 1}, device="cuda", folder=tmp_path)
    assert path.name == "step--cuda-nvidia-h100-80gb-hbm3.json"
    assert json.loads(path.read_text())["machine"]["gpu"] == name()
    on_cpu = write_record("step", {"a": 1}, device="cpu", folder=tmp_path)
    assert on_cpu.name == "step--cpu.json"
    assert json.loads(on_cpu.read_text())["machine"]["gpu"] is None


@pytest.mark.filterwarnings("ignore")
def test_the_quick_mode_measures_every_part_on_a_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "QUICK", SMALL)
    small = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
    networks = {"ResNet-50": lambda weights: small, "DenseNet-121": lambda weights: small}
    monkeypatch.setattr(gpu, "NETWORKS", networks)
    gpu.main(["--quick", "--device", "cpu", "--minutes", "3", "--out", str(tmp_path)])
    found = {
        path.name.removesuffix("--cpu.json"): json.loads(path.read_text())["results"]
        for path in tmp_path.iterdir()
    }
    assert set(found) == {f"gpu-{name}" for name in gpu.PARTS}
    assert found["gpu-stylizers"]["colorist, fp32, 2 x 32²"]["images_per_s"] > 0
    assert found["gpu-copies"]["2 x 32²"]["colorist, fp32"]["copies"] > 1
    assert found["gpu-launches"]["colorist, fp32"]["operations"] > 5
    assert "share of a step of ResNet-50" in found["gpu-step"]["colorist"]
    assert found["gpu-tta"]["colorist"]["in units of 3 plain forwards"] > 0
    assert not missing(found["gpu-peers"]["torchvision ColorJitter"])
    assert "colorist, fp32" in capsys.readouterr().out


def test_larger_batches_are_not_tried_where_a_smaller_one_does_not_fit(monkeypatch):
    tried = []

    def short(make, device, budget):
        tried.append(make.args[1])
        return {"memory": "not enough"}

    monkeypatch.setattr(gpu, "measure", short)
    cells = gpu.stylizers(gpu.Setting("cpu", SMALL, _budget()))
    assert tried == [1]
    assert cells["colorist, fp32, 2 x 32²"] == {"skipped": "a smaller batch: not enough"}


def test_the_page_says_whether_a_gpu_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "_machine", lambda device: {"gpu": "G", "cpu": "C", "threads": 2})
    times = {"ms": {"median": 2.0, "q1": 1.0, "q3": 3.0}, "repeats": 3, "copies": 4.0, "goal": 3.0}
    results = {"1 x 8²": {"copy": {"ms": times["ms"]}, "a": times, "b": {"memory": "not enough"}}}
    write_record("gpu-copies", results, device="cpu", folder=tmp_path / "0.1.0")
    assert "No figure of a GPU exists yet" in tables.page()
    monkeypatch.setattr(record, "_label", lambda device: "cuda-g")
    write_record("gpu-copies", results, device="cuda", folder=tmp_path / "0.1.0")
    page = tables.page()
    assert "No figure of a GPU" not in page
    assert page.count("| 1 x 8², a | 2.0 | 4.0 | 3.0 |") == 2  # of both devices
    assert "| 1 x 8², b |  |  |  | memory: not enough |" in page


@pytest.mark.parametrize("script", [p.stem for p in record.RESULTS.parent.glob("[!_]*.py")])
def test_every_script_takes_a_device(script):
    text = (record.RESULTS.parent / f"{script}.py").read_text()
    if 'if __name__ == "__main__"' in text and script != "tables":
        assert "add_device(parser)" in text
        assert "device=" in text or script == "trained"
