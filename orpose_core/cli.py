"""The `orpose` command: a table of its commands; each is imported when it is called, and not before."""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence

from orpose_core import __version__
from orpose_core.commands.parsers import CommandHelp

COMMANDS: dict[str, str] = {
    "estimate": "find the people in a bag, a folder of images or an image",
    "view": "look at a recording, results or a simulated room in a browser",
    "demo": "run a model on a synthetic scene: picture, video, JSON",
    "calibrate": "find the poses of a room's cameras from people walking about",
    "evaluate": "score detections, or a model on a data set: PCK, box and keypoint AP, MPJPE",
    "label": "label recordings with a teacher: soft and hard pseudo labels",
    "adapt": "adapt a depth network to the recordings of a site",
    "train": "train a network from a recipe",
    "experiment": "run several trainings and their report; resumes after an interruption",
    "average": "take the mean of the weights of several depth networks",
    "convert": "convert a published checkpoint to orpose's format",
    "export": "export a network to OpenVINO or ONNX Runtime, optionally in int8",
    "simulate": "make synthetic recordings with exact ground truth",
    "benchmark": "measure speed on this machine",
    "audit": "verify the log of an audit node, or write a report from it",
    "doctor": "check this machine, a recording or running topics for problems",
    "report": "write result tables, model cards and pages from saved results",
}
"""Every command and what it does. Its parser is ``add_parser`` of the module of its name in ``commands``."""


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        words: the command line: only the command that is called gets its arguments, which is what makes
            `orpose --help` quick. None = every command gets them.
    """
    called = None if words is None else next((word for word in words if not word.startswith("-")), "")
    parser = argparse.ArgumentParser(
        prog="orpose",
        description="Find everybody in an operating room, in 2D and 3D, in images so small that no face can "
        "be recognized.",
        epilog="example:\n  orpose demo --out demo_output --seconds 1\n\n"
        "`orpose COMMAND --help` describes a command.",
        formatter_class=CommandHelp,
    )
    parser.add_argument("--version", action="version", version=f"orpose {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log progress")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in COMMANDS.items():
        if called is not None and name != called:
            subparsers.add_parser(name, help=what)
        else:
            importlib.import_module(f"orpose_core.commands.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a ValueError or OSError becomes one sentence on stderr and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    words = sys.argv[1:] if argv is None else [str(word) for word in argv]
    args = build_parser(words).parse_args(words)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(message)s")
    try:
        status = int(args.run(args) or 0)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # who read the output, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 128 + signal.SIGPIPE
    except (ValueError, OSError) as error:
        said = str(error)
        if isinstance(error, OSError) and error.filename is not None and error.strerror:
            said = f"{error.filename}: {error.strerror}"
        print(f"orpose {args.command}: {said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"orpose {args.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
