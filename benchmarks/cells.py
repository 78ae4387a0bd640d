"""One figure of a table: timed within limits, or the reason why it is missing."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.record import seconds_of, summary

Cell: TypeAlias = dict[str, Any]
"""``ms`` (median, quartiles), ``repeats``, ``peak_mb``; or ``skipped``, ``memory``, ``failed``."""


@dataclass
class Budget:
    """Seconds that are left for a part of the measurements.

    Attributes:
        seconds: How long the part may take.
        each: Most seconds for one cell; one that takes longer is given up.
        repeating: Seconds that a cell repeats what it times: 3 times at least, 30 at most.
    """

    seconds: float
    each: float
    repeating: float = 1.0
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the part has to end, 0 at least."""
        return max(0.0, self.seconds - self.spent)

    @property
    def spent(self) -> float:
        """Seconds since the part began."""
        return time.monotonic() - self.began


def measure(make: Callable[[], Callable[[], object]], device: str, budget: Budget) -> Cell:
    """Prepare and time a function, after two calls to warm up.

    Args:
        make: Allocates what is needed, and returns the function to time.
        device: Where it works, and what is synchronised.
        budget: What is left.
    """
    return attempt(partial(_timed, make, device, budget), device, budget)


def attempt(work: Callable[[], Cell], device: str, budget: Budget) -> Cell:
    """Return what some work returns, or why it did not; nothing that it raises ends the benchmark.

    It is not begun when the time is spent.
    """
    limit = min(budget.each, budget.left)
    if not limit:
        return {"skipped": "the time of this part is spent"}
    try:
        with _within(limit):
            return work()
    except _TooLong:
        return {"skipped": f"takes longer than {limit:.1f} s"}
    except Exception as error:  # a compiler's, a peer's: named in the record
        if _is_memory(error):
            return {"memory": "not enough"}
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]}
    finally:
        if torch.device(device).type == "cuda":
            torch.cuda.empty_cache()


def missing(cell: Cell) -> bool:
    """Return whether a cell holds no figure."""
    return "ms" not in cell


class Operations(TorchDispatchMode):
    """Counts what is dispatched: every operation but views, and read-backs by themselves.

    Args:
        device: Where tensors are read back from: "cpu" or "cuda".

    Example:
        >>> with Operations("cpu") as seen:
        ...     _ = torch.ones(2).add(1).view(1, 2).sum().item()
        >>> seen.counts["operations"], seen.counts["read-backs"]
        (3, 1)
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Count, and pass on."""
        name = func.overloadpacket.__name__
        masks = name == "index" and any(_is_mask(item) for item in args[1])
        if (name in _WAITS or masks) and args[0].device.type == self.device:
            self.counts["read-backs"] += 1
        elif not func.is_view and name != "detach":
            self.counts["operations"] += 1
        return func(*args, **(kwargs or {}))


class Reads(TorchFunctionMode):
    """Counts the methods that bring a tensor to the host, which are dispatched as something else.

    Args:
        device: Where they are read back from: "cpu" or "cuda".

    Attributes:
        count: How many there were of tensors with a size; of numbers, `Operations` sees them.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.count = device, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Count, and pass on."""
        if func in _READS and args[0].ndim and args[0].device.type == self.device:
            self.count += 1
        return func(*args, **(kwargs or {}))


_WAITS = (
    *("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "bincount"),
    "_linalg_check_errors",
)
_READS = {Tensor.tolist, Tensor.cpu, Tensor.numpy}


def _is_mask(index: object) -> bool:
    return isinstance(index, Tensor) and index.dtype == torch.bool


def count_work(run: Callable[[], object], device: str) -> dict[str, int]:
    """Return how many operations and read-backs a call makes, and on a GPU how many kernels.

    On a CPU, where all tensors lie, what the host draws for itself counts as read back, too.
    """
    run()
    kind = torch.device(device).type
    with Reads(kind) as read, Operations(kind) as seen:
        run()
    found = {
        "operations": seen.counts["operations"],
        "read-backs": seen.counts["read-backs"] + read.count,
    }
    if kind == "cuda":
        kinds = [torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=kinds) as profile:
            run()
            torch.cuda.synchronize(device)
        on_device = [e for e in profile.events() if e.device_type == torch.autograd.DeviceType.CUDA]
        copies = [e for e in on_device if e.name.startswith(("Memcpy", "Memset"))]
        found |= {"kernels": len(on_device) - len(copies), "copies": len(copies)}
    return found


def _timed(make: Callable[[], Callable[[], object]], device: str, budget: Budget) -> Cell:
    on_gpu = torch.device(device).type == "cuda"
    run = make()
    before = torch.cuda.memory_allocated(device) if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    seconds_of(run, device)
    once = seconds_of(run, device)
    peak = torch.cuda.max_memory_allocated(device) - before if on_gpu else None
    repeats = int(max(3, min(30, budget.repeating / max(once, 1e-6))))
    times = [seconds_of(run, device) for _ in range(repeats)]
    cell: Cell = {"ms": summary(times), "repeats": repeats}
    return cell if peak is None else cell | {"peak_mb": round(peak / 2**20, 1)}


class _TooLong(BaseException):
    """Not an `Exception`: compilers catch those and go on."""


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise in the main thread when the time is over; what a kernel has begun is finished first."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return

    def stop(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_memory(error: Exception) -> bool:
    words = ("out of memory", "not enough memory", "can't allocate memory")
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or any(text in str(error).lower() for text in words)
