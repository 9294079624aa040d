"""`orpose evaluate`: score detections, or a model on a data set."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _run(args: argparse.Namespace) -> int:
    from orpose_core.evaluation.command import evaluate_files_command, evaluate_model_command, protocol_of

    if args.dataset is None:
        protocol = protocol_of(args.strict, args.threshold)
        print(evaluate_files_command(args.gt, args.dt, args.metric, protocol, args.json, args.plot))
        return 0
    several = len(args.scale) > 1
    if several and (args.json or args.plot):
        raise ValueError("--json and --plot: expected one --scale with them; --out gets a folder for each")
    for scale in args.scale:
        text = evaluate_model_command(
            args.dataset,
            args.model,
            strict=args.strict,
            threshold=args.threshold,
            root=args.root,
            annotations=args.gt,
            metric=args.metric,
            scale=scale,
            flip=args.flip,
            limit=args.limit,
            batch=args.batch,
            device=args.device,
            out=str(Path(args.out) / f"{scale}x") if args.out and several else args.out,
            json_path=args.json,
            plot_folder=args.plot,
            load=_loader(args.model),
        )
        print(text)
    return 0


def _loader(model: str | None) -> Callable[[str, str], Any] | None:
    """Return what loads a teacher, where one is asked for; None = weights, which load by themselves."""
    if not (model or "").startswith("teacher:"):
        return None
    from orpose_core.teacher.teacher_estimator import teacher_estimator

    return teacher_estimator


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `evaluate` to the command line."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score detections, or a model on a data set: PCK, box and keypoint AP, MPJPE",
        description="Score a results file (--gt, --dt), or run a model over a data set and score it "
        "(--dataset, --model). Numbers are computed as the papers' authors do; --strict takes their "
        "evaluators' quirks out. See docs/evaluation.md.",
    )
    parser.add_argument("--gt", metavar="FILE", help="annotations (MVOR, MVOR+ or COCO JSON)")
    parser.add_argument("--dt", metavar="FILE", help="detections (COCO results JSON)")
    parser.add_argument("--metric", choices=("pck", "box_ap", "keypoint_ap", "mpjpe"), help="default: all")
    parser.add_argument("--threshold", type=float, default=0.2, help="of PCK (default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="without the published evaluators' quirks")
    parser.add_argument("--json", metavar="FILE", help="write the scores there")
    parser.add_argument("--plot", metavar="DIR", help="draw error curves and the worst frames there")
    parser.add_argument(
        "--dataset", metavar="NAME", help="mvor, mvor+, coco, folder, or a benchmark split such as or-val-v1"
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data set's images")
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="a model of weights/, a checkpoint, or teacher:detector=NAME,detector_weights=FILE,"
        "keypoints=FILE,lifter=FILE",
    )
    parser.add_argument(
        "--scale",
        type=int,
        nargs="+",
        default=[1],
        choices=(1, 8, 10, 12),
        help="shrink images so many times first; several are scored one after the other",
    )
    parser.add_argument("--flip", action="store_true", help="flip test: average with the mirrored image")
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="this many images, spread over the data set (whole rooms of a benchmark split)",
    )
    parser.add_argument("--batch", type=int, default=8, help="images at once (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--out", metavar="DIR", help="per-image results; a run resumes from what is there")
    parser.set_defaults(run=_run)
