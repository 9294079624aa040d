"""The example of a node that uses the skeletons, over real DDS."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
from std_msgs.msg import Float32

from orpose_core import COCO17, Poses
from orpose_core.data.skeleton_messages import to_skeletons_3d
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Skeleton3DArray

EXAMPLE = Path(__file__).parents[2] / "examples" / "proximity_node.py"


def people_at(*distances_m: float) -> Poses:
    """Return people in front of the camera of whom one wrist alone is known in space."""
    m, n = len(distances_m), len(COCO17)
    xyz = np.full((m, n, 3), np.nan, np.float32)
    for person, distance_m in enumerate(distances_m):
        xyz[person, COCO17.index("left_wrist")] = 0.0, 0.0, distance_m
    return Poses(
        COCO17,
        np.zeros((m, n, 2), np.float32),
        np.ones((m, n), np.float32),
        np.ones(m, np.float32),
        np.zeros((m, 4), np.float32),
        xyz_cam_m=xyz,
    )


def test_the_nearest_person_is_reported(graph: Any) -> None:
    spec = importlib.util.spec_from_file_location("proximity_node", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    graph.add(module.ProximityNode())
    publisher = graph.publisher(Skeleton3DArray, "skeletons_3d", 10)
    heard: list[Float32] = graph.collect(Float32, "nearest_person_m", 10)
    graph.connected(publisher)
    graph.until(lambda: graph.tester.count_publishers("nearest_person_m") == 1, "its publisher is seen")
    graph.spin(0.5)
    for poses, nearest_m in ((people_at(2.5, 1.25), 1.25), (people_at(), math.nan), (people_at(3.0), 3.0)):
        before = len(heard)
        publisher.publish(to_skeletons_3d(poses, RCLPY_TYPES, stamp_ns=1, frame_id="ceiling", relative=False))
        graph.until(lambda before=before: len(heard) > before, "the node answers")
        np.testing.assert_equal(heard[-1].data, nearest_m)
    assert graph.said("somebody is 1.25 m away")
