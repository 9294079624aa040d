"""Markers end by themselves, and the cameras' places in the room reach tf."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from visualization_msgs.msg import Marker, MarkerArray

from orpose_core.data.skeleton_messages import to_skeletons_3d
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import write_rig
from orpose_core.skeleton import COCO17
from orpose_core.types import Intrinsics, Poses
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Skeleton3DArray
from orpose_ros.skeleton_markers import SkeletonMarkers
from orpose_ros.streams.room_frame import PATIENCE_S

RELIABLE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
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
    assert abs(left.transform.rotation.x) == left.transform.rotation.w == 0.5
    assert graph.said("neither by a calibration nor by tf")


def test_a_camera_that_tf_has_is_left_to_tf(graph: Any) -> None:
    messages = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed here")
    stamped = pytest.importorskip("geometry_msgs.msg").TransformStamped
    theirs = stamped(child_frame_id="left_optical")
    theirs.header.frame_id = "map"
    graph.publisher(messages.TFMessage, "/tf_static", LATCHED).publish(
        messages.TFMessage(transforms=[theirs])
    )
    graph.make(SkeletonMarkers, cameras=["left"], place_cameras=True)
    heard = graph.collect(messages.TFMessage, "/tf_static", LATCHED)
    graph.until(
        lambda: send(graph, "left", "left_optical") and graph.said("tf has left_optical in map"), "it is said"
    )
    end = time.monotonic() + PATIENCE_S + 1
    while time.monotonic() < end:
        send(graph, "left", "left_optical")
    assert [t.header.frame_id for message in heard for t in message.transforms] == ["map"]


def test_cameras_are_placed_only_when_that_is_asked_for(graph: Any) -> None:
    graph.make(SkeletonMarkers, cameras=["left"])
    send(graph, "left", "left_optical")
    assert graph.tester.count_publishers("/tf_static") == 0
