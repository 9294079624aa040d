"""`orpose export`: write a network for another engine."""

from __future__ import annotations

import argparse

from orpose_core.commands.parsers import command_parser

_EXAMPLE = """\
orpose export fastpose_64x48 --to openvino
orpose export fastpose_64x48 --to onnx --int8 --out fast.onnx  # takes minutes"""


def _run(args: argparse.Namespace) -> int:
    from orpose_core.exporting.export import export

    print(export(args.model, args.to, args.out, args.int8, args.calibration_frames, args.development_frames))
    return 0


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `export` to the command line."""
    parser = command_parser(
        subparsers,
        "export",
        "Export a network with maps (DepthPose, FastPose, RTPose) to a file that OpenVINO or ONNX Runtime "
        "runs without PyTorch. It accepts any batch size and returns maps; its metadata say how to read "
        "them. The file can be used as the model of other commands and of pose_node.",
        _EXAMPLE,
    )
    parser.add_argument("model", metavar="NAME|FILE", help="shipped weights or a checkpoint")
    parser.add_argument("--to", required=True, choices=("onnx", "openvino"), help="format of the file")
    parser.add_argument("--out", metavar="FILE", help="default: NAME.onnx, or NAME.xml with NAME.bin")
    parser.add_argument("--int8", action="store_true", help="quantize the network, and print the loss in PCK")
    parser.add_argument(
        "--calibration-frames",
        type=int,
        default=300,
        metavar="N",
        help="synthetic frames on which int8 ranges are measured (default: 300)",
    )
    parser.add_argument(
        "--development-frames",
        type=int,
        default=120,
        metavar="N",
        help="frames of or-val-v1 to measure the loss of int8; 0 = none (default: 120)",
    )
    parser.set_defaults(run=_run)
