"""The command line: arguments in, exit status out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from styleaug.commands import bank, demo, evaluate, stylize, table, train, tta

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
        run: Does the work; returns the exit status.
        epilog: Examples.
    """

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Console], int]
    epilog: str


COMMANDS = {
    "stylize": Command(
        "repaint image files, each in a style that is drawn for it",
        stylize.add_stylize_arguments,
        stylize.run_stylize,
        stylize.EPILOG,
    ),
    "list": Command(
        "show the stylizers and their weights",
        table.add_list_arguments,
        table.run_list,
        table.EPILOG,
    ),
    "demo": Command(
        "stylize the sample images that ship with the package",
        demo.add_demo_arguments,
        demo.run_demo,
        demo.EPILOG,
    ),
    "train": Command(
        "build the weights of a stylizer from folders of images",
        train.add_train_arguments,
        train.run_train,
        train.EPILOG,
    ),
    "bank": Command(
        "encode style images once, for many runs",
        bank.add_bank_arguments,
        bank.run_bank,
        bank.EPILOG,
    ),
    "tta": Command(
        "predict image files under several styles, with a saved model",
        tta.add_tta_arguments,
        tta.run_tta,
        tta.EPILOG,
    ),
    "evaluate": Command(
        "score stylizers on image files and write a report",
        evaluate.add_evaluate_arguments,
        evaluate.run_evaluate,
        evaluate.EPILOG,
    ),
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``styleaug``."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "styleaug", description="Style transfer for images.", epilog=EPILOG, formatter_class=raw
    )
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
        one.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words of the command line; None takes those of the process.

    Returns:
        0 if all went well, 1 if some files could not be read, 2 if an argument is wrong.
    """
    options = build_parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        return int(options.run(options, console))
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError) as error:
        console.print(f"[red]styleaug: {error}[/red]", highlight=False, soft_wrap=True)
        return 2
