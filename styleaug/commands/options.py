"""Parsing of arguments (ranges, windows, devices), and the progress bar of all commands."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from styleaug._checks import check_device
from styleaug.images.scan import AnyWindow
from styleaug.images.window import CT_WINDOWS, check_window
from styleaug.styles.volumes import Slices


def parse_window(bits: int | None, window: str | None) -> AnyWindow:
    """Return black and white of 16-bit files from ``--bits`` or ``--window``.

    Raises:
        ValueError: If both are given, or one is invalid.

    Example:
        >>> parse_window(12, None), parse_window(None, "100:3000")
        ((0.0, 4095.0), (100.0, 3000.0))
    """
    if bits is not None and window is not None:
        raise ValueError(f"--bits or --window, got {bits} and {window!r}.")
    if bits is not None:
        if not 1 <= bits <= 16:
            raise ValueError(f"--bits must be between 1 and 16, got {bits}.")
        return 0.0, 2.0**bits - 1
    if window is None or window in (*CT_WINDOWS, "percentile"):
        return window
    low, _, high = window.partition(":")
    try:
        return check_window("--window", (float(low), float(high)))
    except ValueError as error:
        raise ValueError(
            f"--window must be LOW:HIGH, low below high, or one of {[*CT_WINDOWS, 'percentile']}, "
            f"got {window!r}."
        ) from error


def parse_slices(text: str | None) -> Slices:
    """Return the value of ``--slices``: how many slices of a volume become styles.

    Raises:
        ValueError: If it is neither a number nor "all".

    Example:
        >>> parse_slices("8"), parse_slices("all"), parse_slices(None)
        (8, 'all', None)
    """
    if text is None or text == "all":
        return text  # type: ignore[return-value]
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"--slices must be a number from 1 on, or all, got {text!r}.")
    return int(text)


def parse_alpha(text: str) -> tuple[float, float]:
    """Return the range of ``alpha`` from a text such as ``0.7`` or ``0.3:1.0``.

    Raises:
        ValueError: If the text is neither.

    Example:
        >>> parse_alpha("0.3:1.0")
        (0.3, 1.0)
    """
    low, _, high = text.partition(":")
    try:
        return float(low), float(high or low)
    except ValueError as error:
        raise ValueError(f"--alpha must be a number or LOW:HIGH, got {text!r}.") from error


def pick_device(name: str) -> str:
    """Return the device of a name; "auto" is CUDA if it is available.

    Raises:
        ValueError: If the device does not exist.
    """
    if name != "auto":
        return str(check_device(name))
    try:
        return str(check_device("cuda"))
    except ValueError:
        return "cpu"


def progress_bar(console: Console) -> Progress:
    """Return the progress bar that all commands show."""
    columns = (
        TextColumn("{task.description:>10}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
    )
    return Progress(*columns, TimeRemainingColumn(), console=console)
