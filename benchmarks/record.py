"""What every benchmark shares: the device, timing in turns, and the record of a run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "torch",
    "stylizing-vit",
    "torchvision",
    "albumentations",
    "monai",
    "scikit-image",
    "torchstain",
    "kornia",
    "numpy",
)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare ``--device``: what is measured runs there, and the record is named after it."""
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cpu, cuda, cuda:1 ... (%(default)s)")


def synchronize(device: str) -> None:
    """Wait until a device has done what it was given; a CPU always has."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(run: Callable[[], object], device: str) -> float:
    """Return how long one call takes, until the device has finished it."""
    synchronize(device)
    start = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - start


def time_in_turns(
    runs: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 15,
    warm_up: int = 2,
    device: str = "cpu",
) -> dict[str, dict[str, float]]:
    """Time functions in turns; milliseconds: median, and the quartiles as the spread."""
    for _ in range(warm_up):
        for run in runs.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name].append(seconds_of(run, device))
    return {name: summary(values) for name, values in seconds.items()}


def write_record(
    name: str, results: object, *, device: str = "cpu", folder: Path | None = None
) -> Path:
    """Write a result with the machine, the versions and the commit; returns the path.

    Args:
        name: What was measured.
        results: The figures.
        device: Where it ran; the file is named after it, such as ``step--cuda-nvidia-h100.json``.
        folder: Where to; None: the folder of this version's results.
    """
    machine = _machine(device)
    record = {"benchmark": name, "machine": machine, "versions": _versions(), **_commit()}
    folder = folder or RESULTS / _own_version()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}--{_label(device)}.json"
    path.write_text(json.dumps({**record, "results": results}, indent=1) + "\n")
    return path


def recompute_record(
    name: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    device: str = "cpu",
    folder: Path | None = None,
) -> Path:
    """Write the results of a record anew, computed from the same measurement; returns the path.

    Machine, versions and commit stay those of the measurement; ``recomputed`` names the commit
    that computed the results.

    Args:
        name: What was measured.
        change: Takes the old results and returns the new ones.
        device: Where it was measured.
        folder: Of the record; None: the folder of this version's results.

    Raises:
        SystemExit: There is no such record.
    """
    path = (folder or RESULTS / _own_version()) / f"{name}--{_label(device)}.json"
    if not path.exists():
        raise SystemExit(f"no record to compute again: {path}")
    old = json.loads(path.read_text())
    results = change(old.pop("results"))
    record = {**old, "recomputed": _commit()["commit"], "results": results}
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def keep_runs(runs: Path, record: Path) -> Path:
    """Copy the runs behind a record to ``runs/`` beside it; returns where they are."""
    path = record.parent / "runs" / f"{record.stem}.jsonl"
    path.parent.mkdir(exist_ok=True)
    if runs.resolve() != path.resolve():
        path.write_bytes(runs.read_bytes())
    return path


def _label(device: str) -> str:
    if torch.device(device).type != "cuda":
        return torch.device(device).type
    name = torch.cuda.get_device_name(device).lower()
    return "cuda-" + re.sub("[^a-z0-9]+", "-", name).strip("-")


def summary(values: list[float]) -> dict[str, float]:
    """Return the median and the quartiles of seconds, in milliseconds."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {key: round(v * 1e3, 3) for key, v in {"median": middle, "q1": low, "q3": high}.items()}


def _machine(device: str) -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> dict[str, str]:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return {"commit": done.stdout.strip() or "unknown"}


def _own_version() -> str:
    text = (Path(__file__).parents[1] / "styleaug" / "__init__.py").read_text()
    return text.split('__version__ = "', 1)[1].split('"', 1)[0]
