"""Markers end by themselves, and the cameras' places in the room reach tf."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from orpose_core.data.skeleton_messages import to_skeletons_3d
from orpose_core.fusion.calibration.report import LAUNCH, launch_snippet
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import write_rig
from orpose_core.skeleton import COCO17
from orpose_core.types import Intrinsics, Poses
from orpose_ros import conversions
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Skeleton3DArray
from orpose_ros.room_cameras import RoomCameras
from orpose_ros.skeleton_markers import SkeletonMarkers
from orpose_ros.streams.room_calibration import TransformCalibration

REPOSITORY = Path(__file__).parents[2]
RELIABLE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MANY = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# A camera 2.5 m above the floor that looks straight down: its x is the room's x, its y the room's -y.
DOWN = np.array([[1.0, 0, 0, 1], [0, -1, 0, 2], [0, 0, -1, 2.5], [0, 0, 0, 1]])


def person() -> Poses:
    n = len(COCO17)
    ones = np.ones((1, n), np.float32)
    xyz = np.tile(np.array([0.5, 0.25, 2.0], np.float32), (1, n, 1))
    return Poses(
        COCO17, np.zeros((1, n, 2), np.float32), ones, np.ones(1, np.float32), np.zeros((1, 4), np.float32),
        xyz_cam_m=xyz, track_ids=np.array([3], np.int64),
    )  # fmt: skip


def send(graph: Any, camera: str, frame_id: str) -> MarkerArray:
    """Publish one person before a camera and return the markers."""
    publisher = graph.publisher(Skeleton3DArray, f"{camera}/skeletons_3d", RELIABLE)
    arrays = graph.collect(MarkerArray, f"{camera}/skeleton_markers", RELIABLE)
    graph.connected(publisher)
    graph.until(lambda: graph.tester.count_publishers(f"{camera}/skeleton_markers"), "the markers' publisher")
    graph.spin(0.2)
    publisher.publish(to_skeletons_3d(person(), RCLPY_TYPES, stamp_ns=10**9, frame_id=frame_id))
    return graph.until(lambda: arrays, "markers arrive")[0]


def test_markers_vanish_soon_after_the_node_has_died(graph: Any) -> None:
    graph.make(SkeletonMarkers, cameras=["left"], stale_s=2.0)
    added = [m for m in send(graph, "left", "left_optical").markers if m.action == Marker.ADD]
    assert added
    assert all(2.0 < m.lifetime.sec + m.lifetime.nanosec / 1e9 <= 4.0 for m in added)


def test_a_damaged_calibration_is_refused(graph: Any, tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text("cameras: 7")
    node = graph.make(
        SkeletonMarkers, start=False, place_cameras=True, calibration=str(tmp_path / "rig.yaml")
    )
    assert not node.start()
    graph.until(lambda: graph.said("rig.yaml: expected a calibration"), "the reason is said")


@pytest.mark.parametrize("named", [True, False], ids=["by frame", "by name"])
def test_the_calibration_says_where_a_camera_is(graph: Any, tmp_path: Path, named: bool) -> None:
    messages = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed here")
    camera = RoomCamera("left", Intrinsics(50.0, 50.0, 32.0, 24.0, 64, 48), DOWN, "left_optical" * named)
    write_rig(tmp_path / "rig.yaml", [camera])
    settings = {"place_cameras": True, "room_frame": "or_3", "calibration": str(tmp_path / "rig.yaml")}
    graph.make(SkeletonMarkers, cameras=["left"], **settings)
    send(graph, "left", "left_optical")
    heard = graph.collect(messages.TFMessage, "/tf_static", LATCHED)
    graph.until(lambda: heard, "the transform, also for those who come late")
    (transform,) = heard[0].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ("or_3", "left_optical")

    buffers = pytest.importorskip("tf2_ros.buffer", reason="tf2_ros is not installed here")
    from rclpy.time import Time

    buffer = buffers.Buffer(node=graph.tester)
    buffer.set_transform_static(transform, "test")
    found = buffer.lookup_transform("or_3", "left_optical", Time()).transform
    # A point 2 m below the camera, by tf's own rotation of it: 0.5 m above the floor.
    x, y, z, w = (getattr(found.rotation, name) for name in "xyzw")
    q, p = np.array([x, y, z]), np.array([0.5, 0.25, 2.0])
    rotated = p + 2 * np.cross(q, np.cross(q, p) + w * p)
    place = rotated + [getattr(found.translation, name) for name in "xyz"]
    np.testing.assert_allclose(place, [1.5, 1.75, 0.5], atol=1e-6)


def test_cameras_that_nobody_has_placed_stand_side_by_side_and_the_log_says_so(graph: Any) -> None:
    messages = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed here")
    graph.make(SkeletonMarkers, cameras=["left", "right"], place_cameras=True)
    heard = graph.collect(messages.TFMessage, "/tf_static", LATCHED)

    def both() -> bool:
        for name in ("left", "right"):
            send(graph, name, f"{name}_optical")
        return bool(heard) and len(heard[-1].transforms) == 2

    graph.until(both, "both transforms in one latched message", timeout_s=60)
    left, right = sorted(heard[-1].transforms, key=lambda t: t.child_frame_id)
    assert (left.child_frame_id, right.child_frame_id) == ("left_optical", "right_optical")
    assert {left.header.frame_id, right.header.frame_id} == {
        "cameras"
    }  # not the room, which fusion would believe
    assert left.transform.translation.y - right.transform.translation.y == 4.0
    assert abs(left.transform.rotation.x) == abs(left.transform.rotation.w) == 0.5
    assert graph.said("neither by a calibration nor by tf")


def static(parent: str, child: str, translation: tuple[float, ...], rotation: tuple[float, ...]) -> Any:
    """Return a static transform as a driver publishes it."""
    geometry = pytest.importorskip("geometry_msgs.msg")
    message = geometry.TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.transform.translation = geometry.Vector3(**dict(zip("xyz", translation, strict=True)))
    message.transform.rotation = geometry.Quaternion(**dict(zip("xyzw", rotation, strict=True)))
    return message


class Tf:
    """A publisher of the drivers' transforms, and all transforms as tf2 has them."""

    def __init__(self, graph: Any, namespace: str = "") -> None:
        self.topic = f"{namespace}/tf_static"
        self.graph, self.messages = graph, pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is missing")
        buffers = pytest.importorskip("tf2_ros.buffer", reason="tf2_ros is not installed here")
        self.buffer = buffers.Buffer(node=graph.tester)
        self.parents: dict[str, set[str]] = {}
        graph.tester.create_subscription(self.messages.TFMessage, self.topic, self._hear, MANY)

    def _hear(self, message: Any) -> None:
        for transform in message.transforms:
            child = transform.child_frame_id
            self.parents.setdefault(child, set()).add(transform.header.frame_id)
            self.buffer.set_transform_static(transform, "test")

    def publish(self, *transforms: Any) -> Any:
        """Publish as a driver does, on a latched topic; each call is another driver."""
        publisher = self.graph.publisher(self.messages.TFMessage, self.topic, LATCHED)
        publisher.publish(self.messages.TFMessage(transforms=list(transforms)))
        return publisher

    def place(self, target: str, frame: str) -> np.ndarray | None:
        """Return a frame's origin and a point 1 m along its z in a target frame; None if unconnected."""
        from rclpy.time import Time

        if not self.buffer.can_transform(target, frame, Time()):
            return None
        found = self.buffer.lookup_transform(target, frame, Time()).transform
        x, y, z, w = (getattr(found.rotation, name) for name in "xyzw")
        q, p = np.array([x, y, z]), np.array([0.0, 0.0, 1.0])
        origin = np.array([getattr(found.translation, name) for name in "xyz"])
        return np.concatenate([origin, origin + p + 2 * np.cross(q, np.cross(q, p) + w * p)])


