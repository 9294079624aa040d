"""`orpose adapt`: from recordings of a site to a network that knows it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orpose_core.commands.label import add_teacher_options, ready_files, teacher_from
from orpose_core.commands.parsers import add_camera_options, command_parser, metres

if TYPE_CHECKING:
    from orpose_core.adaptation.options import AdaptOptions

_DESCRIPTION = (
    "Adapt a depth network to recordings of a site: a teacher labels the color images, and the network is "
    "trained on the depth registered to them. Writes weights, a model card and report.html, with scores "
    "before and after on a held-out part. An interrupted run resumes with the same command. "
    "See docs/adapting.md."
)

_EXAMPLE = """\
orpose adapt monday.mcap tuesday.mcap --out site  # takes an hour
orpose adapt recordings/*.mcap --out site --minutes 60 --truth corrected.json  # takes an hour"""


def _run(args: argparse.Namespace) -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # OpenMP reads it when PyTorch is loaded
    from orpose_core.adaptation.adapt import adapt
    from orpose_core.training.engine.processor import prepare_processor

    options = _options(args)
    prepare_processor()
    ready_files(args)
    done = adapt(
        args.sources, teacher_from(args), args.out, options, args.truth, _say, None if args.quiet else _bar
    )
    for line in _summary(done.scores):
        print(line)
    print(f"{done.weights}\n{done.card}\n{done.report}")
    return 0


def _summary(scores: dict[str, Any]) -> list[str]:
    """Return the scores before and after, and whether the gain is decided."""
    from orpose_core.reports.adaptation_words import gain_words

    lines = []
    for kind, own in scores["after"].items():
        earlier = scores["before"][kind]
        before, after = earlier["pck"].get("average"), own["pck"].get("average")
        if before is not None and after is not None:
            frames = f"{own['frames']} frames"
            lines += [
                f"strict PCK@0.2 against {kind}: {before:.1f} before, {after:.1f} after ({frames})",
                gain_words(scores, kind),
                f"F1 of joints against {kind}: {earlier['joint_f1']:.1f} before, {own['joint_f1']:.1f} after",
            ]
    return [line for line in lines if line]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of a step, and the time that is left."""
    from tqdm import tqdm

    interval = 0.5 if sys.stderr.isatty() else 30.0
    with tqdm(unit=" frames", desc=name, mininterval=interval) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _options(args: argparse.Namespace) -> AdaptOptions:
    from orpose_core.adaptation.options import AdaptOptions

    return AdaptOptions(
        model=args.model,
        frames=args.frames,
        minutes=args.minutes,
        split=args.split,
        learning_rate=args.learning_rate,
        joint_score=args.joint_score,
        replay=args.replay,
        sides=args.sides,
        threads=args.threads,
        workers=args.workers,
        seed=args.seed,
        batch=args.batch,
        tolerance_s=args.tolerance,
        depth_unit_m=metres(args.depth_unit),
        rectified=args.rectified,
        rotation=args.rotate,
        keep_depth=args.keep_depth,
    )


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `adapt` to the command line."""
    from orpose_core.adaptation.options import AdaptOptions

    usual = AdaptOptions()
    usage = "RECORDING [RECORDING ...] --out DIR [options]"
    parser = command_parser(subparsers, "adapt", _DESCRIPTION, _EXAMPLE, usage=usage)
    parser.add_argument("sources", nargs="+", metavar="RECORDING", help="bag or folder with color and depth")
    parser.add_argument("--out", required=True, metavar="DIR", help="output folder")
    parser.add_argument("--model", default=usual.model, metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument(
        "--minutes",
        type=float,
        default=usual.minutes,
        metavar="M",
        help="minutes of training (default: %(default)g)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=usual.frames,
        metavar="N",
        help="about how many frames to label (default: %(default)s)",
    )
    parser.add_argument("--truth", metavar="FILE", help="COCO file labeled by hand, only for scoring")
    parser.add_argument(
        "--split",
        default=usual.split,
        choices=("auto", "time", "recording"),
        help="hold out parts of each recording (time) or whole recordings",
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=usual.learning_rate,
        metavar="R",
        help="at the beginning (default: %(default)s)",
    )
    parser.add_argument(
        "--joint-score",
        type=float,
        default=usual.joint_score,
        metavar="S",
        help="train on joints with a higher score (default: %(default)s)",
    )
    parser.add_argument(
        "--replay",
        type=float,
        default=usual.replay,
        metavar="SHARE",
        help="share of synthetic frames mixed in (default: %(default)s)",
    )
    parser.add_argument(
        "--sides",
        default=usual.sides,
        choices=("network", "teacher"),
        help="what decides left and right: the network before, or the labels",
    )
    parser.add_argument(
        "--threads", type=int, default=usual.threads, metavar="N", help="CPU threads (default: all)"
    )
    parser.add_argument(
        "--workers", type=int, default=usual.workers, metavar="N", help="processes that prepare data"
    )
    parser.add_argument(
        "--seed", type=int, default=usual.seed, metavar="N", help="random seed of the training"
    )
    parser.add_argument("--keep-depth", action="store_true", help="keep full-size depth at the end")
    parser.add_argument("--batch", type=int, default=usual.batch, metavar="N", help="frames per batch")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=usual.tolerance_s,
        metavar="S",
        help="largest time between color and depth, s",
    )
    add_camera_options(parser)
    add_teacher_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_run)
