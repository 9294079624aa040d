"""`orpose experiment`: several trainings and their report, one after the other."""

from __future__ import annotations

import argparse
from pathlib import Path

from orpose_core.commands.parsers import command_parser


def _run(args: argparse.Namespace) -> int:
    from orpose_core.resources import find_recipe
    from orpose_core.training.experiment import run_experiment

    path = find_recipe(args.experiment)
    changes = dict(map(_change, args.set))
    run_experiment(path, args.out or Path("runs") / path.stem, args.only, args.jobs, changes)
    return 0


def _change(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not (key and equals):
        raise ValueError(f"--set: expected KEY=VALUE, such as engine.max_minutes=3, got {word!r}")
    return key, value


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `experiment` to the command line."""
    parser = command_parser(
        subparsers,
        "experiment",
        "Run the steps of an experiment file: trainings, and any other orpose command. Finished steps are "
        "skipped, so an interrupted experiment continues with the same command.",
        "orpose experiment mine.yaml --out runs/mine\n"
        "orpose experiment experiment_depthpose_small --jobs 2  # takes hours\n"
        "orpose experiment experiment_fastpose --set engine.max_minutes=3  # takes an hour",
    )
    parser.add_argument("experiment", metavar="NAME|FILE", help="experiment file, YAML")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the runs (default: runs/NAME of the file)"
    )
    parser.add_argument("--only", nargs="+", default=(), metavar="STEP", help="run only these steps")
    parser.add_argument(
        "--set",
        nargs="+",
        default=(),
        metavar="KEY=VALUE",
        help="settings of all trainings, instead of the file's",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="independent trainings to run in parallel; their output goes to OUT/STEP.log",
    )
    parser.set_defaults(run=_run)
