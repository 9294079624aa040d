"""`orpose simulate`: make synthetic recordings."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from orpose_core.commands.parsers import command_parser

if TYPE_CHECKING:
    from orpose_core.simulation import StreamConfig

_FORMATS = ("coco", "mcap", "sqlite3")

_DOMAINS = (
    "or, general, everyday, anywhere, site (one room, other people each day), or a part of anywhere: near, "
    "above, facing, arms, bent, draped, lying, team, empty (default: %(default)s)"
)

_EXAMPLE = """\
orpose simulate --frames 20 --out synthetic --contact-sheet sheet.png
orpose simulate --frames 30 --cameras 3 --format mcap --out bag"""


def _run(args: argparse.Namespace) -> int:
    from orpose_core.simulation.writers.pictures import write_contact_sheet
    from orpose_core.simulation.writers.statistics import compared_with_mvor

    if args.out is None and args.compare is None and args.contact_sheet is None:
        raise ValueError("expected at least one of --out, --compare, --contact-sheet")
    config, frames = _stream(args)
    if args.out is not None:
        print(f"{_write(config, frames, args)}: {frames} frames")
    if args.contact_sheet is not None:
        shown = write_contact_sheet(config, frames, args.contact_sheet)
        print(f"{args.contact_sheet}: contact sheet of {shown} frames")
    if args.compare is not None:
        with _Bar(frames, "compare") as bar:
            print(compared_with_mvor(config, frames, args.compare, bar.show))
    return 0


def _stream(args: argparse.Namespace) -> tuple[StreamConfig, int]:
    """Return the stream that the options describe, and how many frames of it are wanted."""
    from orpose_core.image_ops import parse_resolution
    from orpose_core.simulation import SPLITS, StreamConfig, split_config

    if args.frames is not None and args.frames < 1:
        raise ValueError(f"--frames: expected at least 1, got {args.frames}")
    if args.frames is None and args.split is None:
        raise ValueError("--frames: expected a number of frames (or a --split, which has its own)")
    size_hw = parse_resolution(args.size)
    if args.split is not None:
        if args.varied_builds:
            raise ValueError("--varied-builds: not with --split; the people of a split are fixed")
        config = split_config(args.split, size_hw, args.modality)  # refuses a name that there is not
        return config, args.frames or SPLITS[args.split].frames
    frames = args.frames
    per_room = args.frames_per_room or (25 if args.format == "coco" else -(-frames // args.cameras))
    config = StreamConfig(
        args.domain, size_hw, args.modality, args.seed, args.cameras, per_room, args.rate,
        varied_builds=args.varied_builds,
    )  # fmt: skip
    return config, frames


def _write(config: StreamConfig, frames: int, args: argparse.Namespace) -> Any:
    """Write the recording with a progress bar; return its path."""
    from orpose_core.simulation.writers.bags import write_bag
    from orpose_core.simulation.writers.dataset import write_dataset

    with _Bar(frames, args.out) as bar:
        if args.format == "coco":
            return write_dataset(config, frames, args.out, args.workers, bar.show)
        return write_bag(config, frames, args.out, args.format, args.workers, bar.show)


class _Bar:
    """A progress bar that appears with the first progress, so that a refused argument shows none."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what = total, what
        self.bar: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, done: int) -> None:
        """Show that ``done`` frames are done; what a resumed run found there is not counted as speed."""
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=self.total, unit="frame", desc=self.what, initial=done if done > 1 else 0)
        self.bar.update(done - self.bar.n)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `simulate` to the command line."""
    parser = command_parser(
        subparsers,
        "simulate",
        "Render a synthetic operating room (or everyday rooms) as RGB-D frames with exact 2D and 3D joints: "
        "a folder in MVOR's conventions, or a rosbag2. The same seed gives the same frames on every machine, "
        "and an interrupted run resumes. See docs/simulation.md.",
        _EXAMPLE,
        usage="(--frames N | --split NAME) [--out DIR] [options]",
    )
    parser.add_argument("--domain", default="or", metavar="NAME", help=_DOMAINS)
    parser.add_argument(
        "--split", metavar="NAME", help="make a split such as or-val-v1 or near-val-v1 instead"
    )
    parser.add_argument("--frames", type=int, metavar="N", help="images of all cameras together")
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed, 0 to 2^32 - 1 (default: %(default)s)"
    )
    parser.add_argument("--out", metavar="DIR", help="output folder")
    parser.add_argument(
        "--format", default="coco", choices=_FORMATS, help="folder (coco) or rosbag2 (mcap, sqlite3)"
    )
    parser.add_argument("--size", default="640x480", metavar="WxH", help="default: %(default)s")
    parser.add_argument("--modality", default="rgbd", choices=("rgbd", "depth", "color"))
    parser.add_argument(
        "--cameras", type=int, default=1, metavar="N", help="cameras per room, 1 to 3 (default: 1)"
    )
    parser.add_argument("--frames-per-room", type=int, metavar="N", help="default: 25; for a bag: all")
    parser.add_argument(
        "--rate",
        type=float,
        default=15.0,
        metavar="HZ",
        help="images/s of each camera (default: %(default)s)",
    )
    parser.add_argument(
        "--varied-builds",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the people whose proportions are beyond those of average adults (default: 0)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="rendering processes (default: all cores)",
    )
    parser.add_argument("--compare", metavar="MVOR.json", help="compare the statistics with those of MVOR")
    parser.add_argument("--contact-sheet", metavar="FILE", help="write a PNG of some frames")
    parser.set_defaults(run=_run)
