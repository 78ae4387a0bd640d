"""The command line: arguments in, exit status out.

PyTorch and everything else that does the work is imported only when a command runs, so that
``--help`` is quick.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from styleaug import __version__
from styleaug.commands import arguments as given
from styleaug.commands.messages import complain

if TYPE_CHECKING:
    from rich.console import Console

EPILOG = """examples:
  styleaug demo
  styleaug list
  styleaug stylize scans/ --style reference.png -o stylized/
"""


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        summary: One line of help.
        add_arguments: Declares its arguments.
        work: ``module:function`` of `styleaug.commands`, which gets the options and a console and
            returns the exit status.
        epilog: Examples.
        overlaps: Whether it reads and writes files while PyTorch paints.
    """

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    work: str
    epilog: str
    overlaps: bool = False


COMMANDS = {
    "stylize": Command(
        "repaint image files, each in a style that is drawn for it",
        given.add_stylize_arguments,
        "stylize:run_stylize",
        given.STYLIZE_EXAMPLES,
        overlaps=True,
    ),
    "preview": Command(
        "write a page that shows what stylize would do, before and after",
        given.add_preview_arguments,
        "preview:run_preview",
        given.PREVIEW_EXAMPLES,
    ),
    "list": Command(
        "show the stylizers, or one of them with its weights",
        given.add_list_arguments,
        "table:run_list",
        given.LIST_EXAMPLES,
    ),
    "demo": Command(
        "stylize the sample images that ship with the package",
        given.add_demo_arguments,
        "demo:run_demo",
        given.DEMO_EXAMPLES,
    ),
    "train": Command(
        "build the weights of a stylizer from folders of images",
        given.add_train_arguments,
        "train:run_train",
        given.TRAIN_EXAMPLES,
    ),
    "bank": Command(
        "encode style images once, for many runs",
        given.add_bank_arguments,
        "bank:run_bank",
        given.BANK_EXAMPLES,
    ),
    "tta": Command(
        "predict image files under several styles, with a saved model",
        given.add_tta_arguments,
        "tta:run_tta",
        given.TTA_EXAMPLES,
    ),
    "audit": Command(
        "report how fragile a model is to the appearance of its images",
        given.add_audit_arguments,
        "audit:run_audit",
        given.AUDIT_EXAMPLES,
    ),
    "export": Command(
        "write a stylizer and its styles for machines without styleaug",
        given.add_export_arguments,
        "export:run_export",
        given.EXPORT_EXAMPLES,
    ),
    "evaluate": Command(
        "score stylizers on image files and write a report",
        given.add_evaluate_arguments,
        "evaluate:run_evaluate",
        given.EVALUATE_EXAMPLES,
    ),
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``styleaug``."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "styleaug", description="Style transfer for images.", epilog=EPILOG, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary.capitalize() + ".",
            epilog=command.epilog,
            formatter_class=raw,
        )
        command.add_arguments(one)
        one.set_defaults(work=command.work, overlaps=command.overlaps)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words of the command line; None takes those of the process.

    Returns:
        0 if all went well, 1 if some files could not be read, 2 if an argument is wrong, 3 if a
        score is under ``--fail-under``, 130 if it was interrupted.
    """
    options = build_parser().parse_args(arguments)
    if options.overlaps:
        # read when PyTorch is loaded: its threads sleep while they wait. By default they spin, and
        # keep a core from the threads that read and write, which cost up to half the time
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rich.console import Console

    console = Console(stderr=True)
    try:
        with _leaving_on_sigterm(), _plain_warnings(console):
            module, _, function = options.work.partition(":")
            run = getattr(import_module(f"styleaug.commands.{module}"), function)
            return int(run(options, console))
    except KeyboardInterrupt:
        complain(console, "styleaug: stopped")
        return 130
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError) as error:
        complain(console, f"styleaug: {error}")
        return 2


@contextmanager
def _plain_warnings(console: Console) -> Iterator[None]:
    """Show warnings as one line of text, without the line of code that raised them."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        complain(console, f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def _leaving_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that no half-written file stays behind; exit status 143."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
