"""Speed and memory of micro with styles from a bank.

Run ``python -m benchmarks.micro``.
"""

from __future__ import annotations

import json
import subprocess
import sys

import torch

from benchmarks.record import time_in_turns, write_record
from styleaug import StyleBank, create_stylizer

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


def main() -> None:
    """Measure, print and write the record."""
    torch.set_num_threads(2)
    results: dict[str, object] = {}
    runs = {}
    for precision in ("fp32", "bf16"):
        stylizer = create_stylizer("micro", precision=precision)
        bank = StyleBank.from_images([torch.rand(3, 256, 256) for _ in range(8)], stylizer)
        for batch, side in ((8, 256), (1, 1024)):
            images, code = torch.rand(batch, 3, side, side), bank.code[list(range(batch))]
            alpha = torch.ones(batch)
            runs[f"{precision}, {batch} x {side} x {side}"] = (
                lambda s=stylizer, x=images, c=code, a=alpha: s(x, c, a)
            )
    times = time_in_turns(runs, repeats=15, warm_up=3)
    results["ms_per_batch"] = times
    results["images_per_s"] = {
        name: round(1000.0 * int(name.split()[1]) / t["median"], 1) for name, t in times.items()
    }
    results["peak_gb_at_4096"] = {precision: _peak(precision) for precision in ("fp32", "bf16")}
    results["bytes_per_style"] = bank.code[[0]].nbytes
    print(json.dumps(results, indent=1))
    print(write_record("micro", results))


def _peak(precision: str) -> float:
    """Return the peak memory of a process that stylizes one image of 4096 x 4096 pixels."""
    program = LARGE.format(precision=precision)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return round(float(done.stdout.split()[0]), 2)


if __name__ == "__main__":
    main()
