"""The node graph over real recordings: skeletons of every processed frame, with its stamp and frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from visualization_msgs.msg import MarkerArray

from orpose_core.data import image_messages
from orpose_core.data.skeleton_messages import from_skeletons, rosbags_types, stamp_ns_of
from orpose_core.skeleton import BODY24
from orpose_ros.bag_replay import BagReplay
from orpose_ros.lowres_gateway import LowresGateway
from orpose_ros.msg import Skeleton3DArray
from orpose_ros.skeleton_markers import SkeletonMarkers

STEP_NS = 33_333_333
BEGIN_NS = 1_600_000_000_000_000_000
MakeBench = Callable[..., Any]


def stamps_in(bag: Path, topic: str) -> dict[int, str]:
    """Stamp and frame_id of every image of a topic."""
    types = get_typestore(Stores.ROS2_JAZZY)
    with Reader(bag) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        headers = [
            types.deserialize_cdr(data, c.msgtype).header
            for c, _, data in reader.messages(connections=connections)
        ]
    return {h.stamp.sec * 10**9 + h.stamp.nanosec: h.frame_id for h in headers}


@pytest.mark.parametrize("name", ["rosbag2_mcap_hero", "rosbag2_sqlite3_hero"])
def test_a_robots_rgbd_recording(pose_bench: MakeBench, graph: Any, realdata: Path, name: str) -> None:
    bag, camera = realdata / "tue_rgbd" / name, "/hero/head_rgbd_sensor"
    depth, info = f"{camera}/depth_registered/image", f"{camera}/rgb/camera_info"
    source = stamps_in(bag, depth)
    assert source
    reliable: dict[str, Any] = {}
    for topic in (depth, info):
        reliable |= {f"qos_overrides.{topic}.subscription.reliability": "reliable"}
        reliable |= {f"qos_overrides.{topic}.subscription.depth": 100}
    graph.make(LowresGateway, remap=[f"/depth/image_raw:={depth}", f"/camera_info:={info}"], **reliable)
    graph.make(SkeletonMarkers)
    bench = pose_bench()
    markers = graph.collect(MarkerArray, "skeleton_markers", 100)
    replay = graph.make(BagReplay, start=False, bag=str(bag), rate=2.0)
    replay.start()
    flat, space = bench.flat[""], bench.space[""]
    graph.until(lambda: len(flat) == len(space) == len(source), "skeletons of every frame", timeout_s=60)
    assert {stamp_ns_of(m): m.header.frame_id for m in flat} == source
    assert {stamp_ns_of(m): m.header.frame_id for m in space} == source
    graph.until(lambda: len(markers) == len(source), "markers of every frame")
    poses = from_skeletons(flat[-1], space[-1])
    assert poses.track_ids is not None and len(poses)
    if len(source) > 1:  # camera_info follows the first image of the gateway
        assert poses.xyz_cam_m is not None and np.isfinite(poses.xyz_cam_m).any()
    assert bench.node.diagnostics.counts() == {"frames": len(source), "dropped": 0, "refused": 0}


@pytest.fixture(scope="module")
def or_color_bag(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Makes the bag of the 480 real OR frames, 30 Hz, as a gateway would publish them."""

    def make(folder: Path) -> Path:
        files = sorted(folder.glob("*.png"))
        assert len(files) == 480
        bag = tmp_path_factory.mktemp("or_color") / "bag"
        typestore = get_typestore(Stores.ROS2_JAZZY)
        types = rosbags_types(typestore)
        kind = "sensor_msgs/msg/Image"
        with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connection = writer.add_connection("/lowres/color/image_raw", kind, typestore=typestore)
            for i, file in enumerate(files):
                rgb = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
                stamp_ns = BEGIN_NS + i * STEP_NS
                header = types.header(stamp_ns, "or_camera_optical")
                message = types.lookup(kind)(header=header, **image_messages.encode_color(rgb))
                writer.write(connection, stamp_ns, typestore.serialize_cdr(message, kind))
        return bag

    return make


