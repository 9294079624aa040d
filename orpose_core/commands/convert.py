"""`orpose convert`: turn a published checkpoint into one of orpose."""

from __future__ import annotations

import argparse

from orpose_core.commands.parsers import command_parser

_EXAMPLE = "orpose convert depthpose_64x48.pth --as depthpose_64x48 --to depthpose_64x48.safetensors"


def _run(args: argparse.Namespace) -> int:
    from orpose_core.checkpoints.published import convert_checkpoint

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


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `convert` to the command line."""
    parser = command_parser(
        subparsers,
        "convert",
        "Convert a published .pth checkpoint to a .safetensors file: DepthPose of CAMMA-public/ORPose-Depth, "
        "RTPose (COCO) as initial weights, or a student of CAMMA-public/ORPose-Color. No code in the file is "
        "executed. See docs/checkpoints.md.",
        _EXAMPLE,
    )
    parser.add_argument("source", metavar="SRC", help="published checkpoint")
    parser.add_argument("--to", required=True, metavar="OUT", help="the .safetensors file to write")
    parser.add_argument(
        "--as",
        required=True,
        dest="name",
        metavar="NAME",
        help="name of the network, such as depthpose_64x48",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed for weights that the file lacks (default: 0)"
    )
    parser.add_argument(
        "--depth-range-m",
        type=float,
        default=8.0,
        metavar="M",
        help="depth that maps to 1.0 at the input; published files do not state it (default: 8)",
    )
    parser.add_argument("--h36-statistics", metavar="FILE", help="h36stats.json, for a student")
    parser.set_defaults(run=_run)
