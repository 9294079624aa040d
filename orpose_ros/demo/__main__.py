"""`python -m orpose_ros.demo`: run the demo."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from orpose_ros.demo import __doc__ as ABOUT
from orpose_ros.demo.outputs import answers_of, render_scene, report, write_outputs
from orpose_ros.demo.stage import CAMERA, Stage
from orpose_ros.graph.node_processes import NodeProcesses, StageError

MODEL = "fastpose_64x48"


def run(out: Path, model: str, count: int, rate_hz: float, seed: int) -> None:
    """Run the demo; StageError where a stage gave nothing."""
    # A domain of its own: the demo must not talk into a graph that is running here. rclpy.init reads it.
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    with ExitStack() as stack:
        nodes = stack.enter_context(NodeProcesses(out / "log"))
        small, full = ("lowres/depth/image_raw", "lowres/camera_info"), ("depth/image_raw", "camera_info")
        nodes.start("pose_node", "-p", f"model:={model}", "-p", f"cameras:=[{CAMERA}]", *_reliable(small))
        nodes.start("lowres_gateway", "-r", f"__ns:=/{CAMERA}", *_reliable(full))
        nodes.start("skeleton_markers", "-p", f"cameras:=[{CAMERA}]")
        print(f"rendering {count} frames of an operating room ...", flush=True)
        scene = render_scene(count, rate_hz, seed)
        stage = Stage()
        stack.callback(stage.close)
        print("waiting for the nodes ...", flush=True)
        stage.wait(nodes)
        stage.rehearse(scene[0].frame, nodes)
        untrained = [line for line in nodes.warnings() if "UNTRAINED" in line]
        print("\n".join([*untrained, f"playing {count} frames at {rate_hz:g} Hz ..."]), flush=True)
        said = len(nodes.warnings())  # while nothing was played yet they named the silence, rightly
        stage.play([s.frame for s in scene], rate_hz, nodes)
        nodes.check()
        for line in nodes.warnings()[said:]:
            print(line)
        answers = answers_of(stage.seen)
        report(stage, answers, scene)
        up = scene[0].room_from_camera[:3, :3].T @ np.array([0.0, 0.0, 1.0])
        for path in write_outputs(out, answers, up, rate_hz):
            print(f"wrote         {path}")
        print("in a browser  orpose view --demo shows a room with three cameras, as in docs/images/view.png")


def _reliable(topics: Sequence[str]) -> list[str]:
    """Arguments that make a node ask for reliable images: a busy machine loses large best-effort ones."""
    names = [f"qos_overrides./{CAMERA}/{topic}.subscription.reliability" for topic in topics]
    return [argument for name in names for argument in ("-p", f"{name}:=reliable")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo from the command line; exit status 1 where a stage gave nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m orpose_ros.demo", description=(ABOUT or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder to write into")
    parser.add_argument("--model", default=MODEL, metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument("--frames", type=int, default=80, help="how many (default: 80)")
    parser.add_argument("--rate", type=float, default=8.0, help="frames a second (default: 8)")
    parser.add_argument("--seed", type=int, default=1, help="of the scene")
    args = parser.parse_args(argv)
    if args.frames < 1 or not args.rate > 0:
        parser.error(f"expected frames and rate above 0, got {args.frames} and {args.rate}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the nodes are ended too
    started_s = time.monotonic()
    try:
        run(args.out, args.model, args.frames, args.rate, args.seed)
    except (StageError, ValueError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    print(f"done in {time.monotonic() - started_s:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
