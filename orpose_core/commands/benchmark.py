"""`orpose benchmark`: measure how fast things are on this machine."""

from __future__ import annotations

import argparse
import os

from orpose_core.commands.parsers import add_backend, command_parser

_MODEL = "untrained:depthpose_64x48@0.25/0.125"


def _estimate(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.estimation_report import estimate

    print(
        estimate(
            args.models,
            args.backend,
            json_path=args.json,
            page_path=args.page,
            repeats=args.repeats,
            threads=args.threads,
            lanes=args.lanes,
            compare=args.compare,
            flip_test=not args.no_flip,
            device=args.device,
        )
    )
    return 0


def _surface_offsets(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.surface_offsets import surface_offsets

    print(surface_offsets(args.frames, args.seed))
    return 0


def _sigmas(args: argparse.Namespace) -> int:
    from orpose_core.training.depthpose.sigma_calibration import recalibrate
    from orpose_core.training.depthpose.threshold_choice import ReadingConfig

    before, after = recalibrate(args.model, ReadingConfig(frames=args.frames), args.to)
    for name, share in after.coverage.items():
        stored = "" if before is None or name not in before.coverage else f" ({before.coverage[name]:.3f})"
        print(f"{name:<16} {share:.3f}{stored}")
    if args.to is not None:
        print(args.to)
    return 0


def _simulate(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.simulation import simulate

    print(simulate(args.frames, args.workers))
    return 0


def _decode(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.decoding import decode

    print(decode(args.people))
    return 0


def _fusion(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.fusion import fusion

    print(fusion(args.people, args.cameras, args.moments, args.inputs, args.seed))
    return 0


def _forward(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.forward import forward

    print(forward(args.model, args.repeats, args.threads, args.batch))
    return 0


def _endurance(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.ros_programs import run_ros_program

    given = ["--minutes", f"{args.minutes:g}", "--cameras", str(args.cameras), "--rate", f"{args.rate:g}"]
    given += ["--model", args.model, *(["--out", args.out] if args.out else [])]
    return run_ros_program("orpose_ros.endurance", [args.what, *given])


def _graph(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.ros_programs import run_ros_program

    given = [
        "--cameras",
        *map(str, args.cameras),
        "--seconds",
        f"{args.seconds:g}",
        "--rate",
        f"{args.rate:g}",
    ]
    given += ["--model", args.model, "--backend", args.backend, "--threads", str(args.threads)]
    given += [] if args.lanes is None else ["--lanes", str(args.lanes)]
    given += [] if args.flip_test is None else ["--flip-test", args.flip_test]
    return run_ros_program(
        "orpose_ros.graph.latency", [*given, *(["--json", args.json] if args.json else [])]
    )


def _train(args: argparse.Namespace) -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `orpose train` does
    from orpose_core.benchmarking.training import train
    from orpose_core.commands.recipes import parse, trained_kind

    kind, recipe = trained_kind("depthpose")
    settings = parse("orpose benchmark train", recipe, ["--config", args.config]).recipe
    print(train(kind, settings, args.steps, args.threads, args.workers, args.config))
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `benchmark` to the command line."""
    parser = command_parser(
        subparsers,
        "benchmark",
        "Measure speed on this machine.",
        "orpose benchmark estimate fastpose_64x48 --backend torch --repeats 5 --threads 1\n"
        "orpose benchmark decode --people 12",
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    _add_estimate(what)
    _add_forward(what)
    _add_graph(what)
    _add_endurance(what)
    decode = command_parser(
        what,
        "decode",
        "Measure how long one core takes to turn maps into people.",
        "orpose benchmark decode --people 12",
        listed="time of decoding maps to people, on one core",
    )
    decode.add_argument("--people", type=int, default=8, metavar="N", help="people in the maps (default: 8)")
    decode.set_defaults(run=_decode)
    _add_fusion(what)
    _add_train(what)
    simulate = command_parser(
        what,
        "simulate",
        "Measure how many frames of the synthetic room are rendered and written per second.",
        "orpose benchmark simulate --frames 20",
        listed="rendering rate of the synthetic room",
    )
    simulate.add_argument("--frames", type=int, default=200, metavar="N", help="default: %(default)s")
    simulate.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="rendering processes (default: all cores)",
    )
    simulate.set_defaults(run=_simulate)
    sigmas = command_parser(
        what,
        "sigmas",
        "Measure the standard deviations of a depth network on synthetic frames, and the shares of joints "
        "within their radii on others (in brackets: what its file says). With --to, write them into a copy "
        "of the weights.",
        "orpose benchmark sigmas fastpose_64x48 --frames 20",
        listed="how far a depth network's joints are off, for its weights file",
    )
    sigmas.add_argument("model", metavar="MODEL", help="weights: a file or a name")
    sigmas.add_argument("--frames", type=int, default=150, metavar="N", help="per domain (default: 150)")
    sigmas.add_argument("--to", metavar="FILE", help="the .safetensors file to write; may be the same file")
    sigmas.set_defaults(run=_sigmas)
    offsets = command_parser(
        what,
        "surface-offsets",
        "Measure how far joints lie behind the body surface that a depth image shows.",
        "orpose benchmark surface-offsets --frames 20",
        listed="distance of joints behind the body surface in depth images",
    )
    offsets.add_argument(
        "--frames", type=int, default=300, metavar="N", help="frames per domain (default: 300)"
    )
    offsets.add_argument("--seed", type=int, default=77, help="default: %(default)s")
    offsets.set_defaults(run=_surface_offsets)


def _add_estimate(what: argparse._SubParsersAction) -> None:
    parser = command_parser(
        what,
        "estimate",
        "Measure every stage from a low-resolution message to 3D skeletons, in every installed engine and "
        "number format; frames/s of 1, 2 and 4 cameras; peak memory; and how long the network would take at "
        "the rate at which this machine multiplies large matrices.",
        "orpose benchmark estimate fastpose_64x48 --backend torch --repeats 5 --threads 1",
        listed="time of each stage from message to skeletons, in every engine",
    )
    parser.add_argument("models", nargs="*", metavar="NAME|FILE", help="default: all shipped networks")
    parser.add_argument(
        "--backend", nargs="+", metavar="NAME", help="torch, openvino, onnxruntime (default: all installed)"
    )
    parser.add_argument("--repeats", type=int, default=30, metavar="N", help="default: %(default)s")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: PyTorch's choice)")
    parser.add_argument(
        "--lanes",
        type=int,
        default=1,
        metavar="N",
        help="lanes for several cameras, as pose_node's parameter: 0 = one per camera (default: %(default)s)",
    )
    parser.add_argument("--compare", action="store_true", help="measure with and without the flip test")
    parser.add_argument("--no-flip", action="store_true", help="measure without the flip test")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write all results as JSON")
    parser.add_argument("--page", metavar="FILE", help="write the results as a page of the documentation")
    parser.set_defaults(run=_estimate)


def _add_forward(what: argparse._SubParsersAction) -> None:
    parser = command_parser(
        what,
        "forward",
        "Measure a network alone, in float32 and, if this machine supports it, in bf16.",
        "orpose benchmark forward --model fastpose_64x48 --threads 1 --repeats 5",
        listed="time of a network alone, in float32 and bf16",
    )
    parser.add_argument("--model", default=_MODEL, metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="threads of PyTorch (default: 2)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images per batch (default: 1)")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="default: %(default)s")
    parser.set_defaults(run=_forward)


def _add_graph(what: argparse._SubParsersAction) -> None:
    parser = command_parser(
        what,
        "graph",
        "Measure the latency from an image message to its skeletons over DDS, with pose_node in a process of "
        "its own: median, 95th and 99th percentile, how many images were answered, and the share of "
        "these with the flip test.",
        "orpose benchmark graph --cameras 1 2 --seconds 5",
        listed="latency from image message to skeletons over DDS",
    )
    parser.add_argument(
        "--cameras",
        type=int,
        nargs="+",
        default=[1, 2, 4],
        metavar="N",
        help="numbers of cameras (default: 1 2 4)",
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, metavar="S", help="duration of each measurement (default: 20)"
    )
    parser.add_argument(
        "--rate", type=float, default=10.0, metavar="HZ", help="images/s of each camera (default: 10)"
    )
    parser.add_argument("--model", default="fastpose_64x48", metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="CPU threads of the network (default: all)"
    )
    parser.add_argument("--lanes", type=int, metavar="N", help="pose_node's parameter (default: its default)")
    parser.add_argument(
        "--flip-test",
        choices=("auto", "always", "never"),
        help="pose_node's parameter (default: its default)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    add_backend(parser)
    parser.set_defaults(run=_graph)


def _add_endurance(what: argparse._SubParsersAction) -> None:
    soak = command_parser(
        what,
        "soak",
        "Run the whole graph of nodes on rendered images, and check that memory stays within 2 %, the p99 of "
        "the latency is below 2.5 times the median, every image is processed or counted as dropped, and "
        "there is no error. Exit status 1 if a check fails.",
        "orpose benchmark soak --minutes 30  # takes half an hour",
        listed="run the whole graph of nodes for minutes or hours",
    )
    privacy = command_parser(
        what,
        "privacy",
        "Run the whole graph of nodes on marked images, and search every topic, parameter event, log and "
        "file for them. Exit status 1 if an image above 4800 px is found.",
        "orpose benchmark privacy --minutes 5  # takes 5 minutes",
        listed="search all that the nodes publish, log and store for full-size images",
    )
    for parser in (soak, privacy):
        parser.add_argument("--minutes", type=float, default=5.0, metavar="N", help="duration (default: 5)")
        parser.add_argument(
            "--cameras", type=int, default=4, metavar="N", help="number of cameras, at least 2 (default: 4)"
        )
        parser.add_argument(
            "--rate", type=float, default=15.0, metavar="HZ", help="images/s of each camera (default: 15)"
        )
        parser.add_argument(
            "--model", default="fastpose_64x48", metavar="NAME|FILE", help="default: %(default)s"
        )
        parser.add_argument(
            "--out", metavar="DIR", help="keep the files of the nodes there (default: delete them)"
        )
        parser.set_defaults(run=_endurance)


def _add_fusion(what: argparse._SubParsersAction) -> None:
    parser = command_parser(
        what,
        "fusion",
        "Measure how long one core takes to fuse the views of several cameras at 30 Hz, with people walking "
        "about. --inputs also sends random numbers, bad stamps and swapped cameras to the fusion, and fails "
        "if it stops or returns a joint without a sigma.",
        "orpose benchmark fusion --people 5 --cameras 4 --inputs 2000",
        listed="time of a fusion; robustness against random inputs",
    )
    parser.add_argument("--people", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--cameras", type=int, default=4, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--moments", type=int, default=300, metavar="N", help="moments to fuse (default: %(default)s)"
    )
    parser.add_argument("--inputs", type=int, default=0, metavar="N", help="random inputs (default: none)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.set_defaults(run=_fusion)


def _add_train(what: argparse._SubParsersAction) -> None:
    parser = command_parser(
        what,
        "train",
        "Measure the training of a recipe: images per second, and the share of time spent waiting for data.",
        "orpose benchmark train --config tiny --steps 5",
        listed="training rate of a recipe, and the share of time spent waiting for data",
    )
    parser.add_argument(
        "--config", default="depthpose_64x48_small", metavar="NAME|FILE", help="recipe (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=30, metavar="N", help="steps to measure (default: 30)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of PyTorch (default: the recipe's)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that prepare data (default: the recipe's)"
    )
    parser.set_defaults(run=_train)
