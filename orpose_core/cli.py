"""The `orpose` command: one thin function per subcommand; the work is done in the modules they call."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

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
    parser.add_argument("--dataset", choices=("mvor", "mvor+", "coco", "or-val-v1", "general-val-v1"))
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


# Each entry adds its own parser and sets its function as the parser's default ``run``.
SUBCOMMANDS: list[Callable[[argparse._SubParsersAction], None]] = [_add_evaluate, _add_train]


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
