"""`orpose demo`: a synthetic scene through a model."""

from __future__ import annotations

import argparse

from orpose_core.commands.parsers import command_parser


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from orpose_core.demo import MODEL, DemoOptions, run_demo
    from orpose_core.estimators import EstimatorConfig, load_estimator

    options = DemoOptions(args.domain, args.seconds, args.rate, args.seed)
    config = EstimatorConfig(device=args.device, threads=args.threads)
    estimator = load_estimator(args.model or MODEL, config)
    with tqdm(total=options.frames, unit=" frames", disable=args.quiet) as bar:
        lines = run_demo(estimator, args.out, options, lambda done, _: bar.update(done - bar.n))
    print("\n".join(lines))
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `demo` to the command line."""
    parser = command_parser(
        subparsers,
        "demo",
        "Render a short scene in a synthetic room, find the people in its low-resolution images, and write a "
        "picture, a video and JSON. Needs no ROS, no data and no camera.",
        "orpose demo --out demo_output --seconds 1",
    )
    parser.add_argument("--out", default="demo_output", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--model", metavar="NAME|FILE", help="default: the shipped depth model")
    parser.add_argument(
        "--domain", default="or", choices=("or", "general", "everyday"), help="default: %(default)s"
    )
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=10.0, metavar="HZ", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=7, help="random seed of the scene (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of the network (default: all)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_run)