OPTICAL_XYZW = (-0.5, 0.5, -0.5, 0.5)  # of an optical frame in a frame as in REP 103


def driver_frames(camera: str) -> tuple[Any, Any]:
    """Return the transforms of a driver such as realsense2_camera."""
    return (
        static(f"{camera}_link", f"{camera}_color_frame", (0.0, 0.015, 0.0), (0.0, 0.0, 0.0, 1.0)),
        static(f"{camera}_color_frame", f"{camera}_optical", (0.0, 0.0, 0.0), OPTICAL_XYZW),
    )


LEFT_PLACE = [1.0, 2.0, 2.5, 1.0, 2.0, 1.5]
"""Of the camera in :func:`calibrate_left`: its origin in the room, and a point 1 m before it."""


def calibrate_left(folder: Path, frame_id: str, x_m: float = 1.0) -> None:
    """Write the calibration of one camera that looks straight down."""
    pose = DOWN.copy()
    pose[0, 3] = x_m
    camera = RoomCamera("left", Intrinsics(50.0, 50.0, 32.0, 24.0, 64, 48), pose, frame_id)
    write_rig(folder / "rig.yaml", [camera])


def installed(prefix: Path, program: str) -> Path:
    """Make an installation with one of our programs, and return its folder."""
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    there = prefix / "lib" / "orpose_ros"
    for folder in (index, there):
        folder.mkdir(parents=True)
    (index / "orpose_ros").touch()
    _, _, body = (REPOSITORY / "scripts" / program).read_text().partition("\n")
    (there / program).write_text(f"#!{sys.executable}\n{body}")
    (there / program).chmod(0o755)
    return prefix