@pytest.mark.parametrize("model", ["untrained:depthpose_color_53x40@0.0625", "untrained:student_small"])
def test_480_real_or_frames(
    pose_bench: MakeBench, graph: Any, realdata: Path, or_color_bag: Callable[[Path], Path], model: str
) -> None:
    bag = or_color_bag(realdata / "or_color_53x40")
    topic = "/lowres/color/image_raw"
    reliable = {
        f"qos_overrides.{topic}.subscription.reliability": "reliable",
        f"qos_overrides.{topic}.subscription.depth": 500,
    }
    bench = pose_bench(model=model, max_people=1, start=False, **reliable)
    relative = graph.collect(Skeleton3DArray, "skeletons_3d_root_relative", QoSProfile(depth=500))
    assert bench.node.start()
    replay = graph.make(BagReplay, start=False, bag=str(bag), rate=2.0)
    replay.start()
    counts = bench.node.diagnostics.counts
    graph.until(lambda: sum(counts().values()) == 480, "every frame is served or dropped", timeout_s=120)
    flat, space = bench.flat[""], bench.space[""]
    graph.until(lambda: len(flat) == len(space) == counts()["frames"], "a message for every processed frame")
    assert counts()["refused"] == 0 and counts()["frames"] >= 3  # the rest was dropped for newer ones
    source = {BEGIN_NS + i * STEP_NS for i in range(480)}
    stamps = [stamp_ns_of(m) for m in flat]
    assert stamps == sorted(stamps) == [stamp_ns_of(m) for m in space] and set(stamps) <= source
    assert stamps[-1] == max(source), "the newest always wins"
    assert {m.header.frame_id for m in flat} == {"or_camera_optical"}
    assert {(m.image_width, m.image_height, m.modality) for m in flat} == {(53, 40, "color")}
    people = [from_skeletons(*both) for both in zip(flat, space, strict=True)]  # refuses other track ids
    assert sum(map(len, people)) > 0
    if "student" in model:
        graph.until(lambda: len(relative) == len(flat), "root-relative 3D of every processed frame")
        assert {m.kind for m in [*space, *relative]} == {Skeleton3DArray.KIND_ROOT_RELATIVE}
        torso = [BODY24.index(j) for j in ("left_hip", "right_hip", "left_shoulder", "right_shoulder")]
        for two, three, poses in zip(flat, relative, people, strict=True):
            assert poses.xyz_root_m is not None and np.isfinite(poses.xyz_root_m[:, torso]).all()
            np.testing.assert_array_equal(from_skeletons(two, three).xyz_root_m, poses.xyz_root_m)


def test_skeletons_are_recorded_in_a_bag_and_read_back(
    pose_bench: MakeBench, realdata: Path, tmp_path: Path, graph: Any
) -> None:
    """What the node publishes can be stored with rosbags, definitions included, and is the same again."""
    from rclpy.serialization import serialize_message

    bench = pose_bench(model="untrained:depthpose_color_53x40@0.0625")
    rgb = cv2.imread(str(realdata / "or_color_53x40" / "000000.png"))[..., ::-1]
    fields = image_messages.encode_color(np.ascontiguousarray(rgb))
    from sensor_msgs.msg import Image

    flat, _ = bench.send(Image(**(fields | {"data": fields["data"].tobytes()})))
    typestore = get_typestore(Stores.ROS2_JAZZY)
    rosbags_types(typestore)
    kind, folder = "orpose_ros/msg/Skeleton2DArray", tmp_path / "bag"
    with Writer(folder, version=9) as writer:
        connection = writer.add_connection("/skeletons_2d", kind, typestore=typestore)
        writer.write(connection, 1, serialize_message(flat))
    with Reader(folder) as reader:
        ((_, _, data),) = list(reader.messages())
        again = from_skeletons(typestore.deserialize_cdr(data, kind))
    np.testing.assert_array_equal(again.xy_px, from_skeletons(flat).xy_px)
    np.testing.assert_array_equal(again.track_ids, from_skeletons(flat).track_ids)
