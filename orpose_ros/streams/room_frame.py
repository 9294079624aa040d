"""Poses of the cameras on /tf_static, for RViz.

Camera drivers publish no transforms between cameras, so RViz can show the skeletons of several cameras in one
frame only if another node does. With a calibration this is the frame of the room. Without one, the cameras
are placed side by side in a frame with another name, so that it is not mistaken for the room.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import copy
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import pose_of, read_rig

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the wheels of ROS on PyPI do not have it
    TFMessage = None

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

UPRIGHT_XYZW = (-0.5, 0.5, -0.5, 0.5)
"""From an optical frame (z forward, y down) to a frame as in REP 103 (x forward, z up)."""


UNPLACED = "cameras"
"""Frame of cameras with an unknown pose."""

SPACING_M = 4.0
PATIENCE_S = 3.0
"""Time to wait for the pose of a camera in tf before it is placed beside the others, s."""


class RoomFrame:
    """Publishes the transform of each camera's optical frame when a message has named that frame.

    Args:
        node: the node that publishes.
        frame: name of the room's frame.
        cameras: namespaces, in the order in which cameras with an unknown pose are placed side by side.
        calibration: file as :func:`~orpose_core.fusion.rig_files.read_rig` reads it, or "".

    Raises:
        ValueError: the file cannot be read.
    """

    def __init__(self, node: Node, frame: str, cameras: Sequence[str], calibration: str) -> None:
        self._node, self._frame, self._names = node, frame, list(cameras)
        self._rig: list[RoomCamera] = read_rig(calibration) if calibration else []
        self._transforms: dict[str, TransformStamped] = {}
        self._waiting: dict[str, tuple[str, float]] = {}  # frame: namespace, and since when (steady clock)
        self._parents: dict[str, str] = {}  # of the frames that somebody else has placed
        self._publisher: Any = None
        self._subscriptions: list[Any] = []
        if TFMessage is None:
            node.get_logger().warning("the package tf2_msgs is not installed: no camera is placed in tf")
            return
        self._publisher = node.create_publisher(TFMessage, "/tf_static", copy(LATCHED))
        everything = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for topic, qos in (("/tf_static", everything), ("/tf", QoSProfile(depth=100))):
            self._subscriptions.append(node.create_subscription(TFMessage, topic, self._hear, qos))

    def close(self) -> None:
        """Destroy the publisher and the subscription."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
        self._subscriptions, self._publisher = [], None

    def saw(self, namespace: str, frame_id: str) -> None:
        """Publish the transform of a camera's frame, unless it was published or may still arrive in tf."""
        if self._publisher is None or not frame_id or frame_id in (*self._transforms, self._frame):
            return
        name = namespace.strip("/")
        for camera in self._rig:
            if camera.frame_id == frame_id or (not camera.frame_id and camera.name == name):
                self._publish(self._frame, frame_id, *pose_of(camera))
                return
        first = frame_id not in self._waiting
        _, since_s = self._waiting.setdefault(frame_id, (namespace, time.monotonic()))
        if frame_id in self._parents:
            if first:
                self._say_parent(frame_id)
        elif time.monotonic() - since_s >= PATIENCE_S:
            self._put_beside_others(namespace, frame_id)

    def _put_beside_others(self, namespace: str, frame_id: str) -> None:
        place = self._names.index(namespace) if namespace in self._names else 0
        self._node.get_logger().warning(
            f"where {frame_id} is in the room is said neither by a calibration nor by tf: it is put upright "
            f"in the frame {UNPLACED}, beside the others; places relative to other cameras mean nothing"
        )
        self._publish(UNPLACED, frame_id, [0.0, -SPACING_M * place, 0.0], list(UPRIGHT_XYZW))

    def _publish(self, parent: str, child: str, translation: list[float], rotation: list[float]) -> None:
        self._transforms[child] = _transform(parent, child, translation, rotation)
        self._publisher.publish(TFMessage(transforms=list(self._transforms.values())))

    def _hear(self, message: Any) -> None:
        for transform in message.transforms:
            child = transform.child_frame_id
            if child not in self._transforms and child not in self._parents:
                self._parents[child] = transform.header.frame_id
                if child in self._waiting:
                    self._say_parent(child)

    def _say_parent(self, frame_id: str) -> None:
        self._node.get_logger().info(
            f"tf has {frame_id} in {self._parents[frame_id]}: give RViz a fixed frame that is connected to it"
        )


def _transform(parent: str, child: str, translation: list[float], rotation: list[float]) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id, message.header.stamp = parent, Time()  # static: of all times
    x, y, z, w = rotation
    message.transform = Transform(
        translation=Vector3(**dict(zip("xyz", translation, strict=True))),
        rotation=Quaternion(x=x, y=y, z=z, w=w),
    )
    return message
