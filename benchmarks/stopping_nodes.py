"""How soon after SIGINT or SIGTERM does each node end, idle and at work?

    python benchmarks/stopping_nodes.py --out /tmp/stopping

Starts every node of the package four times, with two rendered cameras at 15 Hz and a bag that is played again
and again, or with neither, and tells one node after the other to stop. Prints a Markdown table: seconds until
the process has ended, and its status where that is not 0.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray

from orpose_ros.endurance.cameras import render_room
from orpose_ros.graph.deployment import NodeSpec, deployment
from orpose_ros.graph.node_processes import NodeProcesses, StageError
from orpose_ros.graph.spun_by_hand import SpunByHand

CAMERAS = ("ceiling_1", "ceiling_2")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
START_S = 600.0
SETTLE_S = 3.0
LIMIT_S = 60.0


class Listener(SpunByHand):
    """Hears what the nodes say of themselves: frames served, by node; None while one is still starting."""

    def __init__(self) -> None:
        rclpy.init()
        super().__init__("stopping")
        self.frames: dict[str, int | None] = {}
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._take, 100)

    def _take(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            starting = status.message.startswith(("loading", "compiling", "warming"))
            self.frames[f"/{status.name}"] = None if starting else int(values.get("frames", 0))

    def wait(self, names: list[str], working: bool, nodes: NodeProcesses) -> None:
        """Spin until all are ready, or at work."""
        end_s = time.monotonic() + START_S
        while missing := [n for n in names if (f := self.frames.get(n)) is None or (working and not f)]:
            nodes.check()
            if time.monotonic() > end_s:
                raise StageError(f"not within {START_S:g} s: {', '.join(missing)}")
            self.spin(0.5)
        self.spin(SETTLE_S)


def specs_of(folder: Path, rig: Path, bag: Path, working: bool) -> list[NodeSpec]:
    """Return all nodes, those that read what others send first."""
    label = {"out": str(folder / "labels"), "cameras": ["camera_1"], "depth": False}
    room = deployment(CAMERAS, rig, folder / "audit.log", {"view_node": {"port": 0}})
    order = ["view_node", "audit_node", "bridge_node", "skeleton_markers", "fusion_node", "pose_node"]
    room.sort(key=lambda spec: order.index(spec.module) if spec.module in order else len(order))
    # Idle, it waits for its first subscriber, which never comes.
    replay = {"bag": str(bag), "loop": True, "wait_s": 0.0 if working else 600.0}
    topics = {} if working else {"topics": ["/camera_1/depth/image_raw"]}
    return [NodeSpec("label_node", "", label), *room, NodeSpec("bag_replay", "", {**replay, **topics})]


def measure(
    specs: list[NodeSpec], folder: Path, frames: Path | None, working: bool, number: int
) -> dict[str, str]:
    """Start the nodes, tell one after the other to stop, and return what it took, by node."""
    listener, found = Listener(), {}
    playing = None
    try:
        with NodeProcesses(folder / "log") as nodes:
            for spec in specs:
                nodes.start(spec.module, *spec.arguments, name=spec.name)
            if frames is not None:
                command = [sys.executable, "-m", "orpose_ros.endurance.cameras", str(frames), "--rate", "15"]
                playing = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            # What none of the bridge's formats is installed for has nothing to serve.
            served = [
                s.name for s in specs if s.module != "bridge_node" and (working or s.module != "bag_replay")
            ]
            listener.wait(served, working, nodes)
            for spec in specs:
                found[spec.name] = _stop(nodes, spec.name, number)
                listener.spin(0.5)
    finally:
        if playing is not None:
            playing.kill()
            playing.wait()
        listener.close()
    return found


def _stop(nodes: NodeProcesses, name: str, number: int) -> str:
    process = nodes.process(name)
    began_s = time.monotonic()
    process.send_signal(number)
    try:
        status = process.wait(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"more than {LIMIT_S:g}"
    passed = f"{time.monotonic() - began_s:.1f}"
    return passed if status == 0 else f"{passed} (status {status})"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="empty folder for logs")
    parser.add_argument("--nodes", nargs="+", help="only these, such as label_node bag_replay; default: all")
    args = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    args.out.mkdir(parents=True)
    frames, rig = render_room(CAMERAS, args.out)
    simulate = [sys.executable, "-m", "orpose_core.cli", "simulate", "--frames", "30", "--format", "mcap"]
    subprocess.run([*simulate, "--workers", "1", "--out", str(args.out / "bag")], check=True)
    columns, loads = {}, []
    for working in (True, False):
        for number in SIGNALS:
            folder = args.out / f"{'work' if working else 'idle'}_{number.name}"
            specs = specs_of(folder, rig, args.out / "bag", working)
            specs = [spec for spec in specs if args.nodes is None or spec.module in args.nodes]
            cameras = working and any(spec.module == "lowres_gateway" for spec in specs)
            name = f"{'at work' if working else 'idle'}, {number.name}"
            columns[name] = measure(specs, folder, frames if cameras else None, working, number)
            loads.append(f"{os.getloadavg()[0]:.0f}")
            print(name, columns[name], "load", loads[-1], flush=True)
    print(f"\n| node | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for node in next(iter(columns.values())):
        print(f"| `{node.lstrip('/')}` | {' | '.join(column[node] for column in columns.values())} |")
    print(f"| load of the machine ({os.cpu_count()} processors) | {' | '.join(loads)} |")


if __name__ == "__main__":
    main()
