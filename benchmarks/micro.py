"""Speed and memory of the learned stylizers that ship, micro and appearance, with given styles.

Run ``python -m benchmarks.micro``. Every batch is timed in turns, with colorist as the unit, in
processes that keep large blocks of memory and in processes that give them back. ``--quick`` shows
at small sizes that it works, and writes no record.

* images_per_s: with a code for every image;
* times_colorist: time of a batch, as a multiple of that of colorist;
* peak_gb_at_4096: memory of a process that paints one image of 4096 x 4096, with Python and torch;
* gb_beyond_image_at_4096: what painting adds to what was there with the image, its output included;
* bytes_per_style: of a code in a bank.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TypeAlias

import torch

from benchmarks.record import add_device, time_in_turns, write_record
from styleaug import StyleBank, Stylizer, create_stylizer
from styleaug.stylizers import StyleCode

LARGE = """
import ctypes, gc, resource, torch
from pathlib import Path
from styleaug import StyleBank, create_stylizer

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name))

torch.set_num_threads(2)
stylizer = create_stylizer({name!r}, precision={precision!r})
bank = StyleBank.from_images([torch.rand(3, 256, 256)], stylizer)
image = torch.rand(1, 3, {side}, {side})
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system, or it would hide
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = kilobytes("VmRSS")
stylizer(image, bank.code, torch.ones(1))
beyond = kilobytes("VmHWM") - before
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, beyond / 2**20)
"""


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        batches: Images and their sides.
        repeats: Of every batch in a process.
        large: Side of the image whose memory is measured.
    """

    batches: tuple[tuple[int, int], ...]
    repeats: int
    large: int


FULL = Sizes(((8, 256), (32, 224), (1, 1024)), repeats=15, large=4096)
QUICK = Sizes(((2, 64), (1, 128)), repeats=2, large=256)
LEARNED = (("micro", "fp32"), ("micro", "bf16"), ("appearance", "fp32"))
"""Stylizers and precisions; appearance computes in float32, whatever it is told."""

UNIT = ("colorist", "fp32")
Times: TypeAlias = dict[str, dict[str, float]]
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**36)}
"""The C library hands blocks of 32 MB and more back at once, unless told to keep them."""


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", action="store_true", help="print times alone, as JSON")
    parser.add_argument("--quick", action="store_true", help="small sizes, no record")
    add_device(parser)
    options = parser.parse_args()
    sizes, device = QUICK if options.quick else FULL, options.device
    if options.times:
        print(json.dumps(_times(sizes, device)))
        return
    times = _times_in_turns(sizes, device, quick=options.quick)
    results: dict[str, object] = dict(times)
    for name, rows in times.items():
        results[name.replace("ms_per_batch", "images_per_s")] = images_per_second(rows)
        results[name.replace("ms_per_batch", "times_colorist")] = in_units(rows)
    found = {", ".join(kind): _memory(*kind, sizes.large, device) for kind in LEARNED}
    for place, label in enumerate(("peak_gb", "gb_beyond_image")):
        results[f"{label}_at_{sizes.large}"] = {kind: pair[place] for kind, pair in found.items()}
    names = dict.fromkeys(name for name, _ in LEARNED)
    results["bytes_per_style"] = {
        name: _stylizer_and_code(name, "fp32", 1, "cpu")[1].nbytes for name in names
    }
    print(json.dumps(results, indent=1))
    if not options.quick:
        print(write_record("micro", results, device=device))


def images_per_second(rows: Times) -> dict[str, float]:
    """Return the rates of rows such as "micro, fp32, 8 x 256 x 256"."""
    counts = {row: int(row.split(", ")[2].split()[0]) for row in rows}
    return {row: round(1000.0 * counts[row] / rows[row]["median"], 1) for row in rows}


def in_units(rows: Times) -> dict[str, float]:
    """Return the times of all rows but those of the unit, as multiples of the unit's."""
    unit = ", ".join(UNIT)
    return {
        row: round(found["median"] / rows[f"{unit}, {row.split(', ')[2]}"]["median"], 2)
        for row, found in rows.items()
        if not row.startswith(unit)
    }


def _times(sizes: Sizes, device: str) -> Times:
    torch.set_num_threads(2)
    runs = {}
    for name, precision in (*LEARNED, UNIT):
        for batch, side in sizes.batches:
            stylizer, code = _stylizer_and_code(name, precision, batch, device)
            images = torch.rand(batch, 3, side, side, device=device)
            alpha = torch.ones(batch, device=device)
            runs[f"{name}, {precision}, {batch} x {side} x {side}"] = (
                lambda s=stylizer, x=images, c=code, a=alpha: s(x, c, a)
            )
    return time_in_turns(runs, repeats=sizes.repeats, warm_up=3, device=device)


def _stylizer_and_code(
    name: str, precision: str, count: int, device: str
) -> tuple[Stylizer, StyleCode]:
    stylizer = create_stylizer(name, precision=precision)
    images = [torch.rand(3, 256, 256) for _ in range(count)]
    code = StyleBank.from_images(images, stylizer).code
    return stylizer.to(device), code.to(device)


def _times_in_turns(sizes: Sizes, device: str, *, quick: bool) -> dict[str, Times]:
    """Return the times of processes with and without blocks kept: the middle of three turns."""
    environments = {"ms_per_batch": {}, "ms_per_batch, blocks kept": KEPT}
    if device != "cpu":
        return {"ms_per_batch": _times(sizes, device)}
    turns: dict[str, list[Times]] = {name: [] for name in environments}
    for _ in range(3):
        for name, environment in environments.items():
            turns[name].append(_times_of_a_process(environment, quick=quick))
    return {name: _middle(found) for name, found in turns.items()}


def _times_of_a_process(environment: dict[str, str], *, quick: bool) -> Times:
    command = [sys.executable, "-m", "benchmarks.micro", "--times", "--device", "cpu"]
    command += ["--quick"] if quick else []
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return json.loads(done.stdout)


def _middle(turns: list[Times]) -> Times:
    return {
        row: sorted((turn[row] for turn in turns), key=lambda times: times["median"])[1]
        for row in turns[0]
    }


def _memory(name: str, precision: str, side: int, device: str) -> tuple[float, float]:
    """Return the peak memory in GB for one image, in all and beyond what was there before.

    On a CPU it is that of a process of its own, on a GPU what is allocated there.
    """
    if device != "cpu":
        stylizer, code = _stylizer_and_code(name, precision, 1, device)
        image = torch.rand(1, 3, side, side, device=device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        stylizer(image, code, torch.ones(1, device=device))
        peak = torch.cuda.max_memory_allocated(device)
        return round(peak / 2**30, 2), round((peak - before) / 2**30, 2)
    program = LARGE.format(name=name, precision=precision, side=side)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    peak, beyond = (round(float(value), 2) for value in done.stdout.split())
    return peak, beyond


if __name__ == "__main__":
    main()
