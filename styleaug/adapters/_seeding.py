"""Draws from one integer of the host per call, and different draws in every loader worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Self, TypeVar

import torch

from styleaug._checks import check_choice
from styleaug._draws import process_stream
from styleaug.images.drawn import DrawnTransform
from styleaug.images.volume import CHANNEL_MODES, ChannelMode
from styleaug.styles import BatchStyles
from styleaug.transform import StyleTransfer

_PROBABILITY = {"albumentations": "p", "monai": "prob"}


class Repeatable(Protocol):
    """Params of images, one row each, that several images can share."""

    def __len__(self) -> int:
        """Return how many rows there are."""

    def __getitem__(self, index: int | slice) -> Self:
        """Return a row, or a slice of them."""

    def repeat(self, times: int) -> Self:
        """Return params in which every row stands ``times`` times in a row."""


Params = TypeVar("Params", bound=Repeatable)


def draw_from(core: DrawnTransform[Params], integer: int, count: int = 1) -> Params:
    """Return the params that an integer drawn by the host stands for: one draw, ``count`` images.

    All adapters draw through this function, so the same integer gives the same images in each.
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


def refuse_arguments_of_batches(host: str, names: Iterable[str], seeding: str) -> None:
    """Raise ``TypeError`` for arguments of the core that make no sense for single samples.

    Args:
        host: Name of the host library.
        names: Names of the arguments that were given.
        seeding: How the host is seeded, for the message.
    """
    batches = (
        "goes by batches, and a pipeline sees one sample at a time. Stylize batches after the "
        "loader with styleaug.adapters.loader.StyleLoader, or with styleaug.StyleTransfer"
    )
    reasons = {
        "seed": f"would be a second source of randomness beside the host's. Use {seeding}",
        "portion": f"{batches}; the probability of a sample is {_PROBABILITY[host]}=",
        "per_instance": f"{batches}; all images of one sample share a draw",
    }
    for name in names:
        if name in reasons:
            raise TypeError(f"{name}= is no argument in {host}: it {reasons[name]}.")


def check_channel_mode(mode: ChannelMode, core: StyleTransfer) -> ChannelMode:
    """Return a mode, or raise ``ValueError`` if it is unknown or the styles cannot follow it.

    Args:
        mode: As in `styleaug.images.volume.Layout`.
        core: What stylizes.
    """
    check_choice("channel_mode", mode, CHANNEL_MODES)
    if mode != "rgb" and isinstance(core.source, BatchStyles):
        raise ValueError(
            f"channel_mode={mode!r} takes images apart by channels, so it needs styles= (a folder, "
            f"files, images or a bank), got {core.source!r}."
        )
    return mode


class WorkerStream:
    """Notices that a transform now runs in another process, loader worker or epoch."""

    def __init__(self) -> None:
        self._seen = 0

    def moved_to(self) -> int:
        """Return the number of the new random stream, or 0 if nothing has changed."""
        stream = process_stream()
        if stream in (0, self._seen):
            return 0
        self._seen = stream
        return stream
