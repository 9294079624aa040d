"""The `orpose` command: one thin module per subcommand; the work is done in the modules they call."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from orpose_core import __version__
from orpose_core.commands import (
    benchmark,
    convert,
    demo,
    estimate,
    evaluate,
    experiment,
    label,
    report,
    simulate,
    train,
)

# Each entry adds its own parser and sets its function as the parser's default ``run``.
SUBCOMMANDS: list[Callable[[argparse._SubParsersAction], None]] = [
    estimate.add_parser,
    demo.add_parser,
    evaluate.add_parser,
    label.add_parser,
    train.add_parser,
    experiment.add_parser,
    convert.add_parser,
    simulate.add_parser,
    benchmark.add_parser,
    report.add_parser,
]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="orpose", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"orpose {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log what the core does")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in SUBCOMMANDS:
        add(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a ValueError or OSError becomes one sentence on stderr and exit status 2."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(message)s")
    try:
        return int(args.run(args) or 0)
    except (ValueError, OSError) as error:
        print(f"orpose {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"orpose {args.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
