"""`orpose experiment`: several trainings and their report, one after the other."""

from __future__ import annotations

import argparse
from pathlib import Path


def _run(args: argparse.Namespace) -> int:
    from orpose_core.training.experiment import run_experiment

    run_experiment(args.experiment, args.out or Path("runs") / args.experiment.stem, args.only, args.jobs)
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `experiment` to the command line."""
    parser = subparsers.add_parser(
        "experiment",
        help="carry out several trainings and their report; goes on where it was killed",
        description="Carry out the steps of an experiment file: trainings, and any other orpose command. "
        "Finished steps are left out, so that a killed experiment goes on where it was.",
    )
    parser.add_argument("experiment", type=Path, help="for example training/experiment_depthpose_small.yaml")
    parser.add_argument("--out", type=Path, help="folder of the runs; default: runs/NAME of the file")
    parser.add_argument("--only", nargs="+", default=(), metavar="STEP", help="only these steps")
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="trainings at once, where none reads what the other makes; what they print goes to OUT/STEP.log",
    )
    parser.set_defaults(run=_run)
