"""`orpose benchmark`: measure how fast things are on this machine."""

from __future__ import annotations

import argparse
import os


def _benchmark_estimate(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.benchmark import estimate

    print(
        estimate(
            args.models, args.repeats, args.threads, args.batch, args.compare, not args.no_flip, args.device
        )
    )
    return 0


def _benchmark_surface_offsets(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.benchmark import surface_offsets

    print(surface_offsets(args.frames, args.seed))
    return 0


def _benchmark_simulate(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.benchmark import simulate

    print(simulate(args.frames, args.workers))
    return 0


def _benchmark_decode(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.benchmark import decode

    print(decode(args.people))
    return 0


def _benchmark_forward(args: argparse.Namespace) -> int:
    from orpose_core.benchmarking.benchmark import forward

    print(forward(args.model, args.repeats, args.threads, args.batch))
    return 0


def _benchmark_train(args: argparse.Namespace) -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `orpose train` does
    from orpose_core.benchmarking.benchmark import train

    print(train(args.config, args.steps, args.threads, args.workers))
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `benchmark` to the command line."""
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