@pytest.mark.parametrize("early", [True, False], ids=["driver first", "driver last"])
def test_a_calibrated_camera_keeps_the_frames_of_its_driver(graph: Any, tmp_path: Path, early: bool) -> None:
    tf = Tf(graph)
    calibrate_left(tmp_path, "left_optical")
    keep = [tf.publish(*driver_frames("left"))] if early else []
    graph.make(SkeletonMarkers, cameras=["left"], place_cameras=True, calibration=str(tmp_path / "rig.yaml"))
    if early:
        graph.until(lambda: "left_optical" in tf.parents, "the driver's frames are heard")
        graph.spin(0.5)
    send(graph, "left", "left_optical")
    if not early:
        graph.until(lambda: tf.place("room", "left_optical") is not None, "the camera is placed")
        tf.parents.clear()
        keep.append(tf.publish(*driver_frames("left")))
    graph.until(lambda: tf.place("room", "left_link") is not None, "the driver's tree is in the room")
    np.testing.assert_allclose(tf.place("room", "left_optical"), LEFT_PLACE, atol=1e-9)
    assert tf.parents["left_optical"] == {"left_color_frame"}, "no frame has two parents"
    assert tf.parents["left_link"] == {"room"}
    late = graph.collect(tf.messages.TFMessage, "/tf_static", MANY)
    graph.until(lambda: len(late) >= 2, "who comes late gets both messages")
    children = [t.child_frame_id for message in late for t in message.transforms]
    assert sorted(children) == ["left_color_frame", "left_link", "left_optical"]


def test_the_places_of_a_calibration_beside_a_driver_that_started_first(graph: Any, tmp_path: Path) -> None:
    tf = Tf(graph)
    keep = tf.publish(*driver_frames("left"))
    graph.until(lambda: len(tf.parents) == 2, "the driver's frames are heard")
    calibrate_left(tmp_path, "left_optical")
    graph.make(RoomCameras, calibration=str(tmp_path / "rig.yaml"), room_frame="or_3")
    graph.until(lambda: tf.place("or_3", "left_link") is not None, "the driver's tree is in the room")
    np.testing.assert_allclose(tf.place("or_3", "left_optical"), LEFT_PLACE, atol=1e-9)
    wanted = {"left_optical": {"left_color_frame"}, "left_color_frame": {"left_link"}, "left_link": {"or_3"}}
    assert tf.parents == wanted and keep is not None, "no frame has two parents"


