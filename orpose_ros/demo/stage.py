"""The demo's own node: it plays the camera and hears everything that the others publish."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import MarkerArray

from orpose_core.data.skeleton_messages import stamp_ns_of
from orpose_core.types import RgbdFrame
from orpose_ros import conversions
from orpose_ros.graph.node_processes import NodeProcesses, StageError
from orpose_ros.msg import PoseModelInfo, Skeleton2DArray, Skeleton3DArray

CAMERA = "ceiling_1"
START_LIMIT_S = 60.0
PLAY_LIMIT_S = 20.0
PATIENCE_S = 1.0  # the camera waits this long for the skeletons of a frame before it sends the next
QUIET_S = 2.0  # this long without a new skeleton after the last image, and the rest is taken as dropped


@dataclass
class Seen:
    """What came back, by stamp (ns)."""

    small: dict[int, Any] = field(default_factory=dict)  # Image
    flat: dict[int, Any] = field(default_factory=dict)  # Skeleton2DArray
    space: dict[int, Any] = field(default_factory=dict)  # Skeleton3DArray
    latencies_s: list[float] = field(default_factory=list)
    models: list[Any] = field(default_factory=list)  # PoseModelInfo
    marker_arrays: int = 0
    markers: int = 0


class Stage:
    """This process's node: it plays the camera and hears everything that the others publish."""

    def __init__(self) -> None:
        rclpy.init()
        self.seen = Seen()
        self.sent_s: dict[int, float] = {}  # steady time by stamp
        self.last_heard_s = time.monotonic()
        self._node = rclpy.create_node("demo", namespace=CAMERA)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._depth = self._node.create_publisher(Image, "depth/image_raw", QoSProfile(depth=5))
        self._info = self._node.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=5))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        many = QoSProfile(depth=100)
        seen, subscribe = self.seen, self._node.create_subscription
        self._subscriptions = [
            subscribe(Image, "lowres/depth/image_raw", self._keeper(seen.small), many),
            subscribe(Skeleton2DArray, "skeletons_2d", self._hear_skeletons, many),
            subscribe(Skeleton3DArray, "skeletons_3d", self._keeper(seen.space), many),
            subscribe(MarkerArray, "skeleton_markers", self._hear_markers, many),
            subscribe(PoseModelInfo, "/model_info", seen.models.append, latched),
        ]

    def wait(self, nodes: NodeProcesses) -> None:
        """Spin until every node is there and connected."""
        end = time.monotonic() + START_LIMIT_S
        topics = ("lowres/depth/image_raw", "skeletons_2d", "skeletons_3d", "skeleton_markers")
        while True:
            nodes.check()
            missing = [topic for topic in topics if not self._node.count_publishers(topic)]
            missing += [] if self._depth.get_subscription_count() else ["a subscriber of depth/image_raw"]
            missing += [] if self._info.get_subscription_count() else ["a subscriber of camera_info"]
            missing += [] if self.seen.models else ["model_info"]
            # The pose node listens to the gateway, the markers to the pose node.
            missing += (
                [] if self._node.count_subscribers("lowres/depth/image_raw") > 1 else ["pose_node's input"]
            )
            missing += [] if self._node.count_subscribers("skeletons_3d") > 1 else ["skeleton_markers' input"]
            if not missing:
                return
            if time.monotonic() > end:
                raise StageError(f"not within {START_LIMIT_S:g} s: {', '.join(missing)}")
            self.spin(0.1)

    def rehearse(self, frame: RgbdFrame, nodes: NodeProcesses) -> None:
        """Send one frame until its skeletons come back: only then have all the others found each other.

        What came back until then does not count.
        """
        end = time.monotonic() + START_LIMIT_S
        while not (self.seen.flat and self.seen.space and self.seen.marker_arrays):
            nodes.check()
            if time.monotonic() > end:
                silent = [
                    name
                    for name, heard in (
                        ("lowres_gateway", self.seen.small),
                        ("pose_node", self.seen.flat),
                        ("skeleton_markers", self.seen.marker_arrays),
                    )
                    if not heard
                ]
                raise StageError(f"nothing within {START_LIMIT_S:g} s from {', '.join(silent)}")
            self._send(frame, time.time_ns())
            self.spin(PATIENCE_S)
        for heard in (self.seen.small, self.seen.flat, self.seen.space, self.seen.latencies_s, self.sent_s):
            heard.clear()
        self.seen.marker_arrays = self.seen.markers = 0

    def play(self, frames: Sequence[RgbdFrame], rate_hz: float, nodes: NodeProcesses) -> None:
        """Publish the frames, and spin until nothing more comes back.

        The rate is kept where the nodes can serve it. On a slower machine the camera waits for them a little,
        so that the video is whole; it stops when its time is over.
        """
        begin_s, begin_ns = time.monotonic(), time.time_ns()
        for k, frame in enumerate(frames):
            if time.monotonic() - begin_s > PLAY_LIMIT_S:
                break
            self.spin(begin_s + k / rate_hz - time.monotonic())
            nodes.check()
            stamp_ns = begin_ns + round(k / rate_hz * 1e9)
            self._send(frame, stamp_ns)
            while stamp_ns not in self.seen.flat and time.monotonic() - self.sent_s[stamp_ns] < PATIENCE_S:
                self.spin(0.005)
        self.last_heard_s = time.monotonic()
        while time.monotonic() - self.last_heard_s < QUIET_S and len(self.seen.flat) < len(self.sent_s):
            self.spin(0.1)
        self.spin(0.3)  # the last markers

    def _send(self, frame: RgbdFrame, stamp_ns: int) -> None:
        assert frame.depth_m is not None and frame.intrinsics is not None  # the simulator gives both
        header = conversions.Header(stamp=conversions.stamp_of(stamp_ns), frame_id=frame.frame_id)
        self.sent_s[stamp_ns] = time.monotonic()
        self._info.publish(conversions.camera_info_message(frame.intrinsics, header))
        self._depth.publish(conversions.depth_message(frame.depth_m, header, "16UC1"))

    def spin(self, seconds: float) -> None:
        """Hear what comes for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def _keeper(self, place: dict[int, Any]) -> Any:
        def keep(message: Any) -> None:
            place[stamp_ns_of(message)] = message

        return keep

    def _hear_skeletons(self, message: Any) -> None:
        now_s, stamp_ns = time.monotonic(), stamp_ns_of(message)
        self.seen.flat[stamp_ns] = message
        self.last_heard_s = now_s
        if stamp_ns in self.sent_s:
            self.seen.latencies_s.append(now_s - self.sent_s[stamp_ns])

    def _hear_markers(self, message: Any) -> None:
        self.seen.marker_arrays += 1
        self.seen.markers += sum(marker.action == marker.ADD for marker in message.markers)
