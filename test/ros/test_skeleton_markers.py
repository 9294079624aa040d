"""Skeleton messages -> RViz markers, over real DDS: nobody stays behind, and the unknown has no place."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from visualization_msgs.msg import Marker, MarkerArray

from orpose_core.data.skeleton_messages import to_skeleton_info, to_skeletons_3d
from orpose_core.skeleton import COCO17, Skeleton
from orpose_core.types import Poses
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Skeleton3DArray, SkeletonInfo
from orpose_ros.skeleton_markers import SkeletonMarkers, track_marker_color

RELIABLE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SECOND_NS = 1_000_000_000


def standing(ids: list[int], relative: bool = False, skeleton: Skeleton = COCO17) -> Poses:
    """People side by side, 3 m away, with all joints known."""
    m, n = len(ids), len(skeleton)
    rng = np.random.default_rng(5)
    shape = rng.uniform(-0.8, 0.8, (n, 3)).astype(np.float32)
    places = np.array([[i - 1.0, 0.0, 3.0] for i in range(m)], np.float32).reshape(m, 1, 3)
    ones = np.ones((m, n), np.float32)
    return Poses(
        skeleton,
        rng.uniform(0, 40, (m, n, 2)).astype(np.float32),
        ones,
        np.ones(m, np.float32),
        np.zeros((m, 4), np.float32),
        xyz_cam_m=None if relative else shape + places,
        xyz_root_m=np.broadcast_to(shape, (m, n, 3)).copy(),
        track_ids=np.array(ids, np.int64),
    )


class Bench:
    """The node, a publisher to it and what it sends."""

    def __init__(self, graph: Any, **settings: Any) -> None:
        self.graph = graph
        self.node = graph.make(SkeletonMarkers, **settings)
        self.publisher = graph.publisher(Skeleton3DArray, "skeletons_3d", RELIABLE)
        self.arrays: list[MarkerArray] = graph.collect(MarkerArray, "skeleton_markers", RELIABLE)
        graph.connected(self.publisher)
        graph.until(
            lambda: graph.tester.count_publishers("skeleton_markers") == 1, "the markers' publisher is seen"
        )
        graph.spin(0.2)

    def send(self, poses: Poses, stamp_ns: int = SECOND_NS, frame_id: str = "ceiling_optical") -> MarkerArray:
        """Publish, and return the answer."""
        before = len(self.arrays)
        self.publisher.publish(to_skeletons_3d(poses, RCLPY_TYPES, stamp_ns=stamp_ns, frame_id=frame_id))
        self.graph.until(lambda: len(self.arrays) > before, "markers arrive")
        return self.arrays[-1]


def of(array: MarkerArray, action: int, ns: str | None = None) -> list[Marker]:
    return [m for m in array.markers if m.action == action and ns in (None, m.ns)]


def test_joints_bones_and_labels_of_everyone(graph: Any) -> None:
    bench = Bench(graph)
    array = bench.send(standing([4, 9]))
    for ns in ("joints", "bones", "label"):
        assert sorted(m.id for m in of(array, Marker.ADD, ns)) == [4, 9]
    joints, bones = of(array, Marker.ADD, "joints")[0], of(array, Marker.ADD, "bones")[0]
    assert len(joints.points) == len(COCO17)
    assert len(bones.points) == 2 * len(COCO17.edges)
    assert joints.header.frame_id == "ceiling_optical" and joints.header.stamp.sec == 1
    first = standing([4, 9]).xyz_cam_m[0, 0]
    np.testing.assert_allclose([joints.points[0].x, joints.points[0].y, joints.points[0].z], first, atol=1e-6)
    assert {m.text for m in of(array, Marker.ADD, "label")} == {"4", "9"}
    colours = {m.id: (m.color.r, m.color.g, m.color.b) for m in of(array, Marker.ADD, "joints")}
    assert colours[4] != colours[9]
    again = bench.send(standing([9]), 2 * SECOND_NS)
    marker = of(again, Marker.ADD, "joints")[0]
    assert (marker.color.r, marker.color.g, marker.color.b) == colours[9]


def test_whoever_leaves_is_deleted_and_an_empty_frame_is_published(graph: Any) -> None:
    bench = Bench(graph)
    bench.send(standing([1, 2]))
    array = bench.send(standing([2]), 2 * SECOND_NS)
    assert sorted((m.ns, m.id) for m in of(array, Marker.DELETE)) == [
        ("bones", 1),
        ("joints", 1),
        ("label", 1),
    ]
    array = bench.send(Poses.nobody(COCO17), 3 * SECOND_NS)
    assert not of(array, Marker.ADD)
    assert {m.id for m in of(array, Marker.DELETE)} == {2}
    assert bench.send(Poses.nobody(COCO17), 4 * SECOND_NS).markers == []


def test_unknown_joints_are_not_drawn_and_no_nan_leaves(graph: Any) -> None:
    bench = Bench(graph)
    poses = standing([1, 2])
    assert poses.xyz_cam_m is not None
    poses.xyz_cam_m[0, 5:] = np.nan
    poses.xyz_cam_m[1] = np.nan
    array = bench.send(poses)
    assert {m.id for m in of(array, Marker.ADD)} == {1}  # nothing is known of 2
    for marker in array.markers:
        assert all(np.isfinite([p.x, p.y, p.z]).all() for p in marker.points)
    assert len(of(array, Marker.ADD, "joints")[0].points) == 5


def test_time_jumping_back_or_another_frame_clears_the_display(graph: Any) -> None:
    bench = Bench(graph)
    bench.send(standing([1]), 5 * SECOND_NS)
    array = bench.send(standing([2]), 1 * SECOND_NS)
    assert array.markers[0].action == Marker.DELETEALL
    assert not of(array, Marker.DELETE)
    array = bench.send(standing([2]), 2 * SECOND_NS, frame_id="another")
    assert array.markers[0].action == Marker.DELETEALL


def test_when_the_skeletons_stop_everyone_is_removed(graph: Any) -> None:
    bench = Bench(graph, stale_s=0.3)
    bench.send(standing([1]))
    before = len(bench.arrays)
    graph.until(lambda: len(bench.arrays) > before, "the stale markers are removed", timeout_s=60)
    assert [m.action for m in bench.arrays[-1].markers] == [Marker.DELETEALL]


def test_relative_skeletons_stand_in_a_row_and_keep_their_place(graph: Any) -> None:
    bench = Bench(graph)
    first = bench.send(standing([3, 7, 8], relative=True))
    centres = {
        m.id: np.mean([[p.x, p.y, p.z] for p in m.points], axis=0) for m in of(first, Marker.ADD, "joints")
    }
    gaps = [np.linalg.norm(centres[a] - centres[b]) for a, b in ((3, 7), (7, 8), (3, 8))]
    assert min(gaps) > 1.0
    assert all(centre[2] > 1.0 for centre in centres.values())  # before the camera
    second = bench.send(standing([7, 8], relative=True), 2 * SECOND_NS)
    for marker in of(second, Marker.ADD, "joints"):
        centre = np.mean([[p.x, p.y, p.z] for p in marker.points], axis=0)
        np.testing.assert_allclose(centre, centres[marker.id], atol=1e-5)


def test_relative_skeletons_can_be_refused_with_a_sentence(graph: Any) -> None:
    bench = Bench(graph, root_relative="refuse")
    message = to_skeletons_3d(standing([1], relative=True), RCLPY_TYPES, stamp_ns=1, frame_id="c")
    bench.publisher.publish(message)
    graph.until(lambda: graph.said("relative to the pelvis have no place"), "the refusal is named")
    assert bench.arrays == []
    bench.send(standing([1]))  # the node lives


def test_a_skeleton_it_does_not_know_is_learnt_from_the_latched_info(graph: Any) -> None:
    bench = Bench(graph)
    foreign = Skeleton("stick", ("top", "bottom"), ((0, 1),), (0.1, 0.1))
    poses = standing([1], skeleton=foreign)
    bench.publisher.publish(to_skeletons_3d(poses, RCLPY_TYPES, stamp_ns=1, frame_id="c"))
    graph.until(lambda: graph.said("stick"), "the unknown skeleton is named")
    graph.publisher(SkeletonInfo, "skeleton_info", LATCHED).publish(to_skeleton_info(foreign, RCLPY_TYPES))
    graph.until(lambda: "stick" in bench.node._skeletons, "the info arrives")
    array = bench.send(poses, 2 * SECOND_NS)
    assert len(of(array, Marker.ADD, "bones")[0].points) == 2


def test_bad_messages_do_not_end_the_node(graph: Any) -> None:
    bench = Bench(graph)
    message = to_skeletons_3d(standing([1]), RCLPY_TYPES, stamp_ns=1, frame_id="c")
    message.skeletons[0].keypoints = message.skeletons[0].keypoints[:3]
    bench.publisher.publish(message)
    graph.until(lambda: graph.said("expected 17 keypoints of coco17, got 3"), "the refusal is named")
    bench.send(standing([1]))


def test_several_cameras_have_markers_of_their_own(graph: Any) -> None:
    graph.make(SkeletonMarkers, cameras=["left", "right"])
    arrays = {c: graph.collect(MarkerArray, f"{c}/skeleton_markers", RELIABLE) for c in ("left", "right")}
    publishers = {c: graph.publisher(Skeleton3DArray, f"{c}/skeletons_3d", RELIABLE) for c in arrays}
    graph.connected(*publishers.values())
    graph.spin(0.3)
    publishers["left"].publish(to_skeletons_3d(standing([1]), RCLPY_TYPES, stamp_ns=1, frame_id="l"))
    graph.until(lambda: arrays["left"], "the left camera's markers")
    assert arrays["right"] == []


def test_deactivated_it_removes_everyone_and_draws_no_more(graph: Any) -> None:
    bench = Bench(graph)
    bench.send(standing([1]))
    bench.node.trigger_deactivate()
    graph.until(lambda: bench.arrays[-1].markers[0].action == Marker.DELETEALL, "everyone is removed")
    count = len(bench.arrays)
    bench.publisher.publish(to_skeletons_3d(standing([1]), RCLPY_TYPES, stamp_ns=5, frame_id="c"))
    graph.spin(0.3)
    assert len(bench.arrays) == count
    bench.node.trigger_activate()
    bench.send(standing([1]), 2 * SECOND_NS)


def test_stopped_by_a_signal_it_removes_everyone(graph: Any) -> None:
    bench = Bench(graph)
    bench.send(standing([1]))
    bench.node.stop()
    graph.until(lambda: bench.arrays[-1].markers[0].action == Marker.DELETEALL, "everyone is removed")
    bench.node.stop()  # twice is harmless


@pytest.mark.parametrize(
    "wrong", [{"joint_diameter_m": -1.0}, {"root_relative": "nowhere"}, {"cameras": ["a", "a"]}]
)
def test_wrong_parameters_are_refused_by_name(graph: Any, wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        graph.make(SkeletonMarkers, start=False, **wrong)


def test_colours_of_neighbouring_ids_differ() -> None:
    colours = [np.array([c.r, c.g, c.b]) for c in map(track_marker_color, range(20))]
    assert min(np.abs(a - b).max() for a, b in itertools.pairwise(colours)) > 0.3


@pytest.mark.parametrize(("frame_id", "axis", "sign"), [("ceiling_optical", "y", -1), ("room", "z", 1)])
def test_the_label_is_above_the_head_in_any_frame(graph: Any, frame_id: str, axis: str, sign: int) -> None:
    array = Bench(graph).send(standing([7]), frame_id=frame_id)
    label, joints = (of(array, Marker.ADD, ns)[0] for ns in ("label", "joints"))
    highest = max(sign * getattr(point, axis) for point in joints.points)
    assert sign * getattr(label.pose.position, axis) > highest
