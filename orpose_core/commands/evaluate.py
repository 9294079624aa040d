"""`orpose evaluate`: score detections, or a model on a data set."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orpose_core.commands.parsers import add_backend, command_parser

_SCALES = (1, 8, 10, 12)

_EXAMPLE = """\
orpose evaluate --gt camma_mvor_2018.json --dt results.json --metric pck
orpose evaluate --dataset or-val-v1 --model fastpose_64x48 --limit 25 --plot plots
orpose evaluate --dataset mvor-fusion --root mvor --dt results.json  # needs MVOR"""


def _run(args: argparse.Namespace) -> int:
    if args.dataset == "mvor-fusion":
        from orpose_core.evaluation.fusion_report import score_mvor_fusion

        print(score_mvor_fusion(args.gt, args.dt, args.root, args.limit, args.json))
        return 0
    if args.dataset in ("room-fusion", "room-calibration"):
        return _rooms(args)
    from orpose_core.evaluation.scoring import protocol_of, score_files, score_model

    if args.dataset is None:
        if not args.gt or not args.dt:
            raise ValueError("expected --gt FILE and --dt FILE, or --dataset NAME and --model NAME")
        protocol = protocol_of(args.strict, args.threshold)
        page = _page(args.report)
        print(score_files(args.gt, args.dt, args.metric, protocol, args.json, args.plot, page))
        return 0
    if not args.model:
        raise ValueError("expected --model NAME or FILE with --dataset")
    several = len(args.scale) > 1
    if several and (args.json or args.plot or args.report):
        raise ValueError(
            "--json, --plot and --report: expected one --scale with them; --out gets a folder for each"
        )
    for scale in args.scale:
        text = score_model(
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
            backend=args.backend,
            out=str(Path(args.out) / f"{scale}x") if args.out and several else args.out,
            json_path=args.json,
            plot_folder=args.plot,
            load=_loader(args.model),
            page=_page(args.report),
        )
        print(text)
    return 0


def _page(path: str | None) -> Callable[[Any], Path] | None:
    """Return what writes the page about an evaluation, where one is asked for."""
    if path is None:
        return None
    from orpose_core.reports.html.evaluation_page import write_evaluation_page

    return lambda scored: write_evaluation_page(scored, Path(path))


def _rooms(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from orpose_core.estimators import EstimatorConfig, load_estimator
    from orpose_core.evaluation.fusion_report import score_calibrations, score_rooms
    from orpose_core.evaluation.room_calibration import CalibrationOptions
    from orpose_core.evaluation.room_fusion import RoomOptions

    if not args.model:
        raise ValueError(f"expected --model NAME or FILE with --dataset {args.dataset}")
    changes = {"moments": args.limit} if args.limit else {}
    estimator = load_estimator(args.model, EstimatorConfig(device=args.device, flip_test=args.flip))

    def bar(options: RoomOptions) -> tqdm:
        return tqdm(total=options.rooms * options.moments, unit=" moments", disable=None)

    if args.dataset == "room-fusion":
        rooms = RoomOptions(**changes)
        with bar(rooms) as progress:
            print(score_rooms(estimator, rooms, args.json, progress.update))
        return 0
    walks = CalibrationOptions(**changes)
    with bar(walks) as progress:
        print(score_calibrations(estimator, walks, args.json, progress.update))
    return 0


def _loader(model: str) -> Callable[[str, str], Any] | None:
    """Return what loads a teacher, where one is asked for; None = weights, which load by themselves."""
    if not model.startswith("teacher:"):
        return None
    from orpose_core.teacher.teacher_estimator import teacher_estimator

    return teacher_estimator


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `evaluate` to the command line."""
    parser = command_parser(
        subparsers,
        "evaluate",
        "Score a results file (--gt, --dt), or run a model over a data set and score it (--dataset, "
        "--model). Scores follow the papers' evaluators; --strict corrects their flaws. "
        "See docs/evaluation.md.",
        _EXAMPLE,
        usage="(--gt FILE --dt FILE | --dataset NAME --model NAME|FILE) [options]",
    )
    parser.add_argument("--gt", metavar="FILE", help="annotations (MVOR, MVOR+ or COCO JSON)")
    parser.add_argument("--dt", metavar="FILE", help="detections (COCO results JSON)")
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help="mvor, mvor+, coco, folder, a benchmark split such as or-val-v1, mvor-fusion (--dt: what was "
        "detected in its three cameras, fused and scored in the room), room-fusion (--model in simulated "
        "rooms of three cameras, fused and scored over time), or room-calibration (such cameras calibrated "
        "from what --model finds)",
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data set's images")
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="shipped weights, a checkpoint, or "
        "teacher:detector=NAME,detector_weights=FILE,keypoints=FILE,lifter=FILE",
    )
    parser.add_argument("--metric", choices=("pck", "box_ap", "keypoint_ap", "mpjpe"), help="default: all")
    parser.add_argument(
        "--threshold", type=float, default=0.2, help="threshold of PCK (default: %(default)s)"
    )
    parser.add_argument("--strict", action="store_true", help="correct the flaws of the published evaluators")
    parser.add_argument(
        "--scale",
        type=int,
        nargs="+",
        default=[1],
        choices=_SCALES,
        metavar="N",
        help=f"shrink images by 1/N first ({', '.join(map(str, _SCALES))}); several N: one after the other",
    )
    parser.add_argument("--flip", action="store_true", help="flip test: average with the mirrored image")
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="score N images, spread evenly (splits: whole rooms; room-...: moments)",
    )
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="images per batch (default: 8)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    add_backend(parser)
    parser.add_argument("--out", metavar="DIR", help="folder of per-image results; a run resumes from them")
    parser.add_argument("--json", metavar="FILE", help="write the scores as JSON")
    parser.add_argument("--plot", metavar="DIR", help="draw error curves and the worst frames")
    parser.add_argument("--report", metavar="FILE", help="write an HTML page about the scores")
    parser.set_defaults(run=_run)
