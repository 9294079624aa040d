"""Skeletons as markers for RViz: joints and bones of each person in the color of the track, with its id.

    [camera/]skeletons_3d, skeleton_info -> [camera/]skeleton_markers

With ``place_cameras`` it also publishes the poses of the cameras on /tf_static. Skeletons relative to the
pelvis have no position in the room: they are drawn side by side in front of the camera, or refused (parameter
``root_relative``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from geometry_msgs.msg import Point, Vector3
from rclpy.duration import Duration
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from orpose_core.data.skeleton_messages import from_skeleton_info, stamp_ns_of
from orpose_core.render import track_color
from orpose_core.skeleton import Skeleton, by_name
from orpose_ros.msg import Skeleton3D, Skeleton3DArray, SkeletonInfo
from orpose_ros.parameters import declaring as parameters
from orpose_ros.parameters.declaring import parameter
from orpose_ros.parameters.namespaces import check_cameras
from orpose_ros.running.diagnostics import NodeDiagnostics
from orpose_ros.running.input_watch import SILENCE_S, InputWatch, overridable_qos
from orpose_ros.running.lifecycle import SelfStartingNode, run
from orpose_ros.streams.room_frame import RoomFrame

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=10)
JOINTS, BONES, LABEL = "joints", "bones", "label"
ROW_DISTANCE_M = 3.0
ROW_SPACING_M = 1.2
LIFETIME = 1.5
"""Lifetime of markers in units of ``stale_s``: they also vanish if this node dies and cannot remove them."""


@dataclass(frozen=True)
class MarkerParameters:
    """Parameters of drawing skeletons."""

    cameras: tuple[str, ...] = parameter(
        ("",), "Namespaces of the cameras; empty = the node's own namespace."
    )
    joint_diameter_m: float = parameter(
        0.06, "Diameter of the joint spheres, m.", low=0.001, high=1.0, live=True
    )
    bone_width_m: float = parameter(0.025, "Width of the bone lines, m.", low=0.001, high=1.0, live=True)
    label_height_m: float = parameter(
        0.18, "Height of the letters, m; 0 = no labels.", low=0.0, high=2.0, live=True
    )
    min_score: float = parameter(0.0, "Lowest score of joints to draw.", low=0.0, high=1.0, live=True)
    root_relative: str = parameter(
        "row",
        "Skeletons without a position in the room: draw them in a row in front of the camera, or not at all.",
        choices=("row", "refuse"),
    )
    room_frame: str = parameter("room", "Frame whose z points up; in the cameras' frames y points down.")
    stale_s: float = parameter(
        2.0, "Time without a message after which all markers are removed, s.", low=0.1, high=60.0
    )
    place_cameras: bool = parameter(
        False,
        "Publish the poses of the cameras on /tf_static: in room_frame with a calibration; without one, side "
        "by side in a frame of their own, unless tf has them already.",
    )
    calibration: str = parameter(
        "", "Calibration file (orpose calibrate) for place_cameras; empty = unknown poses."
    )
    silence_s: float = parameter(
        SILENCE_S, "An input that is silent for this long is reported, s.", low=0.5, high=600.0
    )

    def __post_init__(self) -> None:
        check_cameras(self.cameras)


def track_marker_color(track_id: int) -> ColorRGBA:
    """Return the color of a track: constant, and different from those of neighbouring ids; -1 is gray."""
    if track_id < 0:
        return ColorRGBA(r=0.6, g=0.6, b=0.6, a=1.0)
    r, g, b = (value / 255 for value in track_color(track_id))  # the same as in our pictures
    return ColorRGBA(r=r, g=g, b=b, a=1.0)


class _Scene:
    """The current markers in RViz of one camera's skeletons."""

    def __init__(self, publisher: LifecyclePublisher) -> None:
        self.publisher = publisher
        self.shown: set[tuple[str, int]] = set()  # namespace and id
        self.header = Header()
        self.last_s: float | None = None  # steady clock; None = nothing is shown
        self.last_ns = 0
        self.places: dict[int, int] = {}  # of root-relative people: track id to place in the row


