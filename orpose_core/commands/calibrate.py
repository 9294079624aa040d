"""`orpose calibrate`: where a room's cameras hang, from the skeletons of people who walk about."""

from __future__ import annotations

import argparse

from orpose_core.commands.parsers import command_parser

_EXAMPLE = """\
orpose calibrate recording --cameras ceiling_1,ceiling_2 --out calibration
orpose calibrate recording --cameras ceiling_1,ceiling_2 --guess camchain.yaml --out calibration"""


def _run(args: argparse.Namespace) -> int:
    from orpose_core.fusion.calibration import calibrate, read_sightings
    from orpose_core.fusion.calibration.report import calibration_report, write_calibration
    from orpose_core.fusion.rig_files import read_rig

    cameras = [name.strip().strip("/") for name in args.cameras.split(",") if name.strip().strip("/")]
    recorded = read_sightings(args.bag, cameras, args.images, args.skeletons, args.slop)
    guess = read_rig(args.guess) if args.guess else None
    found = calibrate(recorded.sightings, recorded.intrinsics, guess, recorded.surfaces, recorded.frame_ids)
    print(calibration_report(found))
    for path in write_calibration(args.out, found, args.room_frame):
        print(f"written {path}")
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `calibrate` to the command line."""
    parser = command_parser(
        subparsers,
        "calibrate",
        "Find the poses of a room's cameras from a recording of their skeletons, in which one to three "
        "people walk about for a few minutes. No calibration target is needed. Skeletons without metric "
        "depth need rough camera poses (--guess). See docs/fusion.md.",
        _EXAMPLE,
    )
    parser.add_argument("bag", help="rosbag2 with skeletons_2d, skeletons_3d and camera_info of each camera")
    parser.add_argument("--cameras", required=True, metavar="A,B,...", help="namespaces of the cameras")
    parser.add_argument(
        "--guess",
        metavar="FILE",
        help="rough camera poses: a calibration, MVOR's JSON or a camchain of Kalibr",
    )
    parser.add_argument("--out", default="calibration", metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--images", default="lowres", metavar="NAME",
        help="name of camera_info and depth in a camera's namespace (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--skeletons", default="", metavar="NAME", help="name of the skeletons in a camera's namespace"
    )
    parser.add_argument(
        "--slop",
        type=float,
        default=0.05,
        metavar="S",
        help="largest time between views of one moment (default: 0.05)",
    )
    parser.add_argument("--room-frame", default="room", metavar="NAME", help="default: %(default)s")
    parser.set_defaults(run=_run)
