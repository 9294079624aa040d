"""`orpose average`: the mean of the weights of several networks."""

from __future__ import annotations

import argparse

from orpose_core.commands.parsers import command_parser

_EXAMPLE = """\
orpose average first.safetensors second.safetensors --out mean.safetensors  # takes minutes"""


def _run(args: argparse.Namespace) -> int:
    from orpose_core.training.depthpose.averaging import AverageConfig, average
    from orpose_core.training.depthpose.threshold_choice import ReadingConfig
    from orpose_core.training.depthpose.validation import ValidationConfig

    config = AverageConfig(
        ReadingConfig(frames=args.reading_frames), ValidationConfig(final_frames=args.frames)
    )
    print(average(args.models, args.out, args.shares, config))
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `average` to the command line."""
    parser = command_parser(
        subparsers,
        "average",
        "Write the mean of the weights of depth networks of one architecture that were trained from the same "
        "weights. Its thresholds and standard deviations are measured anew on synthetic frames, and it is "
        "scored.",
        _EXAMPLE,
    )
    parser.add_argument("models", metavar="NAME|FILE", nargs="+", help="shipped weights or files")
    parser.add_argument("--out", required=True, metavar="FILE", help="the .safetensors file to write")
    parser.add_argument(
        "--shares",
        type=float,
        nargs="+",
        metavar="S",
        help="of each network in the mean (default: equal shares)",
    )
    parser.add_argument(
        "--reading-frames",
        type=int,
        default=150,
        metavar="N",
        help="frames of each domain for thresholds and standard deviations (default: 150)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=300,
        metavar="N",
        help="frames of or-val-v1 for the scores; 0 = none (default: 300)",
    )
    parser.set_defaults(run=_run)