def test_the_places_of_a_calibration_without_a_driver_and_then_with_one(graph: Any, tmp_path: Path) -> None:
    tf = Tf(graph)
    calibrate_left(tmp_path, "")
    node = graph.make(RoomCameras, calibration=str(tmp_path / "rig.yaml"))
    frame = "left_optical_frame"  # where the file does not name it
    graph.until(lambda: tf.place("room", frame) is not None, "the camera is placed")
    np.testing.assert_allclose(tf.place("room", frame), LEFT_PLACE, atol=1e-9)
    assert {v.key: v.value for v in node.diagnostics.status().values}["cameras placed"] == "1 of 1"
    tf.parents.clear()
    keep = tf.publish(static("left_link", frame, (0.0, 0.015, 0.0), OPTICAL_XYZW))
    graph.until(lambda: tf.place("room", "left_link") is not None, "the driver's tree is in the room")
    np.testing.assert_allclose(tf.place("room", frame), LEFT_PLACE, atol=1e-9)
    assert tf.parents == {frame: {"left_link"}, "left_link": {"room"}} and keep is not None


def test_the_launch_file_of_a_calibration_places_the_cameras(graph: Any, launch: Any, tmp_path: Path) -> None:
    tf = Tf(graph)
    keep = tf.publish(*driver_frames("left"))
    calibrate_left(tmp_path, "left_optical")
    (tmp_path / LAUNCH).write_text(launch_snippet("room"))
    process = launch(str(tmp_path / LAUNCH), [], prefix=installed(tmp_path / "prefix", "room_cameras"))
    try:
        graph.until(lambda: tf.place("room", "left_link") is not None, "it is in the room", timeout_s=240)
    finally:
        process.send_signal(signal.SIGINT)  # like Ctrl-C
        process.wait(timeout=60)
    np.testing.assert_allclose(tf.place("room", "left_optical"), LEFT_PLACE, atol=1e-9)
    assert tf.parents["left_optical"] == {"left_color_frame"} and keep is not None


def test_two_rooms_may_have_cameras_and_frames_of_the_same_names(
    graph: Any, launch: Any, tmp_path: Path
) -> None:
    rooms = {name: Tf(graph, f"/{name}") for name in ("or_1", "or_2")}
    everybody, keep, processes = Tf(graph), [], []
    prefix = installed(tmp_path / "prefix", "room_cameras")
    try:
        for name, tf in rooms.items():
            keep.append(tf.publish(*driver_frames("left")))
            (tmp_path / name).mkdir()
            calibrate_left(tmp_path / name, "left_optical", x_m=1.0 if name == "or_1" else 7.0)
            (tmp_path / name / LAUNCH).write_text(launch_snippet("room"))
            processes.append(launch(str(tmp_path / name / LAUNCH), [f"namespace:={name}"], prefix=prefix))
        graph.until(
            lambda: all(tf.place("room", "left_link") is not None for tf in rooms.values()),
            "each camera is in its room",
            timeout_s=240,
        )
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)  # like Ctrl-C
        for process in processes:
            process.wait(timeout=60)
    assert [tf.place("room", "left_optical")[0] for tf in rooms.values()] == pytest.approx([1.0, 7.0])
    assert not everybody.parents and keep, "nothing is on the /tf_static of all"


def test_places_without_a_calibration_that_can_be_read_are_refused(graph: Any, tmp_path: Path) -> None:
    pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed here")
    with pytest.raises(ValueError, match="parameter calibration: must be given"):
        graph.make(RoomCameras, start=False)
    assert not graph.make(RoomCameras, start=False, calibration=str(tmp_path / "gone.yaml")).start()
    graph.until(lambda: graph.said("gone.yaml cannot be read"), "the reason is said")


