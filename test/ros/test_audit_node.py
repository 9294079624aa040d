"""The audit node beside a running graph: what it writes, and what it never reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from orpose_core.audit.log import AuditLog
from orpose_core.audit.verification import verify
from orpose_core.data import image_messages
from orpose_core.reports.audit_report import audit_report
from orpose_ros.audit_node import AuditNode
from orpose_ros.conversions import Header, depth_message
from orpose_ros.graph.graph_view import GraphView
from orpose_ros.graph.message_sizes import MessageSizes
from orpose_ros.lowres_gateway import LowresGateway
from orpose_ros.parameters.audit import AuditParameters
from orpose_ros.pose_node import PoseNode
from orpose_ros.skeleton_markers import SkeletonMarkers

PATTERN = bytes([0xC3, 0x5A, 0x99, 0x3C, 0xA7, 0x18, 0xE4, 0x6B])
"""Four px of a marked depth image."""

TINY = {
    "model": "untrained:depthpose_64x48@0.0625", "device": "cpu", "flip_test": False, "threads": 1,
    "half_precision": False, "keypoint_threshold": 0.0, "paf_threshold": 0.0, "min_mean_score": 0.0,
    "min_joints": 4, "min_person_score": 0.0, "max_people": 3,
}  # fmt: skip


def records(path: Path, event: str = "", **fields: Any) -> list[dict[str, Any]]:
    """Return the records so far of one kind."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [r for r in found if event in ("", r["event"]) and all(r.get(k) == v for k, v in fields.items())]


