"""Latency from message to skeletons over DDS, with the pose node in a process of its own.

python -m orpose_ros.graph.latency --cameras 1 2 4 --seconds 20
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from orpose_core.data.skeleton_messages import stamp_ns_of
from orpose_core.estimators.flip_share import FLIP_TESTS
from orpose_core.files import write_json
from orpose_core.image_ops import low_resolution_frame
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.types import RgbdFrame
from orpose_ros import conversions
from orpose_ros.graph.node_processes import NodeProcesses, StageError
from orpose_ros.graph.spun_by_hand import SpunByHand
from orpose_ros.msg import PoseModelInfo, Skeleton3DArray
from orpose_ros.pose_node import FLIP_SHARE

_MOMENTS = 8
_START_S = 600.0
_SETTLE_S = 2.0  # before and after the images that count
_PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Latency:
    """Results of a measurement.

    Attributes:
        cameras: number of cameras.
        backend: engine and device of the network.
        sent: number of images after the node had settled.
        answered: number of skeleton messages for them; other images were dropped for newer ones.
        percentiles_ms: median, 95th and 99th percentile of the time from just before an image is published to
            the reception of its skeletons, ms.
        first_s: time from the start of the node's process to its first skeletons, s.
        with_flip_test: share of the answered images of the last 10 s with the flip test, as the node reports.
        sender_cpu: processor time of this process, which sends images and receives skeletons, relative to the
            time that passed: 0.1 = a tenth of one processor.
    """

    cameras: int
    backend: str
    sent: int
    answered: int
    percentiles_ms: tuple[float, float, float]
    first_s: float
    with_flip_test: float
    sender_cpu: float


class _Graph(SpunByHand):
    """Publishers of the cameras, and subscriptions to the results."""

    def __init__(self, cameras: int) -> None:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        super().__init__("latency")
        self.names = [f"ceiling_{k + 1}" for k in range(cameras)]
        self.latencies_ns: dict[int, int] = {}  # by the stamp of the image
        self.backend = ""
        self.reported: dict[str, str] = {}  # diagnostics of the node
        sensor, reliable = (
            QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT),
            QoSProfile(depth=50),
        )
        create = self._node.create_publisher
        self._images = [create(Image, f"{name}/lowres/depth/image_raw", sensor) for name in self.names]
        self._infos = [create(CameraInfo, f"{name}/lowres/camera_info", sensor) for name in self.names]
        for name in self.names:
            self._node.create_subscription(Skeleton3DArray, f"{name}/skeletons_3d", self._take, reliable)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(PoseModelInfo, "model_info", self._take_info, latched)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, reliable)
        self._frames = [_frame(k) for k in range(_MOMENTS)]

    def send(self, moment: int) -> list[int]:
        """Publish one image of each camera, and return their stamps."""
        stamps = []
        for c, name in enumerate(self.names):
            frame = self._frames[(moment + c) % _MOMENTS]
            assert frame.depth_m is not None and frame.intrinsics is not None
            stamps.append(time.time_ns())
            header = conversions.Header(stamp=conversions.stamp_of(stamps[-1]), frame_id=f"{name}_optical")
            self._infos[c].publish(conversions.camera_info_message(frame.intrinsics, header))
            self._images[c].publish(conversions.depth_message(frame.depth_m, header, "16UC1"))
        return stamps

    def _take(self, message: Skeleton3DArray) -> None:
        stamp_ns = stamp_ns_of(message)
        self.latencies_ns[stamp_ns] = time.time_ns() - stamp_ns

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith("pose_node"):
                self.reported = {value.key: value.value for value in status.values}

    def _take_info(self, message: PoseModelInfo) -> None:
        self.backend = message.backend


def _frame(moment: int) -> RgbdFrame:
    stream = StreamConfig("or", (480, 640), "depth", seed=3)
    return low_resolution_frame(simulate_frame(stream, moment).frame, (48, 64))


def measure(cameras: int, seconds: float, rate_hz: float, parameters: dict[str, str | int]) -> Latency:
    """Measure the latency for one number of cameras, in a domain of its own.

    Raises:
        StageError: the node ended, or published no skeletons.
    """
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    graph = _Graph(cameras)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="orpose-latency-") as folder,
            NodeProcesses(Path(folder)) as nodes,
        ):
            given: dict[str, object] = {"cameras": graph.names, **parameters}
            arguments = [
                word for name, value in given.items() for word in ("-p", f"{name}:={json.dumps(value)}")
            ]
            began_s = time.monotonic()
            nodes.start("pose_node", *arguments)
            while len(graph.latencies_ns) < cameras:
                nodes.check()
                if time.monotonic() - began_s > _START_S:
                    raise StageError(f"not within {_START_S:g} s: skeletons of {cameras} cameras")
                graph.send(0)
                graph.spin(0.1)
            first_s = time.monotonic() - began_s
            sent, sender_cpu = _send_for(graph, seconds, rate_hz)
            flipped = float(graph.reported.get(FLIP_SHARE, "nan")) / 100
            nodes.check()
    finally:
        graph.close()
    found = [graph.latencies_ns[stamp] / 1e6 for stamp in sent if stamp in graph.latencies_ns]
    if not found:
        raise StageError(f"none of {len(sent)} images was answered")
    low, middle, high = np.percentile(found, _PERCENTILES).tolist()
    percentiles = low, middle, high
    return Latency(cameras, graph.backend, len(sent), len(found), percentiles, first_s, flipped, sender_cpu)


def _send_for(graph: _Graph, seconds: float, rate_hz: float) -> tuple[list[int], float]:
    """Send images, and return the stamps of those that count, and the processor time that it took.

    The images do not end with the last that counts: without newer ones, those that wait are served one camera
    after another, and the last waits for all others.
    """
    began_s, began_cpu_s, k, sent = time.monotonic(), time.process_time(), 0, []
    while (due_s := k / rate_hz) < _SETTLE_S + seconds + _SETTLE_S:
        graph.spin_until(began_s + due_s)
        stamps = graph.send(k)
        sent += stamps if _SETTLE_S <= due_s < _SETTLE_S + seconds else []
        k += 1
    sender_cpu = (time.process_time() - began_cpu_s) / (time.monotonic() - began_s)
    graph.spin(_SETTLE_S)
    return sent, sender_cpu


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; exit status 1 if nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m orpose_ros.graph.latency")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--model", default="fastpose_64x48")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--lanes", type=int)
    parser.add_argument("--flip-test", choices=FLIP_TESTS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    if min(args.cameras) < 1 or args.seconds <= 0 or args.rate <= 0:
        parser.error("expected at least 1 camera, and seconds and rate above 0")
    given = {"lanes": args.lanes, "flip_test": args.flip_test}
    parameters = {"model": args.model, "backend": args.backend, "threads": args.threads}
    parameters |= {name: value for name, value in given.items() if value is not None}
    print(
        f"{args.rate:g} images/s of each camera, {args.seconds:g} s each, {os.cpu_count()} processors, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    found = []
    for cameras in args.cameras:
        try:
            latency = measure(cameras, args.seconds, args.rate, parameters)
        except StageError as error:
            print(f"orpose: {error}", file=sys.stderr)
            return 1
        found.append(latency)
        median, p95, p99 = latency.percentiles_ms
        print(
            f"{cameras} cameras: median {median:.1f} ms, p95 {p95:.1f}, p99 {p99:.1f}; "
            f"{latency.answered} of {latency.sent} images answered, {latency.with_flip_test:.0%} with flip "
            f"test; first skeletons after {latency.first_s:.1f} s ({latency.backend}); the sender used "
            f"{latency.sender_cpu:.0%} of a processor",
            flush=True,
        )
    if args.json is not None:
        write_json(args.json, [asdict(latency) for latency in found])
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # without the teardown of rclpy, which may outlive its context
