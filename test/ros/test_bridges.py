"""Skeletons in the messages of other packages, over real DDS, where those packages are installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import QoSProfile

from orpose_core.data.skeleton_messages import to_skeletons_2d, to_skeletons_3d
from orpose_core.skeleton import COCO17
from orpose_core.types import Poses
from orpose_ros.bridge_node import BridgeNode
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Skeleton2DArray, Skeleton3DArray
from orpose_ros.parameters.bridge import BridgeParameters

RELIABLE = QoSProfile(depth=50)
S = 1_000_000_000
BEGIN = 1_700_000_000 * S
HW = (48, 64)
REPOSITORY = Path(__file__).parents[2]


def people(count: int = 2) -> Poses:
    """Return people with known places; of the second the left wrist is absent."""
    rng, n = np.random.default_rng(3), len(COCO17)
    xy = rng.uniform((4, 4), (58, 42), (count, n, 2)).astype(np.float32)
    scores = rng.uniform(0.3, 1.0, (count, n)).astype(np.float32)
    xyz = rng.uniform((-1, -1, 2), (1, 1, 4), (count, n, 3)).astype(np.float32)
    if count > 1:
        wrist = COCO17.index("left_wrist")
        xy[1, wrist], scores[1, wrist], xyz[1, wrist] = np.nan, 0, np.nan
    boxes = np.concatenate([np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)], axis=1)
    return Poses(
        COCO17, xy, scores, rng.uniform(0.4, 0.9, count).astype(np.float32), boxes.astype(np.float32),
        xyz_cam_m=xyz, sigma_px=np.where(scores > 0, 1.5, np.nan).astype(np.float32),
        sigma_m=np.where(np.isnan(xyz[..., 0]), np.nan, 0.1).astype(np.float32),
        track_ids=np.arange(7, 7 + count, dtype=np.int64),
    )  # fmt: skip


class Bench:
    """The node with one camera, and publishers of its skeletons."""

    def __init__(self, graph: Any, **settings: Any) -> None:
        self.graph = graph
        self.node = graph.make(BridgeNode, cameras=["ceiling_1"], **settings)
        self.flat = graph.publisher(Skeleton2DArray, "ceiling_1/skeletons_2d", RELIABLE)
        self.space = graph.publisher(Skeleton3DArray, "ceiling_1/skeletons_3d", RELIABLE)
        graph.connected(self.flat)

    def send(self, poses: Poses, stamp_ns: int = BEGIN) -> None:
        common = {"stamp_ns": stamp_ns, "frame_id": "ceiling_1_optical"}
        self.flat.publish(
            to_skeletons_2d(poses, RCLPY_TYPES, image_hw=HW, network_hw=HW, modality="depth", **common)
        )
        self.space.publish(to_skeletons_3d(poses, RCLPY_TYPES, **common))

    def collect(self, kind: type, topic: str) -> list[Any]:
        messages = self.graph.collect(kind, topic, RELIABLE)
        self.graph.until(lambda: self.graph.tester.count_publishers(topic) >= 1, f"{topic} is published")
        self.graph.spin(0.3)
        return messages


@pytest.mark.timeout(600)
def test_vision_msgs(graph: Any) -> None:
    vision = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed here")
    bench, poses = Bench(graph, formats=["vision"]), people()
    graph.connected(bench.space)
    flat = bench.collect(vision.Detection2DArray, "/ceiling_1/detections_2d")
    space = bench.collect(vision.Detection3DArray, "/ceiling_1/detections_3d")
    bench.send(poses)
    graph.until(lambda: flat and space, "detections arrive")
    assert flat[0].header.frame_id == "ceiling_1_optical" and len(flat[0].detections) == 2
    for row, detection in enumerate(flat[0].detections):
        x1, y1, x2, y2 = poses.boxes_px[row]
        box = detection.bbox
        at = box.center.position
        assert np.allclose(
            [at.x - box.size_x / 2, at.y - box.size_y / 2, at.x + box.size_x / 2, at.y + box.size_y / 2],
            [x1, y1, x2, y2], atol=1e-4,
        )  # fmt: skip
        assert detection.id == str(7 + row) and detection.results[0].hypothesis.class_id == "person"
        assert detection.results[0].hypothesis.score == pytest.approx(poses.person_scores[row])
        assert detection.results[0].pose.covariance[0] == -1
    hips = [COCO17.index("left_hip"), COCO17.index("right_hip")]
    for row, detection in enumerate(space[0].detections):
        points = poses.xyz_cam_m[row]
        c, s = detection.bbox.center.position, detection.bbox.size
        low = np.array([c.x, c.y, c.z]) - np.array([s.x, s.y, s.z]) / 2
        assert np.allclose(low, np.nanmin(points, axis=0), atol=1e-5)
        pose = detection.results[0].pose
        p = pose.pose.position
        assert np.allclose([p.x, p.y, p.z], points[hips].mean(axis=0), atol=1e-5)
        assert pose.pose.orientation.w == 1
        assert np.allclose(pose.covariance.reshape(6, 6).diagonal()[:3], 0.01, atol=1e-6)


@pytest.mark.timeout(600)
def test_hri_msgs(graph: Any) -> None:
    hri = pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not installed here")
    bench, poses = Bench(graph, formats=["hri"]), people()
    ids = bench.collect(hri.IdsList, "/humans/bodies/tracked")
    bench.send(poses)
    graph.until(lambda: any(len(m.ids) == 2 for m in ids), "the bodies are listed")
    names = next(m.ids for m in ids if len(m.ids) == 2)
    assert names == ["ceiling_1_7", "ceiling_1_8"]
    skeletons = {n: graph.collect(hri.Skeleton2D, f"/humans/bodies/{n}/skeleton2d", RELIABLE) for n in names}
    regions = {
        n: graph.collect(hri.NormalizedRegionOfInterest2D, f"/humans/bodies/{n}/roi", RELIABLE) for n in names
    }
    stamps = iter(range(1, 1000))

    def heard() -> bool:
        bench.send(poses, BEGIN + next(stamps) * S // 10)
        graph.spin(0.2)
        return all(skeletons.values()) and all(regions.values())

    graph.until(heard, "skeletons and regions of every body arrive", timeout_s=120)
    for row, name in enumerate(names):
        joints = skeletons[name][0].skeleton
        assert len(joints) == 18
        for joint in ("nose", "left_eye", "right_eye", "left_wrist", "right_ankle", "left_ear"):
            point, j = joints[getattr(hri.Skeleton2D, joint.upper())], COCO17.index(joint)
            if poses.scores[row, j] == 0:
                assert (point.x, point.y, point.c) == (0, 0, 0)
            else:
                assert np.allclose([point.x, point.y], (poses.xy_px[row, j] + 0.5) / [64, 48], atol=1e-5)
                assert point.c == pytest.approx(poses.scores[row, j])
        shoulders = [COCO17.index("left_shoulder"), COCO17.index("right_shoulder")]
        neck = (poses.xy_px[row, shoulders].mean(axis=0) + 0.5) / [64, 48]
        point = joints[hri.Skeleton2D.NECK]
        assert np.allclose([point.x, point.y], neck, atol=1e-5)
        region = regions[name][0]
        box = (poses.boxes_px[row] + 0.5) / [64, 48, 64, 48]
        assert np.allclose([region.xmin, region.ymin, region.xmax, region.ymax], box, atol=1e-5)
        assert region.c == pytest.approx(poses.person_scores[row])
    bench.send(poses.select([1]), BEGIN + 1000 * S)
    graph.until(lambda: ids[-1].ids == ["ceiling_1_8"], "who left is not listed")
    topic = "/humans/bodies/ceiling_1_7/roi"
    graph.until(lambda: graph.tester.count_publishers(topic) == 0, "and has no topics")
    managed = {publisher.topic_name for publisher in bench.node._managed_entities}
    assert not any("ceiling_1_7" in name for name in managed)  # or memory grows with everybody who leaves
    graph.until(lambda: ids[-1].ids == [], "a camera that says nothing tracks nobody", timeout_s=60)


@pytest.mark.timeout(600)
def test_foxglove_annotations(graph: Any) -> None:
    foxglove = pytest.importorskip("foxglove_msgs.msg", reason="foxglove_msgs is not installed here")
    bench, poses = Bench(graph, formats=["foxglove"]), people()
    shown = bench.collect(foxglove.ImageAnnotations, "/ceiling_1/annotations")
    bench.send(poses)
    graph.until(lambda: shown, "annotations arrive")
    message = shown[0]
    assert len(message.points) == len(message.texts) == 2
    assert len(message.circles) == int((poses.scores > 0).sum())
    first = message.circles[0]
    assert np.allclose([first.position.x, first.position.y], poses.xy_px[0, 0] + 0.5, atol=1e-5)
    assert first.diameter == pytest.approx(3.0) and first.timestamp.sec == BEGIN // S
    bones = message.points[0]
    assert bones.type == foxglove.PointsAnnotation.LINE_LIST and len(bones.points) == 2 * len(COCO17.edges)
    a, b = COCO17.edges[0]
    ends = np.array([[p.x, p.y] for p in bones.points[:2]])
    assert np.allclose(ends, poses.xy_px[0, [a, b]] + 0.5, atol=1e-5)
    assert message.texts[0].text.startswith("7 ") and 0 <= bones.outline_color.r <= 1


def test_nothing_installed_is_said(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BridgeNode, "_bridge", lambda self, name: None)
    node = graph.make(BridgeNode)
    graph.until(lambda: graph.said("hri_msgs, vision_msgs, foxglove_msgs"), "what would have been needed")
    assert "hri_msgs, vision_msgs, foxglove_msgs" in node.diagnostics.status().message


def test_formats_are_checked() -> None:
    with pytest.raises(ValueError, match="expected some of"):
        replace(BridgeParameters(), formats=("ros1",))


def test_ids_are_unique_and_may_be_names_of_topics() -> None:
    hri = pytest.importorskip("orpose_ros.bridges.hri", reason="hri_msgs is not installed here")
    names = [hri.body_id(camera, 3) for camera in ("", "ceiling_1", "/or/1", "1")]
    assert names == ["camera_3", "ceiling_1_3", "or_1_3", "camera_1_3"]


def test_the_layout_names_topics_that_are_published() -> None:
    layout = json.loads((REPOSITORY / "config" / "foxglove_layout.json").read_text())
    panels, names = layout["configById"], set()

    def walk(node: object) -> None:
        if isinstance(node, str):
            names.add(node)
        else:
            walk(node["first"])
            walk(node["second"])

    walk(layout["layout"])
    assert names == set(panels)
    topics = set(panels["3D!room"]["topics"])
    for camera in ("ceiling_1", "ceiling_2"):
        mode = panels[f"Image!{camera}"]["imageMode"]
        topics |= {mode["imageTopic"], mode["calibrationTopic"], *mode["annotations"]}
    ends = {topic.split("/", 2)[2] for topic in topics}
    assert ends == {"lowres/depth/image_raw", "lowres/camera_info", "annotations", "skeleton_markers"}
