"""`orpose train`: train a network from a recipe."""

from __future__ import annotations

import argparse
import os

from orpose_core.commands.parsers import command_parser

TRAINED = ("depthpose", "detector", "keypoints", "lifter", "student")


def _run(args: argparse.Namespace) -> int:
    # OpenMP reads this once, when PyTorch is loaded. Threads that wait by spinning take the core that the
    # process preparing the data needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from orpose_core.commands.recipes import train

    return train(args.what, args.options)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` to the command line."""
    parser = command_parser(
        subparsers,
        "train",
        "Train a network from a recipe. `orpose train depthpose --help` lists the options of one kind.",
        "orpose train depthpose --config tiny --engine.steps 20 --validation.final_frames 9\n"
        "orpose train depthpose --config depthpose_64x48_small --optim.lr 0.001  # takes hours\n"
        "orpose train depthpose --resume runs/tiny",
        usage=f"{{{','.join(TRAINED)}}} [--config NAME|FILE] [--resume RUN] [options]",
    )
    parser.add_argument("what", choices=TRAINED, help="what is trained")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of this kind of network")
    parser.set_defaults(run=_run)
