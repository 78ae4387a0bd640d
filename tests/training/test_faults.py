"""A training under faults: killed, on a full disk, with two writers; nothing is lost or mixed."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug.cli import main
from styleaug.training import TrainConfig, Trainer
from styleaug.training.recipes import RECIPES, Recipe
from styleaug.weights import read_state_dict

RUNS = ("a", "b", "c", "d", "e")
CLIENT = '''
"""Train in forked processes that are killed: at random moments, and around every file's arrival."""

import os, random, runpy, signal, sys, time, warnings
from pathlib import Path

warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
tiny = runpy.run_path(sys.argv[2])
from styleaug.training import Trainer


def train(name, arrivals=None):
    """Run until the end, or be killed before (even) or after (odd) a file takes its place."""
    begin, child = time.monotonic(), os.fork()
    if child:
        return child, begin
    try:
        replace, seen = Path.replace, []

        def counted(path, target):
            if arrivals == 2 * len(seen):
                os.kill(os.getpid(), signal.SIGKILL)
            done = replace(path, target)
            if arrivals == 2 * len(seen) + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            seen.append(target)
            return done

        Path.replace = counted
        Trainer(tiny["tiny_config"](folder, folder / name), resume=True, quiet=True).run()
        os._exit(0)
    finally:
        os._exit(1)


def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


child, begin = train("whole")
assert wait(child) == 0
whole = time.monotonic() - begin
killed, moments = 0, random.Random(0)
for name in sys.argv[3:]:
    for _ in range(2):
        child, _ = train(name)
        time.sleep(moments.uniform(0.05, 0.6) * whole)
        os.kill(child, signal.SIGKILL)
        killed += wait(child) == -signal.SIGKILL
    assert wait(train(name)[0]) == 0
for arrivals in range(8):
    assert wait(train("arrivals", arrivals)[0]) == -signal.SIGKILL
