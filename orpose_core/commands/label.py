"""`orpose label`: let a teacher label recordings."""

from __future__ import annotations

import argparse
import sys


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from orpose_core.distillation.label_command import teacher_of
    from orpose_core.distillation.labelling import LabelOptions, label_recordings
    from orpose_core.image_ops import parse_resolution

    teacher = teacher_of(
        args.detector,
        args.detector_weights,
        args.keypoints,
        args.lifter,
        min_score=args.min_box_score,
        scales=args.scales,
        decoding=args.decoding,
        flip=not args.no_flip,
        hard_score=args.hard_score,
        device=args.device,
    )
    options = LabelOptions(
        keep=args.keep,
        low_resolution_hw=parse_resolution(args.low_resolution),
        every=args.every,
        rate_hz=args.rate,
        limit=args.limit,
        min_people=args.min_people,
        batch=args.batch,
        tolerance_s=args.tolerance,
    )
    with tqdm(unit=" frames", disable=args.quiet) as bar:

        def show(done: int, total: int) -> None:
            if not bar.n and done > options.batch:
                bar.initial = bar.n = done - options.batch  # resumed: what was there does not count as speed
            bar.total = total
            bar.update(done - bar.n)

        summary = label_recordings(args.sources, teacher, args.out, options, show)
    for line in summary.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    if not teacher.trained:
        print("the teacher has random weights: these labels mean nothing", file=sys.stderr)
    print(f"{summary.images} of {summary.frames} frames, {summary.people} people; written to {args.out}")
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `label` to the command line."""
    parser = subparsers.add_parser(
        "label",
        help="let a teacher label recordings: soft and hard pseudo labels",
        description="Label rosbag2 recordings, ROS 1 bags or folders of images with a teacher: a person "
        "detector of torchvision, HRNet or Simple Baselines, and if given a 2D-to-3D lifter. Writes a COCO "
        "file, a contact sheet, and images no larger than the student will see. A killed run goes on where "
        "it was. Weights are files on this machine; nothing is downloaded. See docs/labelling.md.",
    )
    parser.add_argument("sources", nargs="+", metavar="BAG|FOLDER|IMAGE")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the labels are written")
    parser.add_argument(
        "--keypoints", required=True, metavar="FILE", help="such as pose_hrnet_w48_384x288.pth"
    )
    parser.add_argument("--detector", default="fasterrcnn_resnet50_fpn_v2", help="default: %(default)s")
    parser.add_argument("--detector-weights", metavar="FILE", help="its weights; required but for untrained:")
    parser.add_argument("--lifter", metavar="FILE", help="2D-to-3D lifter; without it labels are in 2D")
    parser.add_argument("--keep", default="lowres", choices=("lowres", "none"), help="default: %(default)s")
    parser.add_argument("--low-resolution", default="80x60", metavar="WxH", help="default: %(default)s")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="each K-th frame (default: 1)")
    parser.add_argument("--rate", type=float, metavar="HZ", help="at most so many frames a second")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many frames of each recording")
    parser.add_argument("--min-people", type=int, default=0, metavar="N", help="leave emptier frames out")
    parser.add_argument("--min-box-score", type=float, default=0.7, help="default: %(default)s")
    parser.add_argument("--hard-score", type=float, default=0.35, help="of joints (default: %(default)s)")
    parser.add_argument(
        "--scales", type=int, nargs="+", default=(), metavar="PX", help="image sides the detector looks at"
    )
    parser.add_argument("--decoding", default="quarter", choices=("quarter", "dark"))
    parser.add_argument("--no-flip", action="store_true", help="without mirrored images: twice as quick")
    parser.add_argument("--batch", type=int, default=4, help="frames at once (default: %(default)s)")
    parser.add_argument("--tolerance", type=float, default=0.05, help="color to depth, s (default: 0.05)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_run)
