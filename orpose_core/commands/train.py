"""`orpose train`: train a network from a recipe."""

from __future__ import annotations

import argparse
import os

TRAINED = ("depthpose", "detector", "keypoints", "lifter", "student")


def _run(args: argparse.Namespace) -> int:
    # OpenMP reads this once, when PyTorch is loaded. Threads that wait by spinning lose most of their time as
    # soon as another process wants a core; the one that prepares the data does.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from orpose_core.training.engine import commands

    if args.what in TRAINED:
        return getattr(commands, f"train_{args.what}")(args.options)
    raise ValueError(f"expected one of {', '.join(TRAINED)}, got {args.what!r}")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `train` to the command line."""
    parser = subparsers.add_parser(
        "train",
        help="train a network from a recipe",
        description="Train a network from a recipe: orpose train depthpose --config "
        "training/depthpose_64x48_small.yaml --optim.lr 0.001. All options: orpose train depthpose --help",
    )
    parser.add_argument("what", choices=TRAINED, help="what is trained")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="its own options")
    parser.set_defaults(run=_run)
