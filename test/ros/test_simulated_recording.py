"""A recording of the synthetic room through the graph: skeletons of every frame, the truth as markers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visualization_msgs.msg import Marker, MarkerArray

from orpose_core.data.skeleton_messages import stamp_ns_of
from orpose_core.geometry import project
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.types import Visibility
from orpose_ros.bag_replay import BagReplay
from orpose_ros.lowres_gateway import LowresGateway
from orpose_ros.skeleton_markers import JOINTS, SkeletonMarkers

CONFIG = StreamConfig(
    domain="or", size_hw=(240, 320), modality="rgbd", seed=3, frames_per_sequence=5, rate_hz=4.0
)
FRAMES = 5


@pytest.mark.timeout(900)  # the first run compiles the renderer
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_skeletons_of_every_frame_and_markers_on_the_people(
    pose_bench: Callable[..., Any], graph: Any, tmp_path: Path, storage: str
) -> None:
    bag = write_bag(CONFIG, FRAMES, tmp_path / "room", storage)
    truth = {f.frame.stamp_ns: f for f in (simulate_frame(CONFIG, i) for i in range(FRAMES))}
    camera = f"/{next(iter(truth.values())).camera}"
    depth, info = f"{camera}/depth/image_raw", f"{camera}/camera_info"
    solid = f"{camera}/ground_truth/skeletons_3d"
    reliable: dict[str, Any] = {}
    for topic in (depth, info):
        reliable |= {f"qos_overrides.{topic}.subscription.reliability": "reliable"}
        reliable |= {f"qos_overrides.{topic}.subscription.depth": 100}
    graph.make(LowresGateway, remap=[f"/depth/image_raw:={depth}", f"/camera_info:={info}"], **reliable)
    remap = [f"/skeletons_3d:={solid}", "/skeleton_info:=/ground_truth/skeleton_info"]
    graph.make(SkeletonMarkers, remap=remap)
    bench = pose_bench()
    markers = graph.collect(MarkerArray, "skeleton_markers", 100)
    graph.make(BagReplay, start=False, bag=str(bag), rate=0.15).start()  # none is dropped for a newer one
    flat = bench.flat[""]
    # After the last frame the people are stale and removed again, with one more message.
    graph.until(
        lambda: len(flat) == FRAMES and len(markers) >= FRAMES, "skeletons and markers of all", timeout_s=300
    )
    assert [stamp_ns_of(message) for message in flat] == sorted(truth)
    people = 0
    for array, stamp_ns in zip(markers[:FRAMES], sorted(truth), strict=True):
        drawn = {
            m.id: np.array([(p.x, p.y, p.z) for p in m.points])
            for m in array.markers
            if m.ns == JOINTS and m.action == Marker.ADD
        }
        people += _check_on_people(drawn, truth[stamp_ns])
    assert people > FRAMES, "the room should not be empty"


def _check_on_people(drawn: dict[int, np.ndarray], simulated: SimulatedFrame) -> int:
    """Compare the joints drawn with the people of the frame and its depth; return how many there are."""
    poses, frame = simulated.poses, simulated.frame
    assert poses.xyz_cam_m is not None and poses.track_ids is not None and poses.visibility is not None
    assert frame.intrinsics is not None and simulated.true_depth_m is not None
    assert set(drawn) == set(poses.track_ids.tolist())
    for person, track_id in enumerate(poses.track_ids.tolist()):
        xyz_m = poses.xyz_cam_m[person]
        known = np.isfinite(xyz_m).all(axis=1)
        np.testing.assert_allclose(drawn[track_id], xyz_m[known], atol=1e-5)
        visible = poses.visibility[person] == Visibility.VISIBLE
        seen_m = xyz_m[visible]
        column, row = np.round(project(seen_m, frame.intrinsics)).astype(int).T
        surface_m = simulated.true_depth_m[row, column]
        # A visible joint lies inside the body: behind the surface, but not by more than a body's thickness.
        assert np.all(surface_m <= seen_m[:, 2] + 0.05) and np.all(surface_m > seen_m[:, 2] - 0.45)
    return len(poses)