assert wait(train("arrivals")[0]) == 0
print(killed)
'''


class Tiny(Recipe):
    """A layer with a discriminator, noise and nothing else: some milliseconds a step."""

    default_weights = {"near": 1.0, "fool": 0.1, "tell": 1.0}  # noqa: RUF012
    discriminator_steps = 0.5

    def __init__(self, config):
        super().__init__(config)
        self.network, self.judge = torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Conv2d(3, 1, 3)

    def generator(self):
        return self.network

    def discriminator(self):
        return self.judge

    def preview(self, content, style):
        return self.network(content)

    def forward(self, content, style, phase):
        fake = self.network(content + 0.1 * torch.randn_like(content))
        if phase == "discriminator":
            return {"tell": (self.judge(fake.detach()) - self.judge(style) + 1.0).square().mean()}
        return {"near": (fake - style).square().mean(), "fool": self.judge(fake).square().mean()}


RECIPES["tiny"] = Tiny


def tiny_config(folder, output, **changes):
    """Settings of twenty steps with seven checkpoints."""
    rare = {"steps": 20, "checkpoint_every": 3, "log_every": 1, "images_every": 15}
    small = {"size": 32, "batch_size": 2, "workers": 0, "accelerator": "cpu", "warm_up": 2}
    images = (str(folder / "images"),)
    return TrainConfig("tiny", images, str(output), **{**rare, **small, **changes})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{index}.png")
    return tmp_path


def test_runs_that_are_killed_at_any_moment_end_alike(folder):
    script = folder / "client.py"
    script.write_text(CLIENT)
    done = subprocess.run(
        [sys.executable, str(script), str(folder), __file__, *RUNS],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    whole = read_state_dict(folder / "whole" / "model.safetensors")
    curve = json.loads((folder / "whole" / "history.json").read_text())
    assert [entry["step"] for entry in curve] == list(range(1, 21))
    for name in (*RUNS, "arrivals"):
        state = read_state_dict(folder / name / "model.safetensors")
        assert all(torch.equal(state[key], value) for key, value in whole.items())
        assert json.loads((folder / name / "history.json").read_text()) == curve
        assert not list((folder / name).glob(".*.part"))


def _full(after):
    """Return a `torch.save` that works some times, then writes half a file to a full disk."""
    save, calls = torch.save, []

    def saves(state, file):
        calls.append(1)
        if len(calls) > after:
            file.write(b"half a checkpoint")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    return saves


def test_a_full_disk_keeps_the_checkpoint_before(folder, monkeypatch, capsys):
    output = folder / "run"
    monkeypatch.setattr(torch, "save", _full(2))
    with pytest.raises(OSError, match=r"step 9 .*No space.* before stays.*--resume") as caught:
        Trainer(tiny_config(folder, output), quiet=True).run()
    assert caught.value.errno == errno.ENOSPC
    assert torch.load(output / "last.ckpt", weights_only=True)["step"] == 6
    assert not list(output.glob(".*.part"))
    monkeypatch.undo()
    Trainer(tiny_config(folder, output), resume=True, quiet=True).run()
    Trainer(tiny_config(folder, folder / "whole"), quiet=True).run()
    again, whole = (
        read_state_dict(folder / name / "model.safetensors") for name in ("run", "whole")
    )
    assert all(torch.equal(again[key], value) for key, value in whole.items())


def test_weights_that_do_not_fit_the_disk_leave_those_before(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from styleaug import _tensors, weights

    path = tmp_path / "model.safetensors"
    weights.save_tensors({"a": torch.zeros(2)}, path, {})

    def full(tensors, target, metadata):
        Path(target).write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr(_tensors, "save_file", full)
    with pytest.raises(OSError, match=r"model\.safetensors' cannot be written: .*No space left"):
        weights.save_tensors({"a": torch.ones(2)}, path, {})
    assert torch.equal(read_state_dict(path)["a"], torch.zeros(2))
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


HOLDER = """
import sys
from pathlib import Path
from styleaug.training.run_folder import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_writers_do_not_share_a_folder(folder):
    output = folder / "run"
    command = [sys.executable, "-c", HOLDER, str(output)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        for resume in (False, True):
            trainer = Trainer(tiny_config(folder, output), resume=resume, quiet=True)
            with pytest.raises(
                FileExistsError, match=r"another process writes to .*choose another"
            ):
                trainer.run()
        assert [path.name for path in output.iterdir()] == [".lock"]
        other.kill()
    Trainer(tiny_config(folder, output, steps=3), quiet=True).run()


def test_a_run_that_began_since_is_not_overwritten(folder):
    first, second = (Trainer(tiny_config(folder, folder / "run"), quiet=True) for _ in range(2))
    first.run()
    before = (folder / "run" / "history.json").read_bytes()
    with pytest.raises(FileExistsError, match="holds a run already"):
        second.run()
    assert (folder / "run" / "history.json").read_bytes() == before


def test_more_steps_of_a_finished_run_are_refused_with_the_way_out(folder, capsys):
    output = folder / "run"
    weights = Trainer(tiny_config(folder, output, steps=3), quiet=True).run()
    words = ["--config", str(output / "config.toml"), "-o", str(output), "--resume"]
    assert main(["train", "tiny", *words, "--steps", "6"]) == 2
    error = capsys.readouterr().err
    assert "finished after 3 steps" in error
    assert f"--start {weights}" in error
    assert main(["train", "tiny", *words]) == 0
    weights.unlink()
    assert main(["train", "tiny", *words, "--steps", "6"]) == 2
    assert "falls to zero at step 3: resume with that" in capsys.readouterr().err


def test_what_cannot_be_built_leaves_no_folder(folder, monkeypatch):
    def fails(self, config):
        raise ValueError("size must be a multiple of 16.")

    monkeypatch.setattr(Tiny, "__init__", fails)
    with pytest.raises(ValueError, match="multiple"):
        Trainer(tiny_config(folder, folder / "run"), quiet=True).run()
    assert not (folder / "run").exists()
