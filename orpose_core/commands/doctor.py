"""`orpose doctor`: what this machine can do, and what is wrong with a recording."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from orpose_core.commands.parsers import command_parser

_DESCRIPTION = (
    "Check this machine (Python, PyTorch, bf16, ROS, weights, caches) and, if given, a recording or the "
    "topics of a running system. Prints the problems and commands that solve them, and changes nothing. Exit "
    "status 1 if something will fail."
)

_EXAMPLE = """\
orpose doctor
orpose doctor monday.mcap"""


def _run(args: argparse.Namespace) -> int:
    from orpose_core.doctor.finding import page
    from orpose_core.doctor.machine import look_at_machine
    from orpose_core.doctor.recordings import look_at_recording, look_at_topics

    findings = [] if args.topics or args.recording else list(look_at_machine())
    if args.recording:
        findings += look_at_recording(Path(args.recording).expanduser())
    if args.topics:
        text = sys.stdin.read() if args.topics == "-" else Path(args.topics).read_text(encoding="utf-8")
        findings += look_at_topics(text.splitlines())
    print(page(findings))
    return int(any(finding.state == "bad" for finding in findings))


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `doctor` to the command line."""
    parser = command_parser(
        subparsers, "doctor", _DESCRIPTION, _EXAMPLE, usage="[RECORDING] [--topics FILE|-]"
    )
    parser.add_argument("recording", nargs="?", metavar="RECORDING", help="bag, folder, image or video")
    parser.add_argument("--topics", metavar="FILE|-", help="output of `ros2 topic list -t`; - = stdin")
    parser.set_defaults(run=_run)