def test_the_log_of_a_graph_says_who_ran_what_under_which_limits(graph: Any, tmp_path: Path) -> None:
    path = tmp_path / "or_1.audit"
    audit = graph.make(AuditNode, file=str(path), period_s=0.2)
    graph.make(LowresGateway)
    pose = graph.make(PoseNode, **TINY)
    graph.make(SkeletonMarkers)
    depth = graph.publisher(Image, "depth/image_raw", QoSProfile(depth=1))
    out = graph.collect(Image, "lowres/depth/image_raw")
    nodes = {"/lowres_gateway", "/pose_node", "/skeleton_markers", "/audit_node"}
    graph.until(lambda: {r["node"] for r in records(path, "node_started")} >= nodes, "all nodes are in it")
    graph.until(lambda: {r["node"] for r in records(path, "parameters")} >= nodes, "their parameters, too")
    values = records(path, "parameters", node="/pose_node")[0]["values"]
    assert values["strict"] is True and values["max_pixels"] == 4800
    model = graph.until(lambda: records(path, "model"), "the model is in it")[0]
    assert (model["name"], model["trained"], model["max_pixels"]) == (TINY["model"], False, 4800)

    marked = np.frombuffer(PATTERN * (480 * 640 * 2 // len(PATTERN)), np.uint16).reshape(480, 640)
    message = depth_message(image_messages.metres(marked), Header(frame_id="ceiling"), "16UC1")
    graph.until(lambda: depth.publish(message) or graph.spin(0.1) or len(out) >= 3, "images pass")
    pose.set_parameters([Parameter("smooth", value=True)])
    changed = graph.until(lambda: records(path, "parameter_changed"), "the change is in it")[0]
    assert (changed["node"], changed["name"], changed["value"]) == ("/pose_node", "smooth", True)

    full = graph.publisher(Image, "/lowres/depth/image_raw", QoSProfile(depth=1))
    graph.connected(full)
    before = pose.diagnostics.counts()["refused"]
    graph.until(
        lambda: full.publish(message) or graph.spin(0.1) or pose.diagnostics.counts()["refused"] > before,
        "a full-size image is refused",
    )
    graph.until(lambda: records(path, "refused", node="/pose_node"), "the refusal is in it", timeout_s=90)
    graph.until(
        lambda: (
            depth.publish(message)
            or graph.spin(0.1)
            or records(path, "largest_message", topic="/skeletons_2d")
        ),
        "sizes are in it",
    )  # it may have subscribed after the images before
    topic = graph.until(
        lambda: [r for r in records(path, "topic", topic="/depth/image_raw") if r["publishers"]], "it is seen"
    )[-1]
    assert [end.rpartition("@")[0] for end in topic["subscribers"]] == ["/lowres_gateway"]
    assert not records(path, "largest_message", topic="/depth/image_raw"), "full-size images are not read"

    audit.trigger_deactivate()
    audit.trigger_cleanup()
    verdict = verify(path)
    assert not verdict.faults and verdict.records[-1]["event"] == "log_closed"
    content = path.read_bytes()
    assert PATTERN not in content and PATTERN.hex().encode() not in content and len(content) < 200_000
    page = audit_report(path, verdict)
    assert "Nothing: on every topic" in page and "**not trained**" in page
    assert "`/lowres/depth/image_raw` | sensor_msgs/msg/Image | " in page


def test_the_head_is_in_the_diagnostics_and_a_node_that_goes_is_recorded(graph: Any, tmp_path: Path) -> None:
    path = tmp_path / "log"
    audit = graph.make(AuditNode, file=str(path), period_s=0.2)
    gateway = graph.make(LowresGateway)
    graph.until(lambda: records(path, "parameters", node="/lowres_gateway"), "the gateway is in it")
    values = {pair.key: pair.value for pair in audit.diagnostics.status().values}
    assert values["head"] == str(audit.trail.log.head) == (tmp_path / "log.head").read_text().strip()
    gateway.clean_up()
    graph.nodes.remove(gateway)
    graph.executor.remove_node(gateway)
    gateway.destroy_node()
    del gateway
    graph.until(lambda: records(path, "node_gone", node="/lowres_gateway"), "its end is in it")


def test_a_log_that_cannot_be_written_is_refused(graph: Any, tmp_path: Path) -> None:
    for file, words in (
        ("", "got none"),
        (str(tmp_path), "directory"),
        (str(tmp_path / "busy"), "another process"),
    ):
        held = AuditLog(tmp_path / "busy") if "busy" in file else None
        node = AuditNode(parameter_overrides=[Parameter("file", value=file)])
        graph.add(node)
        assert not node.start()
        graph.until(lambda words=words: graph.said(words), f"it says {words}")
        if held is not None:
            held.close()


def test_a_topic_without_its_publisher_is_left(graph: Any) -> None:
    """A bridge has topics for each body; nobody may listen to those of bodies that are long gone."""
    sizes: list[tuple[str, int]] = []
    other = graph.add(Node("bridge_node"))
    follower = MessageSizes(graph.tester, "lowres", lambda topic, size: sizes.append((topic, size)))
    view = GraphView(graph.tester)
    topic = "/humans/bodies/left_1/roi"

    def followed() -> int:
        follower.follow(view.topics(), {"/bridge_node"})
        return graph.tester.count_subscribers(topic)

    for _ in range(2):
        publisher = other.create_publisher(Header, topic, 10)
        graph.until(followed, "it is followed")
        graph.connected(publisher)
        publisher.publish(Header(frame_id="left"))
        graph.until(lambda: sizes, "its size is measured")
        other.destroy_publisher(publisher)
        graph.until(lambda: not followed(), "it is left")
        assert sizes.pop()[0] == topic and not sizes
    follower.close()


def test_images_outside_the_small_ones_are_never_subscribed_to(graph: Any) -> None:
    driver = graph.add(Node("pose_node"))
    small, large = ["/lowres/depth/image_raw", "/left/lowres/color/image_raw", "/skeletons"], []
    for topic in small[:2]:
        driver.create_publisher(Image, topic, 1)
    driver.create_publisher(Header, small[2], 1)
    for topic, kind in (
        ("/depth/image_raw", Image),
        ("/points", PointCloud2),
        ("/lowres_not/c", CompressedImage),
    ):
        driver.create_publisher(kind, topic, 1)
        large.append(topic)
    follower = MessageSizes(graph.tester, "lowres", lambda topic, size: None)
    view = GraphView(graph.tester)
    graph.until(lambda: {*small, *large} <= set(view.topics()), "all topics are seen")
    follower.follow(view.topics(), {"/pose_node"})
    graph.until(
        lambda: all(graph.tester.count_subscribers(topic) for topic in small), "the small are followed"
    )
    assert not any(graph.tester.count_subscribers(topic) for topic in large)
    follower.close()


@pytest.mark.parametrize("name", ["", "/", "lowres/depth"])
def test_a_name_that_would_let_full_size_images_in_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="parameter images"):
        AuditParameters(images=name)
