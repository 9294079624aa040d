"""`orpose simulate`: make synthetic recordings."""

from __future__ import annotations

import argparse
import os


def _run(args: argparse.Namespace) -> int:
    from orpose_core.image_ops import parse_resolution
    from orpose_core.simulation.writers import command

    frames = command.frames_of(args.split, args.frames)
    if args.out is None and args.compare is None and args.contact_sheet is None:
        raise ValueError("expected at least one of --out, --compare, --contact-sheet")
    per_room = args.frames_per_room or (25 if args.format == "coco" else -(-frames // args.cameras))
    config = command.stream_of(
        args.split,
        args.domain,
        args.seed,
        parse_resolution(args.size),
        args.modality,
        args.cameras,
        per_room,
        args.rate,
    )
    if args.out is not None:
        print(command.write(config, frames, args.out, args.format, args.workers))
    if args.contact_sheet is not None:
        print(command.write_contact_sheet(config, frames, args.contact_sheet))
    if args.compare is not None:
        print(command.compare(config, frames, args.compare))
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `simulate` to the command line."""
    parser = subparsers.add_parser(
        "simulate",
        help="make synthetic recordings with exact ground truth",
        description="Render a synthetic operating room (or everyday rooms) as RGB-D frames with exact 2D and "
        "3D joints: a folder in MVOR's conventions, or a rosbag2. The same seed gives the same frames on "
        "every machine; a killed run resumes. See docs/simulation.md.",
    )
    parser.add_argument(
        "--domain", default="or", choices=("or", "general", "everyday"), help="default: %(default)s"
    )
    parser.add_argument("--split", metavar="NAME", help="a benchmark split such as or-val-v1 instead")
    parser.add_argument("--frames", type=int, metavar="N", help="images, all cameras together")
    parser.add_argument("--seed", type=int, default=0, help="0 to 2^32 - 1 (default: %(default)s)")
    parser.add_argument("--out", metavar="DIR", help="where the recording is written")
    parser.add_argument(
        "--format", default="coco", choices=("coco", "mcap", "sqlite3"), help="folder or rosbag2"
    )
    parser.add_argument("--size", default="640x480", metavar="WxH", help="default: %(default)s")
    parser.add_argument("--modality", default="rgbd", choices=("rgbd", "depth", "color"))
    parser.add_argument("--cameras", type=int, default=1, help="per room, 1 to 3 (default: %(default)s)")
    parser.add_argument("--frames-per-room", type=int, metavar="N", help="moments (default: 25; a bag: all)")
    parser.add_argument("--rate", type=float, default=15.0, help="moments per second (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    parser.add_argument("--compare", metavar="MVOR.json", help="print the statistics beside MVOR's")
    parser.add_argument("--contact-sheet", metavar="FILE", help="write a PNG of some frames")
    parser.set_defaults(run=_run)
