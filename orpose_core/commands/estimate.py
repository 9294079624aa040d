"""`orpose estimate`: find the people in a recording."""

from __future__ import annotations

import argparse
import sys

from orpose_core.commands.parsers import command_parser


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from orpose_core.data.recordings.opening import open_recording
    from orpose_core.data.recordings.recording import Modality
    from orpose_core.estimation.estimate import RunOptions, estimate_recording
    from orpose_core.estimators import EstimatorConfig, load_estimator
    from orpose_core.image_ops import parse_resolution
    from orpose_core.types import Intrinsics

    size_hw = None if args.low_resolution is None else parse_resolution(args.low_resolution)
    options = RunOptions(
        every=args.every,
        limit=args.limit,
        overlays=args.overlays,
        low_resolution_hw=size_hw,
        batch=args.batch,
        track=not args.no_tracking,
        intrinsics=None if args.camera is None else Intrinsics(*args.camera[:4], *map(int, args.camera[4:])),
    )
    config = EstimatorConfig(device=args.device, flip_test=not args.no_flip, threads=args.threads)
    estimator = load_estimator(args.model, config)
    wanted: Modality = "depth" if estimator.info.modality == "depth" else "color"
    topics = {role: getattr(args, f"{role}_topic") for role in ("color", "depth", "camera_info")}
    chosen = {role: topic for role, topic in topics.items() if topic is not None}
    recording = open_recording(args.source, wanted, topics=chosen or None, tolerance_s=args.tolerance)
    with tqdm(unit=" frames", disable=args.quiet) as bar:
        summary = estimate_recording(recording, estimator, args.out, options, lambda _: bar.update(1))
    for line in summary.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    print(
        f"{summary.frames} frames, {summary.people} skeletons, {summary.joints_3d} joints in space "
        f"({estimator.info.name}, {estimator.info.backend}); written to {args.out}"
    )
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `estimate` to the command line."""
    parser = command_parser(
        subparsers,
        "estimate",
        "Run a model over a recording, with no ROS: a rosbag2 (mcap, sqlite3), a ROS 1 bag, a folder of "
        "images or one image. Frames are brought to low resolution first. Writes results.json (COCO "
        "results), skeletons_3d.json, run.json and overlays drawn on the low-resolution image.",
        "orpose estimate monday.mcap --model depthpose_64x48 --out monday",
        usage="BAG|FOLDER|IMAGE --model NAME|FILE --out DIR [options]",
    )
    parser.add_argument("source", metavar="BAG|FOLDER|IMAGE")
    parser.add_argument("--model", required=True, metavar="NAME|FILE", help="or untrained:depthpose_64x48")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the files are written")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="each K-th frame (default: 1)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many frames")
    parser.add_argument("--overlays", type=int, default=20, metavar="N", help="default: %(default)s")
    parser.add_argument("--low-resolution", metavar="WxH", help="default: what the model reads")
    parser.add_argument("--batch", type=int, default=4, help="frames at once (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads of the network (default: all)")
    parser.add_argument("--no-flip", action="store_true", help="without the mirrored image: twice as quick")
    parser.add_argument("--no-tracking", action="store_true", help="give people no ids")
    parser.add_argument("--color-topic", metavar="TOPIC", help="default: found by type and name")
    parser.add_argument("--depth-topic", metavar="TOPIC")
    parser.add_argument("--camera-info-topic", metavar="TOPIC")
    parser.add_argument(
        "--tolerance", type=float, default=0.05, help="color to depth, s (default: %(default)s)"
    )
    parser.add_argument(
        "--camera",
        type=float,
        nargs=6,
        metavar=("FX", "FY", "CX", "CY", "W", "H"),
        help="intrinsics of images that bring none, px; without them poses stay in px",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_run)