class SkeletonMarkers(SelfStartingNode):
    """Publishes skeletons as markers; see the module."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("skeleton_markers", **arguments)
        self.parameters = parameters.declare(self, MarkerParameters)
        parameters.on_change(self, MarkerParameters, self._changed)
        self.watch: InputWatch | None = None
        self.diagnostics: NodeDiagnostics | None = None
        self._frame: RoomFrame | None = None
        self._active = False
        self._skeletons: dict[str, Skeleton] = {}
        self._scenes: dict[str, _Scene] = {}

    def configure(self) -> None:
        """Create publishers and subscriptions."""
        self.watch = self.own(InputWatch(self, self.parameters.silence_s))
        self.diagnostics = self.own(NodeDiagnostics(self, "cpu", problems=self._problems, served="skeletons"))
        if self.parameters.place_cameras:
            settings = self.parameters
            self._frame = self.own(
                RoomFrame(self, settings.room_frame, settings.cameras, settings.calibration)
            )
        # Not watched: it is published only once.
        info = self.create_subscription(SkeletonInfo, "skeleton_info", self._take_info, copy(LATCHED))
        self.at_clean_up(self.destroy_subscription, info)
        for namespace in self.parameters.cameras:
            prefix = f"{namespace}/" if namespace else ""
            publisher = self.own_publisher(
                MarkerArray,
                f"{prefix}skeleton_markers",
                copy(RELIABLE),
                qos_overriding_options=overridable_qos(),
            )
            scene = self._scenes[namespace] = _Scene(publisher)
            take = partial(self._take, scene, namespace)
            self.watch.subscribe(
                Skeleton3DArray, f"{prefix}skeletons_3d", take, RELIABLE, missed=self.diagnostics.drop
            )
        self.own_timer(self.parameters.stale_s / 4, self._remove_stale)

    def activate(self) -> None:
        """Start drawing."""
        self._active = True

    def deactivate(self) -> None:
        """Remove all markers and stop drawing."""
        for scene in self._scenes.values():
            self._clear(scene)
        self._active = False

    def clean_up(self) -> None:
        """Destroy all that :meth:`configure` made."""
        self._active = False
        super().clean_up()
        self.watch = self.diagnostics = self._frame = None
        self._scenes.clear()

    def _changed(self, settings: MarkerParameters) -> None:
        self.parameters = settings

    def _problems(self) -> list[str]:
        return [] if self.watch is None else self.watch.problems

    def _take_info(self, message: SkeletonInfo) -> None:
        try:
            self._skeletons[message.skeleton_model] = from_skeleton_info(message)
        except ValueError as error:
            self.get_logger().warning(f"skeleton_info refused: {error}")

    def _take(self, scene: _Scene, namespace: str, message: Skeleton3DArray) -> None:
        """Draw one message; a ValueError refuses it."""
        assert self.watch is not None and self.diagnostics is not None  # made before the subscription
        if not self._active:
            return
        if self._frame is not None:
            self._frame.saw(namespace, message.header.frame_id)
        try:
            self._draw(scene, message)
        except Exception:
            self.diagnostics.refuse()
            raise
        self.diagnostics.frame(time.monotonic() - self.watch.arrived_s)

    def _draw(self, scene: _Scene, message: Skeleton3DArray) -> None:
        skeleton = self._skeletons.get(message.skeleton_model) or by_name(message.skeleton_model)
        relative = message.kind == Skeleton3DArray.KIND_ROOT_RELATIVE
        if relative and self.parameters.root_relative == "refuse":
            self._clear(scene)
            raise ValueError(
                "skeletons relative to the pelvis have no place in the room: expected metric ones "
                "(depth and camera_info for pose_node), or the parameter root_relative set to row"
            )
        array = MarkerArray()
        stamp_ns = stamp_ns_of(message)
        if scene.shown and (stamp_ns < scene.last_ns or message.header.frame_id != scene.header.frame_id):
            array.markers.append(
                self._delete_all(message.header)
            )  # what was shown is of another time or place
            scene.shown.clear()
        scene.header, scene.last_ns, scene.last_s = message.header, stamp_ns, time.monotonic()
        shown: set[tuple[str, int]] = set()
        self._give_places(scene, message if relative else None)
        for row, person in enumerate(message.skeletons):
            offset = (0.0, 0.0, 0.0)
            if relative:
                offset = _place(scene.places.get(person.track_id, row))
            for marker in self._person(message.header, person, row, skeleton, offset):
                shown.add((marker.ns, marker.id))
                array.markers.append(marker)
        array.markers.extend(
            Marker(header=message.header, ns=ns, id=marker_id, action=Marker.DELETE)
            for ns, marker_id in sorted(scene.shown - shown)
        )
        scene.shown = shown
        scene.publisher.publish(array)

    def _person(
        self, header: Header, person: Skeleton3D, row: int, skeleton: Skeleton, offset: Sequence[float]
    ) -> list[Marker]:
        """Return the markers of one person; none if no joint is known."""
        if len(person.keypoints) != len(skeleton):
            raise ValueError(
                f"expected {len(skeleton)} keypoints of {skeleton.name}, got {len(person.keypoints)}"
            )
        settings = self.parameters
        points: list[Point | None] = []
        for keypoint in person.keypoints:
            xyz = (keypoint.position.x, keypoint.position.y, keypoint.position.z)
            known = all(map(math.isfinite, xyz)) and keypoint.score >= settings.min_score
            moved = [float(a + b) for a, b in zip(xyz, offset, strict=True)]
            points.append(Point(x=moved[0], y=moved[1], z=moved[2]) if known else None)
        there = [point for point in points if point is not None]
        if not there:
            return []
        # RViz identifies markers by 32 bits. People without a track are identified by their row.
        marker_id = int(person.track_id % 2**31) if person.track_id >= 0 else -1 - row
        common = {
            "header": header,
            "id": marker_id,
            "color": track_marker_color(person.track_id),
            "lifetime": Duration(seconds=LIFETIME * settings.stale_s).to_msg(),
        }
        size, width = settings.joint_diameter_m, settings.bone_width_m
        markers = [
            _marker(
                ns=JOINTS,
                type=Marker.SPHERE_LIST,
                scale=Vector3(x=size, y=size, z=size),
                points=there,
                **common,
            )
        ]
        ends = [(points[a], points[b]) for a, b in skeleton.edges]
        bones = [point for pair in ends if None not in pair for point in pair]
        if bones:
            markers.append(
                _marker(ns=BONES, type=Marker.LINE_LIST, scale=Vector3(x=width), points=bones, **common)
            )
        if settings.label_height_m > 0 and person.track_id >= 0:
            label = _marker(
                ns=LABEL,
                type=Marker.TEXT_VIEW_FACING,
                scale=Vector3(z=settings.label_height_m),
                text=str(person.track_id),
                **common,
            )
            above = 1.5 * settings.label_height_m
            if header.frame_id == settings.room_frame:
                top = max(there, key=lambda point: point.z)
                label.pose.position = Point(x=top.x, y=top.y, z=top.z + above)
            else:
                top = min(there, key=lambda point: point.y)  # y points down in an optical frame
                label.pose.position = Point(x=top.x, y=top.y - above, z=top.z)
            markers.append(label)
        return markers

    def _give_places(self, scene: _Scene, message: Skeleton3DArray | None) -> None:
        """Keep the positions of people in the row, and assign the first free ones to new people."""
        ids = [] if message is None else [p.track_id for p in message.skeletons if p.track_id >= 0]
        scene.places = {i: place for i, place in scene.places.items() if i in ids}
        for track_id in ids:
            if track_id not in scene.places:
                taken = set(scene.places.values())
                scene.places[track_id] = next(k for k in range(len(ids) + 1) if k not in taken)

    def _remove_stale(self) -> None:
        now = time.monotonic()
        for scene in self._scenes.values():
            if scene.last_s is not None and now - scene.last_s > self.parameters.stale_s:
                self._clear(scene)

    def _clear(self, scene: _Scene) -> None:
        """Remove all markers of one camera."""
        if scene.shown:
            scene.publisher.publish(MarkerArray(markers=[self._delete_all(scene.header)]))
        scene.shown.clear()
        scene.places.clear()
        scene.last_s = None

    def _delete_all(self, header: Header) -> Marker:
        return Marker(header=header, action=Marker.DELETEALL)


def _marker(**fields: Any) -> Marker:
    marker = Marker(action=Marker.ADD, **fields)
    marker.pose.orientation.w = 1.0
    return marker


def _place(k: int) -> tuple[float, float, float]:
    """Return the position of the k-th person of the row: 0 in the middle, then alternately right and left."""
    side = (k + 1) // 2 * (1 if k % 2 else -1)
    return side * ROW_SPACING_M, 0.0, ROW_DISTANCE_M


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(SkeletonMarkers, args)


if __name__ == "__main__":
    main()
