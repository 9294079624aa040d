"""Several operating rooms on one ROS graph, each with the same cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter

from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import write_rig
from orpose_core.types import Intrinsics
from orpose_ros.graph.deployment import NodeSpec, deployment
from orpose_ros.launching.rooms import room_below

CAMERAS = ("ceiling_1", "ceiling_2")
OF_ALL = {"/diagnostics", "/parameter_events", "/rosout"}
SMALL = {
    "pose_node": {"model": "untrained:depthpose_64x48@0.0625", "backend": "torch", "threads": 1},
    "skeleton_markers": {"place_cameras": True},
    "view_node": {"port": 0},
}


def rig_file(folder: Path) -> Path:
    rig = []
    for k, name in enumerate(CAMERAS):
        pose = np.eye(4)
        pose[:3, 3] = float(k), 0.0, 2.5
        rig.append(RoomCamera(name, Intrinsics(50.0, 50.0, 32.0, 24.0, 64, 48), pose, f"{name}_optical"))
    write_rig(folder / "rig.yaml", rig)
    return folder / "rig.yaml"


def started(graph: Any, spec: NodeSpec) -> set[str]:
    """Start a node in this process and return the topics that it publishes and subscribes to."""
    overrides = [
        Parameter(name, value=list(value) if isinstance(value, (list, tuple)) else value)
        for name, value in spec.parameters.items()
    ]
    made: Any = spec.node_class()
    node = graph.add(made(parameter_overrides=overrides, cli_args=["--ros-args", *spec.names]))
    assert node.start() and node.get_fully_qualified_name() == spec.name
    own = node.get_name(), node.get_namespace()
    graph.until(lambda: own in graph.tester.get_node_names_and_namespaces(), f"{spec.name} is known")
    published = graph.tester.get_publisher_names_and_types_by_node(*own)
    subscribed = graph.tester.get_subscriber_names_and_types_by_node(*own)
    return {topic for topic, _ in [*published, *subscribed]}


@pytest.mark.timeout(400)
def test_two_rooms_with_the_same_cameras_share_no_topic(graph: Any, tmp_path: Path) -> None:
    pytest.importorskip("viser", reason="viser is not installed here")
    rig, used = rig_file(tmp_path), {}
    for namespace in ("or_1", "or_2"):
        specs = deployment(CAMERAS, rig, tmp_path / "audit", SMALL, room_below("", namespace))
        # The audit node looks at every node of the graph; one is for all rooms.
        own = [spec for spec in specs if spec.module != "audit_node"]
        assert all(spec.name.startswith(f"/{namespace}/") for spec in own)
        used[namespace] = set().union(*(started(graph, spec) for spec in own))
    assert used["or_1"] & used["or_2"] <= OF_ALL
    for namespace, topics in used.items():
        assert all(name.startswith(f"/{namespace}/") for name in topics - OF_ALL)
        for name in ("room/skeletons_3d", "ceiling_2/skeletons_2d", "ceiling_1/lowres/depth/image_raw"):
            assert f"/{namespace}/{name}" in topics
