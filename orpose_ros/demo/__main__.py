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

from orpose_core.fusion.rig_files import write_rig
from orpose_ros.demo import __doc__ as ABOUT
from orpose_ros.demo.outputs import answers_of, render_scene, report, rig_of, write_outputs
from orpose_ros.demo.stage import CAMERAS, ROOM, Stage
from orpose_ros.graph.node_processes import NodeProcesses, StageError

MODEL = "fastpose_64x48"
RIG = "calibration.yaml"


def run(out: Path, model: str, count: int, rate_hz: float, seed: int) -> None:
    """Run the demo; raise StageError if a stage published nothing."""
    # Its own domain, so that the demo does not disturb another graph on this machine. rclpy.init reads it.
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    with ExitStack() as stack:
        print(f"rendering {count} moments of an operating room with {len(CAMERAS)} cameras ...", flush=True)
        scene = render_scene(count, rate_hz, seed)
        rig = rig_of(scene[0])
        write_rig(out / RIG, rig)
        nodes = stack.enter_context(NodeProcesses(out / "log"))
        _start(nodes, model, out / RIG)
        stage = Stage()
        stack.callback(stage.close)
        print("waiting for the nodes ...", flush=True)
        stage.wait(nodes)
        moments = [[seen.frame for seen in moment] for moment in scene]
        stage.rehearse(moments[0], nodes)
        untrained = [line for line in nodes.warnings() if "UNTRAINED" in line]
        print("\n".join([*untrained, f"playing {count} moments at {rate_hz:g} Hz ..."]), flush=True)
        said = len(nodes.warnings())  # while nothing was played yet they named the silence, rightly
        stage.play(moments, rate_hz, nodes)
        nodes.check()
        for line in nodes.warnings()[said:]:
            print(line)
        answers = answers_of(stage)
        report(stage, answers, scene)
        for path in write_outputs(out, answers, rig, rate_hz):
            print(f"wrote         {path}")
        print("in a browser  orpose view --demo shows a room with three cameras, as in docs/images/view.png")


def _start(nodes: NodeProcesses, model: str, rig: Path) -> None:
    """Start the same nodes as or_pose.launch.py for these cameras."""
    cameras = f"cameras:=[{','.join(CAMERAS)}]"
    small = [
        f"{name}/{topic}" for name in CAMERAS for topic in ("lowres/depth/image_raw", "lowres/camera_info")
    ]
    nodes.start("pose_node", "-p", f"model:={model}", "-p", cameras, *_reliable(small))
    for name in CAMERAS:
        full = [f"{name}/depth/image_raw", f"{name}/camera_info"]
        nodes.start("lowres_gateway", "-r", f"__ns:=/{name}", *_reliable(full), name=f"gateway_{name}")
    nodes.start("fusion_node", "-p", cameras, "-p", f"calibration:={rig}")
    shown = f"cameras:=[{','.join((*CAMERAS, ROOM))}]"
    nodes.start("skeleton_markers", "-p", shown, "-p", f"calibration:={rig}", "-p", "place_cameras:=true")


def _reliable(topics: Sequence[str]) -> list[str]:
    """Return arguments that make a node request reliable images, which busy machines do not lose."""
    names = [f"qos_overrides./{topic}.subscription.reliability" for topic in topics]
    return [argument for name in names for argument in ("-p", f"{name}:=reliable")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo from the command line; exit status 1 if a stage published nothing."""
    parser = argparse.ArgumentParser(
        prog="python -m orpose_ros.demo", description=(ABOUT or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder to write into")
    parser.add_argument("--model", default=MODEL, metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument("--frames", type=int, default=60, help="how many of each camera (default: 60)")
    parser.add_argument("--rate", type=float, default=6.0, help="frames a second (default: 6)")
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
