"""The command line: arguments in, exit status out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console

from styleaug.commands import demo, stylize
from styleaug.commands.table import run_list

EPILOG = """examples:
  styleaug demo
  styleaug list
  styleaug stylize scans/ --style reference.png -o stylized/
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``styleaug``."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "styleaug", description="Style transfer for images.", epilog=EPILOG, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    described = "Repaint images in the style of others; every content in one style drawn for it."
    one = commands.add_parser(
        "stylize",
        help="repaint image files",
        description=described,
        epilog=stylize.EPILOG,
        formatter_class=raw,
    )
    stylize.add_stylize_arguments(one)
    commands.add_parser("list", help="show the stylizers and their weights")
    described = "Stylize the sample images that ship with the package."
    two = commands.add_parser(
        "demo",
        help="try it on sample images",
        description=described,
        epilog=demo.EPILOG,
        formatter_class=raw,
    )
    demo.add_demo_arguments(two)
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
        if options.command == "list":
            return run_list(Console())
        if options.command == "demo":
            return demo.run_demo(options, console)
        return stylize.run_stylize(options, console)
    except (ValueError, TypeError, OSError) as error:
        console.print(f"[red]styleaug: {error}[/red]", highlight=False, soft_wrap=True)
        return 2