def test_drivers_frames_without_a_calibration_are_connected_for_rviz(graph: Any) -> None:
    tf = Tf(graph)
    keep = [tf.publish(*driver_frames(name)) for name in ("left", "right")]
    graph.make(SkeletonMarkers, cameras=["left", "right"], place_cameras=True)
    graph.until(lambda: len(tf.parents) == 4, "the drivers' frames are heard")
    graph.spin(0.5)
    for name in ("left", "right"):
        send(graph, name, f"{name}_optical")
    graph.until(
        lambda: all(tf.place("cameras", f"{n}_optical") is not None for n in ("left", "right")), "all in one"
    )
    left, right = (tf.place("cameras", f"{name}_optical") for name in ("left", "right"))
    np.testing.assert_allclose(left, [0, 0, 0, 1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(right, [0, -4, 0, 1, -4, 0], atol=1e-9)
    assert all(len(parents) == 1 for parents in tf.parents.values()), tf.parents
    assert len(keep) == 2


def test_a_tree_that_has_the_cameras_is_not_changed(graph: Any) -> None:
    tf = Tf(graph)
    keep = tf.publish(
        static("map", "left_optical", (1.0, 0.0, 2.0), OPTICAL_XYZW),
        static("map", "right_optical", (5.0, 0.0, 2.0), OPTICAL_XYZW),
    )
    graph.make(SkeletonMarkers, cameras=["left", "right"], place_cameras=True)
    graph.until(lambda: len(tf.parents) == 2, "the tree is heard")
    graph.spin(0.5)
    for name in ("left", "/right"):
        send(graph, name.strip("/"), f"{name}_optical")  # a slash in front, as in bags of ROS 1
    graph.until(lambda: tf.place("cameras", "right_optical") is not None, "RViz's frame is connected")
    graph.until(lambda: graph.said("tf has left_optical in map"), "it is said")
    assert tf.parents == {"left_optical": {"map"}, "right_optical": {"map"}, "cameras": {"map"}}
    assert keep is not None


def test_a_camera_that_was_put_aside_is_left_to_tf_as_soon_as_tf_has_it(graph: Any) -> None:
    tf = Tf(graph)
    graph.make(SkeletonMarkers, cameras=["left", "right"], place_cameras=True)
    graph.until(
        lambda: send(graph, "left", "left_optical") and graph.said("neither by a calibration"), "put aside"
    )
    tf.parents.clear()
    keep = tf.publish(static("map", "left_optical", (1.0, 0.0, 2.0), OPTICAL_XYZW))
    graph.until(lambda: tf.parents.get("cameras") == {"map"}, "the frame cameras follows")
    assert tf.parents["left_optical"] == {"map"} and keep is not None
    send(graph, "right", "left_optical")
    graph.until(lambda: graph.said("right and left have the same frame left_optical"), "it is named")


def test_a_transform_that_is_no_rotation_does_not_end_the_node(graph: Any) -> None:
    tf = Tf(graph)
    graph.make(SkeletonMarkers, cameras=["left"], place_cameras=True)
    tf.buffer.set_transform_static = lambda *given: None  # tf2 itself refuses it with an error
    keep = tf.publish(static("map", "left_optical", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)))
    graph.until(lambda: graph.said("a transform to left_optical is ignored"), "it is said")
    send(graph, "left", "left_optical")
    assert keep is not None


def test_a_frame_with_a_slash_in_front_is_found_in_tf(graph: Any) -> None:
    """Bags of ROS 1 have such frames. tf2 strips the slash in what it stores, and refuses it in look-ups."""
    tf = Tf(graph)
    places = TransformCalibration(graph.tester, "/room")
    keep = tf.publish(static("room", "left_optical", (1.0, 0.0, 2.0), OPTICAL_XYZW))
    info = conversions.camera_info_message(Intrinsics(50.0, 50.0, 32.0, 24.0, 64, 48), Header())

    def found() -> Any:
        try:
            return places.camera("left", "/left_optical", info)
        except ValueError:
            return None

    camera = graph.until(found, "the camera is found")
    np.testing.assert_allclose(camera.room_from_camera[:3, 3], [1.0, 0.0, 2.0])
    with pytest.raises(ValueError, match="no transform from nowhere to /room"):
        places.camera("left", "nowhere", info)
    places.close()
    assert keep is not None


def test_cameras_are_placed_only_when_that_is_asked_for(graph: Any) -> None:
    graph.make(SkeletonMarkers, cameras=["left"])
    send(graph, "left", "left_optical")
    assert graph.tester.count_publishers("/tf_static") == 0
