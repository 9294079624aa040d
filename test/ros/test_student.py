"""The student in the graph: color in, people in 2D and, with or without depth, in 3D."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from orpose_core.data import image_messages
from orpose_core.data.skeleton_messages import from_skeletons
from orpose_core.geometry import project
from orpose_core.image_ops import low_resolution_frame
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import BODY24
from orpose_core.types import Poses, RgbdFrame, Source3D
from orpose_ros import conversions
from orpose_ros.msg import Skeleton3DArray

MODEL = "untrained:student_small"
TORSO = [BODY24.index(j) for j in ("left_hip", "right_hip", "left_shoulder", "right_shoulder")]
HIPS = TORSO[:2]
RELATIVE = "skeletons_3d_root_relative"
MakeBench = Callable[..., Any]


@pytest.fixture(scope="module")
def rgbd() -> RgbdFrame:
    """Color and depth of the synthetic room as the gateway sends them, 53x40."""
    frame = simulate_frame(StreamConfig("or", (240, 320), "rgbd", seed=3), 0).frame
    return low_resolution_frame(frame, (40, 53))


def message(fields: dict[str, Any], stamp_ns: int = 5 * 10**9) -> Image:
    data = array.array("B", fields.pop("data").tobytes())
    stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return Image(header=Header(stamp=stamp, frame_id="or_camera"), data=data, **fields)


def ids(skeletons: Any) -> list[int]:
    return [person.track_id for person in skeletons.skeletons]


def lifted_of(poses: Poses) -> np.ndarray:
    assert poses.xyz_root_m is not None
    return np.isfinite(poses.xyz_root_m).all(axis=-1)


def test_without_depth_people_are_root_relative(pose_bench: MakeBench, graph: Any, rgbd: RgbdFrame) -> None:
    bench = pose_bench(model=MODEL)
    relative = graph.collect(Skeleton3DArray, RELATIVE, QoSProfile(depth=100))
    graph.until(lambda: graph.tester.count_publishers(RELATIVE), "the relative topic is there")
    graph.spin(0.1)
    assert rgbd.rgb is not None
    flat, space = bench.send(message(image_messages.encode_color(rgbd.rgb)))
    graph.until(lambda: relative, "relative skeletons")
    assert space.kind == relative[0].kind == space.KIND_ROOT_RELATIVE
    assert flat.header == space.header == relative[0].header and flat.skeletons
    assert ids(flat) == ids(space) == ids(relative[0]) == list(range(1, len(flat.skeletons) + 1))
    assert flat.skeleton_model == space.skeleton_model == "body24"
    poses = from_skeletons(flat, space)
    assert poses.xyz_cam_m is None and lifted_of(poses)[:, TORSO].all()
    np.testing.assert_array_equal(from_skeletons(flat, relative[0]).xyz_root_m, poses.xyz_root_m)


def test_with_depth_people_stand_where_depth_says(pose_bench: MakeBench, graph: Any, rgbd: RgbdFrame) -> None:
    """The root is on the ray of the hips, as far as depth at the torso and the lifted offsets say."""
    bench = pose_bench(model=MODEL, depth_with_color=True)
    relative = graph.collect(Skeleton3DArray, RELATIVE, QoSProfile(depth=100))
    graph.until(lambda: graph.tester.count_publishers(RELATIVE), "the relative topic is there")
    assert rgbd.rgb is not None and rgbd.depth_m is not None and rgbd.intrinsics is not None
    header = Header(stamp=Time(sec=5), frame_id="or_camera")
    bench.tell_camera(conversions.camera_info_message(rgbd.intrinsics, header))
    bench.publish(message(image_messages.encode_depth(rgbd.depth_m, "16UC1")), stream="depth")
    flat, space = bench.send(message(image_messages.encode_color(rgbd.rgb)), stream="color")
    graph.until(lambda: relative, "relative skeletons")
    assert space.kind == space.KIND_METRIC and relative[0].kind == space.KIND_ROOT_RELATIVE
    assert ids(flat) == ids(space) == ids(relative[0]) and flat.skeletons
    assert flat.header == space.header == relative[0].header
    metric, lifted = from_skeletons(flat, space), from_skeletons(flat, relative[0])
    assert metric.xyz_cam_m is not None and lifted.xyz_root_m is not None
    placed = np.flatnonzero(np.isfinite(metric.xyz_cam_m[:, TORSO]).all(axis=(1, 2)))
    assert len(placed), "depth is known almost everywhere in this room"
    for m in placed:
        root = metric.xyz_cam_m[m, TORSO] - lifted.xyz_root_m[m, TORSO]
        np.testing.assert_allclose(root, root[:1].repeat(4, axis=0), atol=1e-4)
        np.testing.assert_allclose(
            project(root[0].astype(np.float64), rgbd.intrinsics), flat_hips(metric, m), atol=0.05
        )
        low, high = depth_range(rgbd.depth_m, metric.xy_px[m, TORSO], lifted.xyz_root_m[m, TORSO, 2])
        assert (
            low - 0.05 <= root[0, 2] <= high + 0.3
        )  # joints lie up to a body's thickness behind what is seen
        known = lifted_of(lifted)[m]
        assert metric.source_3d is not None and lifted.source_3d is not None
        assert (metric.source_3d[m, known] == Source3D.FUSED).all()
        assert (lifted.source_3d[m, known] == Source3D.LIFTED).all()
    assert lifted_of(lifted)[:, TORSO].all()  # also of people whom depth does not show


def flat_hips(poses: Poses, person: int) -> np.ndarray:
    return poses.xy_px[person, HIPS].mean(axis=0)


def depth_range(depth_m: np.ndarray, xy_px: np.ndarray, offset_m: np.ndarray) -> tuple[float, float]:
    """Nearest and farthest root that depth within 3 px of the torso's joints allows."""
    near, far = [], []
    for (x, y), z in zip(np.rint(xy_px).astype(int), offset_m, strict=True):
        patch = depth_m[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4]
        if np.isfinite(patch).any():
            near.append(np.nanmin(patch) - z)
            far.append(np.nanmax(patch) - z)
    return min(near), max(far)
