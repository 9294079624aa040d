"""`orpose estimate`: find the people in a recording."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from orpose_core.commands.parsers import add_backend, add_camera_options, command_parser, metres

if TYPE_CHECKING:
    from orpose_core.estimation.options import RunOptions

_DESCRIPTION = (
    "Run a model over a recording, without ROS: a rosbag2 (mcap, sqlite3), a ROS 1 bag, a folder of images, "
    "one image, or a video (color models). Frames are first reduced to low resolution. Writes results.json "
    "(COCO results), skeletons_3d.json, run.json, frames.jsonl and overlays on low-resolution images. "
    "Ctrl-C keeps the results so far, and --resume continues from there."
)

_EXAMPLE = """\
orpose estimate monday.mcap --out monday
orpose estimate frames/ --out out --intrinsics 525,525,319.5,239.5"""


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from orpose_core.data.recordings.opening import open_recording
    from orpose_core.data.recordings.recording import Modality
    from orpose_core.estimation.estimate import estimate_recording
    from orpose_core.estimators import EstimatorConfig, load_estimator

    topics = {role: getattr(args, f"{role}_topic") for role in ("color", "depth", "camera_info")}
    reading = {
        "topics": {role: topic for role, topic in topics.items() if topic is not None} or None,
        "tolerance_s": args.tolerance,
        "depth_unit_m": metres(args.depth_unit),
        "rectified": args.rectified,
    }
    options = replace(_options(args), reading=reading)
    config = EstimatorConfig(
        device=args.device, backend=args.backend, flip_test=not args.no_flip, threads=args.threads
    )
    estimator = load_estimator(args.model, config)
    wanted: Modality = "depth" if estimator.info.modality == "depth" else "color"
    recording = open_recording(args.source, wanted, **reading)
    with tqdm(unit=" frames", disable=args.quiet) as bar:

        def show(done: int, total: int) -> None:
            if not bar.n and done > options.batch:
                bar.initial = bar.n = done - options.batch  # what was there does not count as speed
            bar.total = total
            bar.update(done - bar.n)

        summary = estimate_recording(recording, estimator, args.out, options, show)
    for what, lines in (("read", summary.taken), ("skipped", summary.skipped), ("note", summary.remarks)):
        for line in lines:
            print(f"{what}: {line}", file=sys.stderr)
    print(
        f"{summary.frames} frames, {summary.people} skeletons, {summary.joints_3d} joints in space "
        f"({estimator.info.name}, {estimator.info.backend}); written to {args.out}"
    )
    if summary.interrupted:
        print("interrupted: the same command with --resume goes on from there", file=sys.stderr)
        return 130
    return 0


def _options(args: argparse.Namespace) -> RunOptions:
    from orpose_core.estimation.options import RunOptions
    from orpose_core.image_ops import parse_resolution

    return RunOptions(
        every=args.every,
        limit=args.limit,
        overlays=args.overlays,
        low_resolution_hw=None if args.low_resolution is None else parse_resolution(args.low_resolution),
        batch=args.batch,
        track=not args.no_tracking,
        intrinsics=None if args.intrinsics is None else _four_numbers(args.intrinsics),
        rotation=args.rotate,
        resume=args.resume,
        format=args.format,
    )


def _four_numbers(text: str) -> tuple[float, float, float, float]:
    """Return fx, fy, cx and cy of ``FX,FY,CX,CY``."""
    try:
        fx, fy, cx, cy = map(float, text.split(","))
    except ValueError:
        raise ValueError(
            f"--intrinsics: expected FX,FY,CX,CY, such as 525,525,319.5,239.5, got {text!r}"
        ) from None
    return fx, fy, cx, cy


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `estimate` to the command line."""
    from orpose_core.estimation.options import FORMATS, RunOptions

    usual = RunOptions()
    usage = "SOURCE --out DIR [--model NAME|FILE] [options]"
    parser = command_parser(subparsers, "estimate", _DESCRIPTION, _EXAMPLE, usage=usage)
    parser.add_argument("source", metavar="SOURCE", help="bag, folder, image, video or MVOR.json")
    parser.add_argument(
        "--model",
        default="fastpose_64x48",
        metavar="NAME|FILE",
        help="shipped weights, a checkpoint or an exported file (default: %(default)s)",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="output folder")
    parser.add_argument("--resume", action="store_true", help="continue the run in DIR")
    parser.add_argument(
        "--every", type=int, default=usual.every, metavar="K", help="take every K-th frame of each camera"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="take at most N frames")
    parser.add_argument(
        "--overlays",
        type=int,
        default=usual.overlays,
        metavar="N",
        help="pictures to draw (default: %(default)s)",
    )
    parser.add_argument(
        "--format", default=usual.format, choices=FORMATS, help="also write a table of joints"
    )
    parser.add_argument("--low-resolution", metavar="WxH", help="default: the input size of the model")
    parser.add_argument("--batch", type=int, default=usual.batch, metavar="N", help="frames per batch")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    add_backend(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of the network (default: all)")
    parser.add_argument("--no-flip", action="store_true", help="without the mirrored image: twice as fast")
    parser.add_argument("--no-tracking", action="store_true", help="do not track people, so they have no ids")
    parser.add_argument("--color-topic", metavar="TOPIC", help="in a bag (default: found by type and name)")
    parser.add_argument("--depth-topic", metavar="TOPIC")
    parser.add_argument(
        "--camera-info-topic", metavar="TOPIC", help="default: the one that belongs to the images"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.05,
        metavar="S",
        help="largest time between color and depth, s (default: 0.05)",
    )
    parser.add_argument(
        "--intrinsics", metavar="FX,FY,CX,CY", help="intrinsics in px for images without them; for metric 3D"
    )
    add_camera_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_run)
