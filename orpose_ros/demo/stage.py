"""The demo's own node, which publishes the cameras' images and subscribes to all results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from visualization_msgs.msg import MarkerArray

from orpose_core.data.skeleton_messages import stamp_ns_of
from orpose_core.types import RgbdFrame
from orpose_ros import conversions
from orpose_ros.graph.node_processes import NodeProcesses, StageError
from orpose_ros.graph.spun_by_hand import SpunByHand
from orpose_ros.msg import PoseModelInfo, Skeleton2DArray, Skeleton3DArray

CAMERAS = ("ceiling_1", "ceiling_2")
ROOM = "room"
START_LIMIT_S = 300.0
PLAY_LIMIT_S = 30.0
PATIENCE_S = 1.0  # the cameras wait this long for the people of a moment before they send the next
QUIET_S = 2.0  # this long without a new skeleton after the last image, and the rest is taken as dropped


@dataclass
class Seen:
    """The results for one camera by stamp, ns."""

    small: dict[int, Any] = field(default_factory=dict)  # Image
    flat: dict[int, Any] = field(default_factory=dict)  # Skeleton2DArray
    space: dict[int, Any] = field(default_factory=dict)  # Skeleton3DArray

    def clear(self) -> None:
        """Delete the results."""
        for heard in (self.small, self.flat, self.space):
            heard.clear()


class Stage(SpunByHand):
    """This process's node.

    Attributes:
        seen: results by camera.
        room: fused people (Skeleton3DArray) by stamp, ns.
        sent_s: time at which a moment was sent, by stamp, s of the steady clock.
        latencies_s: time until the 2D skeletons of each camera and the fused people were received, s.
        models: received PoseModelInfo messages.
    """

    def __init__(self) -> None:
        rclpy.init()
        self.seen = {camera: Seen() for camera in CAMERAS}
        self.room: dict[int, Any] = {}
        self.sent_s: dict[int, float] = {}
        self.latencies_s: dict[str, list[float]] = {name: [] for name in (*CAMERAS, ROOM)}
        self.models: list[Any] = []
        self.marker_arrays = self.markers = 0
        self.last_heard_s = time.monotonic()
        super().__init__("demo")
        publisher, few, many = self._node.create_publisher, QoSProfile(depth=5), QoSProfile(depth=100)
        self._depth = {name: publisher(Image, f"/{name}/depth/image_raw", few) for name in CAMERAS}
        self._info = {name: publisher(CameraInfo, f"/{name}/camera_info", few) for name in CAMERAS}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        subscribe = self._node.create_subscription
        self._subscriptions = [
            subscribe(PoseModelInfo, "/model_info", self.models.append, latched),
            subscribe(Skeleton3DArray, f"/{ROOM}/skeletons_3d", self._keeper(self.room, ROOM), many),
            subscribe(MarkerArray, f"/{ROOM}/skeleton_markers", self._hear_markers, many),
        ]
        for name, seen in self.seen.items():
            self._subscriptions += [
                subscribe(Image, f"/{name}/lowres/depth/image_raw", self._keeper(seen.small), many),
                subscribe(Skeleton2DArray, f"/{name}/skeletons_2d", self._keeper(seen.flat, name), many),
                subscribe(Skeleton3DArray, f"/{name}/skeletons_3d", self._keeper(seen.space), many),
                subscribe(MarkerArray, f"/{name}/skeleton_markers", self._hear_markers, many),
            ]

    def wait(self, nodes: NodeProcesses) -> None:
        """Spin until every node is there and connected."""
        end = time.monotonic() + START_LIMIT_S
        while missing := self._missing():
            nodes.check()
            if time.monotonic() > end:
                raise StageError(f"not within {START_LIMIT_S:g} s: {', '.join(missing)}")
            self.spin(0.1)

    def _missing(self) -> list[str]:
        """Return the connections that are still missing."""
        node = self._node
        missing = [] if self.models else ["model_info"]
        published = [f"/{ROOM}/skeletons_3d", f"/{ROOM}/skeleton_markers"]
        # The pose node subscribes to the gateway, markers and fusion to the pose node, this node to all.
        heard = [(f"/{ROOM}/skeletons_3d", 2)]
        for name in CAMERAS:
            topics = ("lowres/depth/image_raw", "skeletons_2d", "skeletons_3d", "skeleton_markers")
            published += [f"/{name}/{topic}" for topic in topics]
            heard += [
                (f"/{name}/depth/image_raw", 1),
                (f"/{name}/camera_info", 1),
                (f"/{name}/lowres/depth/image_raw", 2),
                (f"/{name}/skeletons_2d", 2),
                (f"/{name}/skeletons_3d", 3),
            ]
        missing += [topic for topic in published if not node.count_publishers(topic)]
        missing += [
            f"a subscriber of {topic}" for topic, least in heard if node.count_subscribers(topic) < least
        ]
        return missing

    def rehearse(self, frames: Sequence[RgbdFrame], nodes: NodeProcesses) -> None:
        """Send one moment repeatedly until all results arrive: then all nodes have discovered each other.

        These results do not count.
        """
        end = time.monotonic() + START_LIMIT_S
        while silent := self._silent():
            nodes.check()
            if time.monotonic() > end:
                raise StageError(f"nothing within {START_LIMIT_S:g} s from {', '.join(silent)}")
            self._send(frames, time.time_ns())
            self.spin(PATIENCE_S)
        for seen in self.seen.values():
            seen.clear()
        for times in self.latencies_s.values():
            times.clear()
        self.room.clear()
        self.sent_s.clear()
        self.marker_arrays = self.markers = 0

    def _silent(self) -> list[str]:
        """Return the nodes that have published nothing."""
        seen = self.seen.values()
        came = {
            "lowres_gateway": all(s.small for s in seen),
            "pose_node": all(s.flat and s.space for s in seen),
            "fusion_node": bool(self.room),
            "skeleton_markers": self.marker_arrays > 0,
        }
        return [name for name, heard in came.items() if not heard]

    def play(self, moments: Sequence[Sequence[RgbdFrame]], rate_hz: float, nodes: NodeProcesses) -> None:
        """Publish the moments, and spin until no more results arrive.

        The rate is kept if the nodes are fast enough. On a slower machine the cameras wait briefly for them,
        so that the video is complete; they stop when their time is over.
        """
        begin_s, begin_ns = time.monotonic(), time.time_ns()
        for k, frames in enumerate(moments):
            if time.monotonic() - begin_s > PLAY_LIMIT_S:
                break
            self.spin(begin_s + k / rate_hz - time.monotonic())
            nodes.check()
            stamp_ns = begin_ns + round(k / rate_hz * 1e9)
            self._send(frames, stamp_ns)
            while stamp_ns not in self.room and time.monotonic() - self.sent_s[stamp_ns] < PATIENCE_S:
                self.spin(0.005)
        self.last_heard_s = time.monotonic()
        while time.monotonic() - self.last_heard_s < QUIET_S and len(self.room) < len(self.sent_s):
            self.spin(0.1)
        self.spin(0.3)  # the last markers

    def _send(self, frames: Sequence[RgbdFrame], stamp_ns: int) -> None:
        """Publish the images of the cameras at one moment."""
        self.sent_s[stamp_ns] = time.monotonic()
        for name, frame in zip(CAMERAS, frames, strict=True):
            assert frame.depth_m is not None and frame.intrinsics is not None  # the simulator gives both
            header = conversions.Header(
                stamp=conversions.stamp_of(stamp_ns), frame_id=f"{name}_optical_frame"
            )
            self._info[name].publish(conversions.camera_info_message(frame.intrinsics, header))
            self._depth[name].publish(conversions.depth_message(frame.depth_m, header, "16UC1"))

    def _keeper(self, place: dict[int, Any], timed: str = "") -> Any:
        """Return a callback that stores messages by stamp and, with ``timed``, their latency."""

        def keep(message: Any) -> None:
            stamp_ns, now_s = stamp_ns_of(message), time.monotonic()
            place[stamp_ns] = message
            if timed:
                self.last_heard_s = now_s
                if stamp_ns in self.sent_s:
                    self.latencies_s[timed].append(now_s - self.sent_s[stamp_ns])

        return keep

    def _hear_markers(self, message: Any) -> None:
        self.marker_arrays += 1
        self.markers += sum(marker.action == marker.ADD for marker in message.markers)
