"""One integer per call from the host, and loader workers that do not repeat each other."""

from __future__ import annotations

import torch

from styleaug._draws import process_stream
from styleaug.params import StyleParams
from styleaug.transform import StyleTransfer


def draw_from(core: StyleTransfer, integer: int, count: int = 1) -> StyleParams:
    """Return the params that an integer of the host stands for; one draw for ``count`` images.

    Every adapter draws through here, so that equal integers give equal images in all of them.
    """
    return core.draw_params(1, torch.Generator().manual_seed(integer)).repeat(count)


def check_worker(device: torch.device | None) -> None:
    """Raise ``RuntimeError`` where a forked loader worker is about to use CUDA.

    Args:
        device: Where the stylizer is to run.
    """
    worker = torch.utils.data.get_worker_info()
    if device is None or device.type != "cuda" or worker is None:
        return
    if torch.cuda._is_in_bad_fork():
        raise RuntimeError(
            f"device={str(device)!r} cannot be used in loader worker {worker.id}: CUDA does not "
            "survive a fork. Either stylize on the CPU in the workers (device='cpu'), or stylize "
            "whole batches on the device after the loader "
            "(styleaug.adapters.loader.StyleLoader)."
        )


class WorkerStream:
    """Notices when a transform wakes up in another process, worker or epoch than before."""

    def __init__(self) -> None:
        self._seen = 0

    def moved_to(self) -> int:
        """Return the number of a stream that is new here, or 0 if nothing has changed."""
        stream = process_stream()
        if stream in (0, self._seen):
            return 0
        self._seen = stream
        return stream
