"""`orpose label`: let a teacher label recordings."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from orpose_core.commands.parsers import add_camera_options, command_parser, metres

if TYPE_CHECKING:
    from orpose_core.labelling.options import LabelOptions
    from orpose_core.teacher.teacher import Teacher


logger = logging.getLogger(__name__)

_PATIENCE = timedelta(days=30)
"""A share of a recording may take any time; a rank that dies is noticed at once."""

_USAGE = "(SOURCE [SOURCE ...] --out DIR | --review DIR [--corrected FILE]) [options]"

_DESCRIPTION = (
    "Label ROS 1 and ROS 2 bags, folders of images or MVOR with a teacher: MoveNet, or another detector "
    "and HRNet or Simple Baselines, and optionally a 2D-to-3D lifter. Writes a COCO file, a contact "
    "sheet, and images no larger than the student needs. An interrupted run resumes; processes under "
    "torchrun share the work. Nothing is downloaded without --download. See docs/labelling.md."
)

_EXAMPLE = "orpose label monday.mcap --out labels"


def _run(args: argparse.Namespace) -> int:
    if args.review is not None:
        return _review(args)
    if not args.sources or args.out is None:
        raise ValueError("expected SOURCE [SOURCE ...] --out DIR, or --review DIR")
    return _label(args)


def _review(args: argparse.Namespace) -> int:
    """Write what is to be corrected, or read it back."""
    from orpose_core.labelling.review import read_review, write_review

    if args.sources or args.out is not None:
        raise ValueError("--review DIR: expected neither a SOURCE nor --out with it")
    if args.corrected is None:
        written = write_review(args.review, args.limit, args.within)
        print(
            f"{written.images} images, {written.people} people; written to {written.file} and "
            f"{written.file.parent / 'images'}"
        )
        return 0
    corrected = read_review(args.review, args.corrected)
    print(f"{corrected.images} images, {corrected.people} people; written to {corrected.file}")
    return 0


def _label(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from orpose_core.labelling.labelling import label_recordings
    from orpose_core.training.engine.distributed import processes

    options = _options(args)
    if options.recognisable:
        logger.warning(
            "COLOR IMAGES OF UP TO %s ARE WRITTEN TO %s/images. PEOPLE CAN BE RECOGNISED IN THEM.",
            args.low_resolution, args.out,
        )  # fmt: skip
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    # They only wait for each other, which needs no GPU.
    with processes("cpu", _PATIENCE) as group:
        if local_rank == 0:
            ready_files(args)
        group.wait_for_all()
        teacher = teacher_from(args, local_rank)
        if not group.leads:
            label_recordings(args.sources, teacher, args.out, options, None, group)
            return 0
        with tqdm(unit=" frames", disable=args.quiet) as bar:

            def show(done: int, total: int) -> None:
                if not bar.n and done > options.batch * group.world:
                    bar.initial = bar.n = done - options.batch  # what was there does not count as speed
                bar.total = total
                bar.update(done - bar.n)

            summary = label_recordings(args.sources, teacher, args.out, options, show, group)
    for line in summary.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    if not teacher.trained:
        print("the teacher has random weights: these labels mean nothing", file=sys.stderr)
    print(f"{summary.images} of {summary.frames} frames, {summary.people} people; written to {args.out}")
    print(kept_words(options, args.out))
    return 0


def kept_words(options: LabelOptions, out: str) -> str:
    """Return what images are stored, for how long, and what cannot be trained from them."""
    height, width = options.low_resolution_hw
    until = f"Nothing removes them: they stay in {out}/images until you delete that folder."
    if options.keep == "none":
        return "No images are stored; nothing can be trained from the labels alone."
    if options.keep == "depth":
        return f"Depth is stored as large as it was recorded, and no color. {until}"
    return (
        f"Images of at most {width}x{height} are stored: students cannot be trained for larger inputs, and "
        f"high-resolution targets (L_HR) are no larger. --keep depth stores depth as recorded. {until}"
    )


def teacher_from(args: argparse.Namespace, local_rank: int = 0) -> Teacher:
    """Return the teacher that the options of :func:`add_teacher_options` describe."""
    from orpose_core.models.inference import choose_device
    from orpose_core.teacher.loading import MOVENET, teacher_of

    return teacher_of(
        args.detector or MOVENET[0],
        args.detector_weights,
        args.keypoints or MOVENET[1],
        getattr(args, "lifter", None),
        min_score=args.min_box_score,
        scales=args.scales,
        decoding=args.decoding,
        flip=not args.no_flip,
        hard_score=args.hard_score,
        device=str(choose_device(args.device, local_rank)),
    )


def _options(args: argparse.Namespace) -> LabelOptions:
    from orpose_core.image_ops import parse_resolution
    from orpose_core.labelling.options import LabelOptions

    return LabelOptions(
        keep=args.keep,
        low_resolution_hw=parse_resolution(args.low_resolution),
        allow_full_resolution=args.allow_full_resolution,
        every=args.every,
        rate_hz=args.rate,
        motion=args.motion,
        motion_step=args.motion_step,
        limit=args.limit,
        min_people=args.min_people,
        balance=args.balance,
        batch=args.batch,
        tolerance_s=args.tolerance,
        depth_unit_m=metres(args.depth_unit),
        rectified=args.rectified,
        rotation=args.rotate,
    )


def ready_files(args: argparse.Namespace) -> None:
    """Say which weight files are missing, or fetch what may be fetched."""
    from tqdm import tqdm

    from orpose_core.checkpoints.downloads import check_keypoint_file, ready_detector_file
    from orpose_core.checkpoints.weights_file import UNTRAINED
    from orpose_core.teacher.loading import MOVENET

    if args.keypoints not in (None, MOVENET[1]):
        check_keypoint_file(args.keypoints)
    if args.detector in (None, MOVENET[0]) or args.detector.startswith(UNTRAINED):
        return
    with tqdm(unit="B", unit_scale=True, desc="detector's weights", disable=args.quiet, delay=1) as bar:

        def show(came: int, length: int) -> None:
            bar.total = length or None
            bar.update(came - bar.n)

        ready_detector_file(args.detector, args.detector_weights, args.download, show)


def add_teacher_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses and sets the teacher."""
    parser.add_argument(
        "--teacher",
        default="movenet",
        choices=("movenet",),
        help="detector and keypoints (default: %(default)s)",
    )
    parser.add_argument(
        "--detector", metavar="NAME", help="another detector, such as fasterrcnn_resnet50_fpn_v2"
    )
    parser.add_argument(
        "--keypoints", metavar="FILE", help="another keypoint network, such as pose_hrnet_w48_384x288.pth"
    )
    parser.add_argument(
        "--detector-weights", metavar="FILE", help="default: the published name, in this folder"
    )
    parser.add_argument("--download", action="store_true", help="download missing weights of torchvision")
    parser.add_argument("--min-box-score", type=float, metavar="P", help="default: the detector's own")
    parser.add_argument("--hard-score", type=float, default=0.35, metavar="P", help="default: %(default)s")
    parser.add_argument(
        "--scales", type=int, nargs="+", default=(), metavar="PX", help="image sizes for the detector"
    )
    parser.add_argument(
        "--decoding", default="quarter", choices=("quarter", "dark"), help="decoding of keypoint maps"
    )
    parser.add_argument("--no-flip", action="store_true", help="without mirrored images: twice as fast")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `label` to the command line."""
    from orpose_core.labelling.options import LabelOptions

    usual = LabelOptions()
    size = "x".join(map(str, reversed(usual.low_resolution_hw)))
    parser = command_parser(subparsers, "label", _DESCRIPTION, _EXAMPLE, usage=_USAGE)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="bag, folder, image or MVOR.json")
    parser.add_argument("--out", metavar="DIR", help="output folder")
    parser.add_argument(
        "--review", metavar="DIR", help="export the labels in DIR for correction in CVAT (COCO)"
    )
    parser.add_argument(
        "--corrected", metavar="FILE", help="with --review DIR: read the file that CVAT exported"
    )
    parser.add_argument(
        "--within", metavar="FILE", help="with --review DIR: take only the images of this COCO file"
    )
    parser.add_argument("--lifter", metavar="FILE", help="2D-to-3D lifter (default: 2D labels only)")
    parser.add_argument(
        "--keep",
        default=usual.keep,
        choices=("lowres", "depth", "none"),
        help="images to store; depth: full-size depth, no color (default: %(default)s)",
    )
    parser.add_argument(
        "--low-resolution", default=size, metavar="WxH", help="size for lowres (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-full-resolution",
        action="store_true",
        help="store color above 4800 px, in which people can be recognized",
    )
    parser.add_argument(
        "--every", type=int, default=usual.every, metavar="K", help="take every K-th frame of each camera"
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="take at most this many frames per second")
    parser.add_argument(
        "--motion",
        type=float,
        nargs="?",
        const=0.01,
        metavar="SHARE",
        help="only frames in which this share of the image changed (default SHARE: 0.01)",
    )
    parser.add_argument(
        "--motion-step",
        type=int,
        default=usual.motion_step,
        metavar="LEVELS",
        help="gray levels of 255 that count as a change (default: %(default)s)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="take at most N frames of each recording")
    parser.add_argument(
        "--min-people", type=int, default=usual.min_people, metavar="N", help="skip frames with fewer people"
    )
    parser.add_argument(
        "--balance",
        type=int,
        nargs="?",
        const=0,
        metavar="N",
        help="equal numbers of images of 1, 2, 3, and 4 or more people; at most N",
    )
    add_teacher_options(parser)
    parser.add_argument("--batch", type=int, default=usual.batch, metavar="N", help="frames per batch")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=usual.tolerance_s,
        metavar="S",
        help="largest time between color and depth, s (default: %(default)s)",
    )
    add_camera_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_run)
