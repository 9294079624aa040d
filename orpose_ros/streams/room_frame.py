"""Poses of the cameras on /tf_static, for RViz.

No driver knows where its camera is in the room, so RViz can show the skeletons of several cameras in one
frame only if another node publishes that. With a calibration this is the frame of the room. Without one, the
cameras are placed side by side in a frame with another name, so that it is not mistaken for the room.

Many drivers publish transforms from their own frames, such as ``camera_link``, to the optical frame. A frame
must not have two parents, so then the root of the driver's tree is placed, where it puts the optical frame in
the right place.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import read_rig, transform_of, translation_and_quaternion
from orpose_core.types import Float64Array
from orpose_ros.streams.frame_tree import Edge, FrameTree, plain_frame

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
"""Time to wait for a camera in tf before it is placed beside the others, s."""

_Content = tuple[str, str, tuple[float, ...]]  # parent, child, numbers


class RoomFrame:
    """Places each camera's optical frame when a message has named that frame.

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
        self._tree = FrameTree()  # as others publish it
        self._waiting_s: dict[str, float] = {}  # steady clock, since when a frame waits for tf
        self._seen: dict[str, str] = {}  # namespaces of the cameras to be placed, by frame
        self._published: list[_Content] = []
        self._own: set[_Content] = set()  # all that was ever published
        self._said: set[str] = set()
        self._publisher: Any = None
        self._subscriptions: list[Any] = []
        if TFMessage is None:
            node.get_logger().warning("the package tf2_msgs is not installed: no camera is placed in tf")
            return
        self._publisher = node.create_publisher(TFMessage, "/tf_static", copy(LATCHED))
        everything = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for topic, qos, hear in (
            ("/tf_static", everything, self._hear_static),
            ("/tf", QoSProfile(depth=100), self._hear_moving),
        ):
            self._subscriptions.append(node.create_subscription(TFMessage, topic, hear, qos))

    def close(self) -> None:
        """Destroy the publisher and the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
        self._subscriptions, self._publisher = [], None

    @property
    def placed(self) -> int:
        """Number of cameras that are placed, or left to tf because it has them."""
        return len(self._seen)

    def saw(self, namespace: str, frame_id: str, patient: bool = False) -> None:
        """Place a camera's frame, unless it is placed already or may still arrive in tf.

        Args:
            namespace: namespace of the camera.
            frame_id: its optical frame.
            patient: wait for tf even if the calibration has the camera; call again until it is placed.
        """
        frame = plain_frame(frame_id)
        if self._publisher is None or not frame or frame == self._frame:
            return
        if frame in self._seen:
            if self._seen[frame] != namespace:
                self._say(
                    f"{namespace} and {self._seen[frame]} have the same frame {frame}, so RViz shows both at "
                    "the place of one: give their drivers different names of frames",
                    warning=True,
                )
            return
        known = not patient and self._calibrated(namespace, frame) is not None
        if not known and frame not in self._tree:
            since_s = self._waiting_s.setdefault(frame, time.monotonic())
            if time.monotonic() - since_s < PATIENCE_S:
                return
        self._seen[frame] = namespace
        self._place_all()

    def _calibrated(self, namespace: str, frame: str) -> Float64Array | None:
        """Return the pose of a camera in the room; None if the calibration does not have it."""
        name = namespace.strip("/")
        by_frame = [camera for camera in self._rig if plain_frame(camera.frame_id) == frame]
        by_name = [camera for camera in self._rig if camera.name.strip("/") == name]
        found = [*by_frame, *by_name]
        return found[0].room_from_camera if found else None

    def _place_all(self) -> None:
        """Determine which transforms connect all cameras, and publish them if they changed."""
        edges: dict[str, Edge] = {}
        for frame, namespace in self._seen.items():
            self._connect(frame, namespace, edges)
        transforms = [_transform(child, edge) for child, edge in edges.items()]
        contents = [_content(transform) for transform in transforms]
        if contents != self._published:
            self._published = contents
            self._own.update(contents)
            self._publisher.publish(TFMessage(transforms=transforms))

    def _connect(self, frame: str, namespace: str, edges: dict[str, Edge]) -> None:
        """Add the edge that connects a camera's tree with its target frame, unless they are connected."""
        pose = self._calibrated(namespace, frame)
        if pose is None and frame not in self._tree:
            self._say(
                f"where {frame} is in the room is said neither by a calibration nor by tf: it is put upright "
                f"in the frame {UNPLACED}, beside the others; places relative to other cameras mean nothing",
                warning=True,
            )
        target = UNPLACED if pose is None else self._frame
        target_from_camera = self._beside(namespace) if pose is None else pose
        tree = self._tree.root_of(frame, edges)
        if tree.parent == self._tree.root_of(target, edges).parent:
            self._say(f"tf has {frame} in the tree of {target}: its place is left to tf")
        elif pose is None and frame in self._tree and target not in self._tree and not edges:
            # A frame below somebody else's root disturbs nobody; a frame above it might.
            camera_from_target = np.linalg.inv(target_from_camera)
            edges[target] = Edge(tree.parent, tree.parent_from_child @ camera_from_target)
            self._say(
                f"tf has {frame} in {self._tree.parent(frame)}: RViz can show it in the fixed frame {target} "
                f"or {tree.parent}"
            )
        else:
            edges[tree.parent] = Edge(target, target_from_camera @ np.linalg.inv(tree.parent_from_child))
            if tree.parent != frame:
                self._say(f"tf has {frame} below {tree.parent}, which is placed in {target}")

    def _beside(self, namespace: str) -> Float64Array:
        place = self._names.index(namespace) if namespace in self._names else 0
        return transform_of((0.0, -SPACING_M * place, 0.0), UPRIGHT_XYZW)

    def _say(self, sentence: str, warning: bool = False) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            logger = self._node.get_logger()
            if warning:
                logger.warning(sentence)
            else:
                logger.info(sentence)

    def _hear_static(self, message: Any) -> None:
        self._hear(message, moves=False)

    def _hear_moving(self, message: Any) -> None:
        self._hear(message, moves=True)

    def _hear(self, message: Any, moves: bool) -> None:
        changed = False
        for transform in message.transforms:
            if not moves and _content(transform) in self._own:
                continue
            try:
                changed |= self._tree.put(transform, moves)
            except ValueError as error:
                self._say(f"a transform to {transform.child_frame_id} is ignored: {error}", warning=True)
        if changed and self._seen:
            self._place_all()


def _content(transform: TransformStamped) -> _Content:
    t, q = transform.transform.translation, transform.transform.rotation
    return transform.header.frame_id, transform.child_frame_id, (t.x, t.y, t.z, q.x, q.y, q.z, q.w)


def _transform(child: str, edge: Edge) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id, message.header.stamp = edge.parent, Time()  # static: of all times
    translation, rotation = translation_and_quaternion(edge.parent_from_child)
    x, y, z, w = rotation
    message.transform = Transform(
        translation=Vector3(**dict(zip("xyz", translation, strict=True))),
        rotation=Quaternion(x=x, y=y, z=z, w=w),
    )
    return message
