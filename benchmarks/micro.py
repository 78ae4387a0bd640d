"""Speed and memory of micro with styles from a bank.

Run ``python -m benchmarks.micro``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import TypeAlias

import torch

from benchmarks.record import add_device, time_in_turns, write_record
from styleaug import StyleBank, Stylizer, create_stylizer
from styleaug.stylizers import StyleCode

LARGE = """
import resource, torch
from styleaug import StyleBank, create_stylizer
torch.set_num_threads(2)
stylizer = create_stylizer("micro", precision={precision!r})
bank = StyleBank.from_images([torch.rand(3, 256, 256)], stylizer)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stylizer(torch.rand(1, 3, 4096, 4096), bank.code, torch.ones(1))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, before / 2**20)
"""


Times: TypeAlias = dict[str, dict[str, float]]
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**36)}
"""The C library hands blocks of 32 MB and more back at once, unless told to keep them."""


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", action="store_true", help="print times alone, as JSON")
    add_device(parser)
    options = parser.parse_args()
    if options.times:
        print(json.dumps(_times(options.device)))
        return
    times = _times_in_turns(options.device)
    results: dict[str, object] = dict(times)
    for name, rows in times.items():
        results[name.replace("ms_per_batch", "images_per_s")] = {
            row: round(1000.0 * int(row.split()[1]) / t["median"], 1) for row, t in rows.items()
        }
    results["peak_gb_at_4096"] = {
        precision: _peak(precision, options.device) for precision in ("fp32", "bf16")
    }
    results["bytes_per_style"] = _stylizer_and_code("fp32", 1, "cpu")[1].nbytes
    print(json.dumps(results, indent=1))
    print(write_record("micro", results, device=options.device))


def _times(device: str) -> Times:
    torch.set_num_threads(2)
    runs = {}
    for precision in ("fp32", "bf16"):
        for batch, side in ((8, 256), (1, 1024)):
            stylizer, code = _stylizer_and_code(precision, batch, device)
            images = torch.rand(batch, 3, side, side, device=device)
            alpha = torch.ones(batch, device=device)
            runs[f"{precision}, {batch} x {side} x {side}"] = (
                lambda s=stylizer, x=images, c=code, a=alpha: s(x, c, a)
            )
    return time_in_turns(runs, repeats=15, warm_up=3, device=device)


def _stylizer_and_code(precision: str, count: int, device: str) -> tuple[Stylizer, StyleCode]:
    stylizer = create_stylizer("micro", precision=precision)
    images = [torch.rand(3, 256, 256) for _ in range(count)]
    code = StyleBank.from_images(images, stylizer).code
    return stylizer.to(device), code.to(device)


def _times_in_turns(device: str) -> dict[str, Times]:
    """Return the times of processes with and without blocks kept: the middle of three turns."""
    environments = {"ms_per_batch": {}, "ms_per_batch, blocks kept": KEPT}
    if device != "cpu":
        return {"ms_per_batch": _times(device)}
    turns: dict[str, list[Times]] = {name: [] for name in environments}
    for _ in range(3):
        for name, environment in environments.items():
            turns[name].append(_times_of_a_process(environment))
    return {name: _middle(found) for name, found in turns.items()}


def _times_of_a_process(environment: dict[str, str]) -> Times:
    command = [sys.executable, "-m", "benchmarks.micro", "--times", "--device", "cpu"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return json.loads(done.stdout)


def _middle(turns: list[Times]) -> Times:
    return {
        row: sorted((turn[row] for turn in turns), key=lambda times: times["median"])[1]
        for row in turns[0]
    }


def _peak(precision: str, device: str) -> float:
    """Return the peak memory of a process, or on a GPU, for one image of 4096 x 4096 pixels."""
    if device != "cpu":
        stylizer, code = _stylizer_and_code(precision, 1, device)
        torch.cuda.reset_peak_memory_stats(device)
        stylizer(torch.rand(1, 3, 4096, 4096, device=device), code, torch.ones(1, device=device))
        return round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    program = LARGE.format(precision=precision)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return round(float(done.stdout.split()[0]), 2)


if __name__ == "__main__":
    main()
