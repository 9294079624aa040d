"""The `orpose` command: one thin function per subcommand; the work is done in the modules they call."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from orpose_core import __version__


def _evaluate(args: argparse.Namespace) -> int:
    from orpose_core.evaluation.command import evaluate_files_command, evaluate_model_command, protocol_of

    protocol = protocol_of(args.strict, args.threshold, args.dataset)
    if args.dataset is None:
        text = evaluate_files_command(args.gt, args.dt, args.metric, protocol, args.json, args.plot)
    else:
        text = evaluate_model_command(
            args.dataset,
            args.model,
            protocol,
            root=args.root,
            annotations=args.gt,
            metric=args.metric,
            scale=args.scale,
            flip=args.flip,
            limit=args.limit,
            batch=args.batch,
            device=args.device,
            out=args.out,
            json_path=args.json,
            plot_folder=args.plot,
        )
    print(text)
    return 0


def _add_evaluate(subparsers: argparse._SubParsersAction) -> None:
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
        "--dataset", choices=("mvor", "mvor+", "coco", "folder", "or-val-v1", "general-val-v1")
    )
    parser.add_argument("--root", metavar="DIR", help="folder of the data set's images")
    parser.add_argument("--model", metavar="NAME|FILE", help="a model of weights/, or a checkpoint")
    parser.add_argument("--scale", type=int, default=1, choices=(1, 8, 10, 12), help="shrink images first")
    parser.add_argument("--flip", action="store_true", help="flip test: average with the mirrored image")
    parser.add_argument("--limit", type=int, metavar="N", help="so many images, spread over the data set")
    parser.add_argument("--batch", type=int, default=8, help="images at once (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--out", metavar="DIR", help="per-image results; a run resumes from what is there")
    parser.set_defaults(run=_evaluate)


def _train(args: argparse.Namespace) -> int:
    # OpenMP reads this once, when PyTorch is loaded. Threads that wait by spinning lose most of their time as
    # soon as another process wants a core; the one that prepares the data does.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if args.what == "depthpose":
        from orpose_core.training.commands import train_depthpose

        return train_depthpose(args.options)
    raise ValueError(f"expected one of {', '.join(TRAINED)}, got {args.what!r}")


def _report(args: argparse.Namespace) -> int:
    if args.what == "depthpose":
        from orpose_core.training.report import write_report

        text = write_report(args.sources, args.out or Path("docs/results_depthpose.md"), args.threads)
    else:
        from orpose_core.training.model_card import write_card

        if len(args.sources) != 1:
            raise ValueError(f"expected one weights file, got {len(args.sources)}")
        text = f"{write_card(str(args.sources[0]), args.out, args.real)}\n"
    print(text, end="")
    return 0


def _add_report(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "report",
        help="write a results table or a model card from what runs saved",
        description="Write the paper's Table 1 from finished runs (depthpose RUN...), or the card of a "
        "weights file (card FILE). The cost is measured, everything else read from what training wrote.",
    )
    parser.add_argument("what", choices=("depthpose", "card"), help="table of runs, card of weights")
    parser.add_argument("sources", nargs="+", type=Path, help="folders of finished runs, or the weights file")
    parser.add_argument("--out", type=Path, help="file to write; a card goes beside its weights")
    parser.add_argument("--threads", type=int, default=2, help="PyTorch threads for the milliseconds")
    parser.add_argument("--real", type=Path, help="card: scores that benchmarks/real_depth_people.py wrote")
    parser.set_defaults(run=_report)


TRAINED = ("depthpose",)


def _add_train(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a network from a recipe",
        description="Train a network from a recipe: orpose train depthpose --config "
        "training/depthpose_64x48_small.yaml --optim.lr 0.001. All options: orpose train depthpose --help",
    )
    parser.add_argument("what", choices=TRAINED, help="what is trained")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="its own options")
    parser.set_defaults(run=_train)


def _convert(args: argparse.Namespace) -> int:
    from orpose_core.models.published import convert_checkpoint

    print(
        convert_checkpoint(
            args.source,
            args.to,
            args.name,
            seed=args.seed,
            depth_range_m=args.depth_range_m,
            h36_statistics=args.h36_statistics,
        )
    )
    return 0


def _add_convert(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "convert",
        help="turn a published checkpoint into ours",
        description="Turn a published .pth checkpoint into a .safetensors file of orpose: DepthPose of "
        "CAMMA-public/ORPose-Depth, RTPose (COCO) as initial values, a student of CAMMA-public/ORPose-Color. "
        "No code in the file is run. See docs/checkpoints.md.",
    )
    parser.add_argument("source", metavar="SRC", help="the published file")
    parser.add_argument("--to", required=True, metavar="OUT", help="the .safetensors file to write")
    parser.add_argument("--as", required=True, dest="name", metavar="NAME", help="such as depthpose_64x48")
    parser.add_argument("--seed", type=int, default=0, help="of what the file does not have (default: 0)")
    parser.add_argument(
        "--depth-range-m",
        type=float,
        default=8.0,
        help="depth that is 1.0 at the input; the published files do not tell (default: %(default)s)",
    )
    parser.add_argument("--h36-statistics", metavar="FILE", help="h36stats.json, for a student")
    parser.set_defaults(run=_convert)


def _simulate(args: argparse.Namespace) -> int:
    from orpose_core.data import simulated_command as command

    frames = command.frames_of(args.split, args.frames)
    if args.out is None and args.compare is None and args.contact_sheet is None:
        raise ValueError("expected at least one of --out, --compare, --contact-sheet")
    per_room = args.frames_per_room or (25 if args.format == "coco" else -(-frames // args.cameras))
    config = command.stream_of(
        args.split,
        args.domain,
        args.seed,
        command.size_of(args.size),
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


def _add_simulate(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "simulate",
        help="make synthetic recordings with exact ground truth",
        description="Render a synthetic operating room (or everyday rooms) as RGB-D frames with exact 2D and "
        "3D joints: a folder in MVOR's conventions, or a rosbag2. The same seed gives the same frames on "
        "every machine; a killed run resumes. See docs/simulation.md.",
    )
    parser.add_argument("--domain", default="or", choices=("or", "general"), help="default: %(default)s")
    parser.add_argument("--split", choices=("or-val-v1", "general-val-v1"), help="a named benchmark instead")
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
    parser.set_defaults(run=_simulate)


def _estimate(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from orpose_core.data.recordings import Modality, open_recording
    from orpose_core.estimate import RunOptions, estimate_recording
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


def _add_estimate(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "estimate",
        help="find the people in a bag, a folder of images or an image",
        description="Run a model over a recording, with no ROS: a rosbag2 (mcap, sqlite3), a ROS 1 bag, a "
        "folder of images or one image. Frames are brought to low resolution first. Writes results.json "
        "(COCO results), skeletons_3d.json, run.json and overlays drawn on the low-resolution image.",
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
    parser.set_defaults(run=_estimate)


def _demo(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from orpose_core.demo import DemoOptions, default_model, run_demo
    from orpose_core.estimators import EstimatorConfig, load_estimator

    options = DemoOptions(args.domain, args.seconds, args.rate, args.seed)
    config = EstimatorConfig(device=args.device, threads=args.threads)
    estimator = load_estimator(args.model or default_model(), config)
    with tqdm(total=options.frames, unit=" frames", disable=args.quiet) as bar:
        lines = run_demo(estimator, args.out, options, lambda _: bar.update(1))
    print("\n".join(lines))
    return 0


def _add_demo(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="a synthetic scene through the model: picture, video, JSON",
        description="Render a short scene in a synthetic room, find the people in low-resolution images of "
        "it and write a picture, a video and JSON. Needs no ROS, no data and no camera.",
    )
    parser.add_argument("--out", default="demo_output", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--model", metavar="NAME|FILE", help="default: the shipped depth model")
    parser.add_argument("--domain", default="or", choices=("or", "general"), help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of the scene (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads of the network (default: all)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_demo)


def _benchmark_estimate(args: argparse.Namespace) -> int:
    from orpose_core.benchmark import estimate

    print(
        estimate(
            args.models, args.repeats, args.threads, args.batch, args.compare, not args.no_flip, args.device
        )
    )
    return 0


def _benchmark_surface_offsets(args: argparse.Namespace) -> int:
    from orpose_core.benchmark import surface_offsets

    print(surface_offsets(args.frames, args.seed))
    return 0


def _benchmark_simulate(args: argparse.Namespace) -> int:
    from orpose_core.benchmark import simulate

    print(simulate(args.frames, args.workers))
    return 0


def _benchmark_decode(args: argparse.Namespace) -> int:
    from orpose_core.benchmark import decode

    print(decode(args.people))
    return 0


def _benchmark_forward(args: argparse.Namespace) -> int:
    from orpose_core.benchmark import forward

    print(forward(args.model, args.repeats, args.threads, args.batch))
    return 0


def _benchmark_train(args: argparse.Namespace) -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `orpose train` does
    from orpose_core.benchmark import train

    print(train(args.config, args.steps, args.threads, args.workers))
    return 0


def _add_benchmark(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("benchmark", help="measure how fast things are on this machine")
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    simulate = what.add_parser("simulate", help="frames/s of the synthetic room")
    simulate.add_argument("--frames", type=int, default=200, help="to measure (default: %(default)s)")
    simulate.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: all cores")
    simulate.set_defaults(run=_benchmark_simulate)
    decode = what.add_parser("decode", help="maps to people, one core")
    decode.add_argument("--people", type=int, default=8, help="in the maps (default: %(default)s)")
    decode.set_defaults(run=_benchmark_decode)
    forward = what.add_parser("forward", help="a network alone, float32 and bf16")
    forward.add_argument("--model", default="untrained:depthpose_64x48@0.25/0.125", metavar="NAME|FILE")
    forward.add_argument("--threads", type=int, default=2, help="PyTorch threads (default: %(default)s)")
    forward.add_argument("--batch", type=int, default=1, help="images at once (default: %(default)s)")
    forward.add_argument("--repeats", type=int, default=20, help="measured (default: %(default)s)")
    forward.set_defaults(run=_benchmark_forward)
    estimate = what.add_parser("estimate", help="ms per stage of the way of a frame")
    estimate.add_argument(
        "models", nargs="*", default=["untrained:depthpose_64x48@0.25/0.125"], metavar="NAME|FILE"
    )
    estimate.add_argument("--repeats", type=int, default=30, help="measured (default: %(default)s)")
    estimate.add_argument("--threads", type=int, help="PyTorch threads (default: as it comes)")
    estimate.add_argument("--batch", type=int, default=1, help="frames at once (default: %(default)s)")
    estimate.add_argument(
        "--compare", action="store_true", help="with and without flip test, bf16 and float32"
    )
    estimate.add_argument("--no-flip", action="store_true", help="without the flip test")
    estimate.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    estimate.set_defaults(run=_benchmark_estimate)
    offsets = what.add_parser("surface-offsets", help="how far joints lie behind what depth shows of them")
    offsets.add_argument("--frames", type=int, default=300, help="per domain (default: %(default)s)")
    offsets.add_argument("--seed", type=int, default=77, help="default: %(default)s")
    offsets.set_defaults(run=_benchmark_surface_offsets)
    train = what.add_parser("train", help="images/s of a recipe, and the share of time waiting for data")
    train.add_argument(
        "--config", default="training/depthpose_64x48_small.yaml", metavar="FILE", help="recipe"
    )
    train.add_argument("--steps", type=int, default=30, help="measured (default: %(default)s)")
    train.add_argument("--threads", type=int, help="PyTorch threads (default: the recipe's)")
    train.add_argument("--workers", type=int, help="processes that prepare data (default: the recipe's)")
    train.set_defaults(run=_benchmark_train)


def _label(args: argparse.Namespace) -> int:
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


def _add_label(subparsers: argparse._SubParsersAction) -> None:
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
    parser.set_defaults(run=_label)


# Each entry adds its own parser and sets its function as the parser's default ``run``.
SUBCOMMANDS: list[Callable[[argparse._SubParsersAction], None]] = [
    _add_estimate,
    _add_demo,
    _add_evaluate,
    _add_label,
    _add_train,
    _add_convert,
    _add_simulate,
    _add_benchmark,
    _add_report,
]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="orpose", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"orpose {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log what the core does")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in SUBCOMMANDS:
        add(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a ValueError or OSError becomes one sentence on stderr and exit status 2."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(message)s")
    try:
        return int(args.run(args) or 0)
    except (ValueError, OSError) as error:
        print(f"orpose {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"orpose {args.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
