"""Skeletons of two cameras -> one per person in the room, over real DDS."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import fusion_rooms as rooms
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from orpose_core.data.skeleton_messages import to_skeletons_2d, to_skeletons_3d
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import pose_of, write_rig
from orpose_core.geometry import transform_points
from orpose_core.skeleton import by_name
from orpose_core.types import Poses
from orpose_ros import conversions
from orpose_ros.fusion_node import FusionNode
from orpose_ros.messages import RCLPY_TYPES
from orpose_ros.msg import Keypoint3D, Skeleton2DArray, Skeleton3DArray, SkeletonInfo
from orpose_ros.parameters.fusion import FusionParameters

RELIABLE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
S = 1_000_000_000
SMALL_HW = (48, 64)


class Bench:
    """The node with two cameras, publishers to it, and what it sends."""

    def __init__(self, graph: Any, folder: Path, **settings: Any) -> None:
        self.graph, self.rng = graph, np.random.default_rng(0)
        self.rig = rooms.cameras(2, 6)
        write_rig(folder / "rig.yaml", self.rig)
        names = self.names = [camera.name for camera in self.rig]
        settings = {"cameras": names, "calibration": str(folder / "rig.yaml"), **settings}
        self.node = graph.make(FusionNode, **settings)
        self.flat = {n: graph.publisher(Skeleton2DArray, f"{n}/skeletons_2d", RELIABLE) for n in names}
        self.space = {n: graph.publisher(Skeleton3DArray, f"{n}/skeletons_3d", RELIABLE) for n in names}
        self.moments: list[Skeleton3DArray] = graph.collect(Skeleton3DArray, "room/skeletons_3d", RELIABLE)
        graph.connected(*self.flat.values(), *self.space.values())
        graph.until(lambda: graph.tester.count_publishers("room/skeletons_3d") == 1, "the room is published")
        graph.spin(0.2)

    def send(self, stamp_ns: int, truth: np.ndarray, cameras: tuple[int, ...] = (0, 1), depth: bool = True):
        """Publish what cameras see of bodies in images of 64x48."""
        for c in cameras:
            camera = self.rig[c]
            view = rooms.seen(camera, truth, self.rng, 1.0)
            shrink = SMALL_HW[1] / camera.intrinsics.width
            xy = ((view.poses.xy_px + 0.5) * shrink - 0.5).astype(np.float32)
            rows = view.poses.track_ids
            xyz = transform_points(camera.camera_from_room, truth[rows]).astype(np.float32)
            poses: Poses = replace(
                view.poses, xy_px=xy, xyz_cam_m=xyz, sigma_m=np.full(xyz.shape[:2], 0.1, np.float32)
            )
            common = {"stamp_ns": stamp_ns, "frame_id": f"{camera.name}_optical"}
            self.flat[camera.name].publish(
                to_skeletons_2d(poses, RCLPY_TYPES, image_hw=SMALL_HW, network_hw=SMALL_HW, modality="depth",
                                **common)
            )  # fmt: skip
            if depth:
                self.space[camera.name].publish(to_skeletons_3d(poses, RCLPY_TYPES, **common))

    def moment(self, stamp_ns: int) -> Skeleton3DArray:
        """Return the room at a stamp."""

        def found() -> Skeleton3DArray | None:
            for message in self.moments:
                if message.header.stamp.sec * S + message.header.stamp.nanosec == stamp_ns:
                    return message
            return None

        return self.graph.until(found, f"the room at {stamp_ns}", timeout_s=400)


def places(message: Skeleton3DArray) -> np.ndarray:
    return np.array(
        [[(k.position.x, k.position.y, k.position.z) for k in p.keypoints] for p in message.skeletons]
    ).reshape(len(message.skeletons), -1, 3)


@pytest.mark.timeout(600)
def test_one_skeleton_per_person_in_the_room(graph: Any, tmp_path: Path) -> None:
    bench, truth = Bench(graph, tmp_path), rooms.bodies(2, 6)
    infos = graph.collect(SkeletonInfo, "room/skeleton_info", LATCHED)
    for k in range(4):
        bench.send(S + k * S // 10, truth)
        moment = bench.moment(S + k * S // 10)
    assert moment.header.frame_id == "room" and moment.kind == Skeleton3DArray.KIND_METRIC
    assert len(moment.skeletons) == 2
    apart = np.linalg.norm(places(moment)[:, None] - truth[None], axis=-1)
    assert np.nanmedian(np.nanmedian(apart, axis=-1).min(axis=0)) < 0.12
    assert len({p.track_id for p in moment.skeletons}) == 2
    for person in moment.skeletons:
        for keypoint in person.keypoints:
            known = not np.isnan(keypoint.position.x)
            assert known == (keypoint.sigma_m > 0) == (keypoint.source != Keypoint3D.SOURCE_NONE)
    graph.until(lambda: infos, "the joint set is told")


@pytest.mark.timeout(600)
def test_a_camera_that_is_silent_costs_the_others_nothing(graph: Any, tmp_path: Path) -> None:
    bench, truth = Bench(graph, tmp_path), rooms.bodies(1, 6)
    status = graph.collect(DiagnosticArray, "/diagnostics", 10)
    for k in range(4):
        bench.send(S + k * S // 10, truth)
        bench.moment(S + k * S // 10)
    ids = {p.track_id for p in bench.moment(S + 3 * S // 10).skeletons}
    for k in range(4, 12):
        bench.send(S + k * S // 10, truth, cameras=(1,))
        graph.spin(0.05)
    last = bench.moment(S + 11 * S // 10)
    assert {p.track_id for p in last.skeletons} == ids
    graph.until(
        lambda: any("camera_2" in v.value for s in status for x in s.status for v in x.values),
        "the diagnostics name the cameras of the last moment",
    )


@pytest.mark.timeout(600)
def test_without_3d_skeletons_it_does_not_wait_for_good(graph: Any, tmp_path: Path) -> None:
    bench, truth = Bench(graph, tmp_path), rooms.bodies(1, 6)
    for k in range(4):
        bench.send(S + k * S // 2, truth, depth=False)
        moment = bench.moment(S + k * S // 2)
    assert len(moment.skeletons) == 1


def test_a_wrong_calibration_is_refused_with_a_sentence(graph: Any, tmp_path: Path) -> None:
    write_rig(tmp_path / "rig.yaml", rooms.cameras(1, 6))
    for path, words in ((tmp_path / "rig.yaml", "has no camera camera_2"), (tmp_path / "none", "read")):
        node = graph.make(FusionNode, start=False, cameras=["camera_1", "camera_2"], calibration=str(path))
        assert not node.start()
        graph.until(lambda words=words: graph.said(words), words)
        node.clean_up()
        graph.executor.remove_node(node)
        graph.nodes.remove(node)
        node.destroy_node()


def transforms(rig: list[RoomCamera], frame: str) -> list[TransformStamped]:
    """Where cameras hang, as a static transform publisher says it."""
    found = []
    for camera in rig:
        (x, y, z), (qx, qy, qz, qw) = pose_of(camera)
        message = TransformStamped(child_frame_id=f"{camera.name}_optical")
        message.header.frame_id = frame
        message.transform.translation = Vector3(x=x, y=y, z=z)
        message.transform.rotation = Quaternion(x=qx, y=qy, z=qz, w=qw)
        found.append(message)
    return found


@pytest.mark.timeout(600)
def test_tf_and_camera_info_place_the_cameras(graph: Any, tmp_path: Path) -> None:
    tf2_ros = pytest.importorskip("tf2_ros", reason="tf2_ros is not installed here")
    bench, truth = Bench(graph, tmp_path, calibration="", room_frame="or_3"), rooms.bodies(2, 6)
    bench.send(S, truth)
    graph.until(lambda: graph.said("no camera_info has come yet"), "the node says what is missing")
    for camera in bench.rig:
        small = camera.intrinsics.resized(SMALL_HW)
        info = graph.publisher(CameraInfo, f"{camera.name}/lowres/camera_info", qos_profile_sensor_data)
        graph.connected(info)
        info.publish(conversions.camera_info_message(small, Header(frame_id=f"{camera.name}_optical")))
    graph.spin(0.3)
    bench.send(2 * S, truth)
    graph.until(lambda: graph.said("no transform from camera_"), "the node says what is missing")
    assert not bench.moments
    tf2_ros.StaticTransformBroadcaster(graph.tester).sendTransform(transforms(bench.rig, "or_3"))
    graph.spin(1.0)
    for k in range(4):
        bench.send(10 * S + k * S // 10, truth)
        moment = bench.moment(10 * S + k * S // 10)
    assert moment.header.frame_id == "or_3"
    apart = np.linalg.norm(places(moment)[:, None] - truth[None], axis=-1)
    assert np.nanmedian(np.nanmedian(apart, axis=-1).min(axis=0)) < 0.12
    # Another publisher has the cameras calibrated anew: the room's origin is 2 m farther back.
    shift = np.zeros((4, 4))
    shift[0, 3] = 2.0
    moved = [replace(camera, room_from_camera=camera.room_from_camera + shift) for camera in bench.rig]
    tf2_ros.StaticTransformBroadcaster(graph.tester).sendTransform(transforms(moved, "or_3"))
    graph.spin(1.0)
    for k in range(40, 70):
        bench.send(10 * S + k * S // 10, truth)
        moment = bench.moment(10 * S + k * S // 10)
    apart = np.linalg.norm(places(moment)[:, None] - truth[None] - [2.0, 0, 0], axis=-1)
    assert np.nanmedian(np.nanmedian(apart, axis=-1).min(axis=0)) < 0.12


def sees_nobody(camera: str, stamp_ns: int, model: str = "coco17") -> Skeleton2DArray:
    """Return the message of a camera that sees nobody."""
    return to_skeletons_2d(
        Poses.nobody(by_name(model)), RCLPY_TYPES, image_hw=SMALL_HW, network_hw=SMALL_HW, modality="depth",
        stamp_ns=stamp_ns, frame_id=camera,
    )  # fmt: skip


def nobody(bench: Bench, camera: str, stamp_ns: int, model: str = "coco17") -> None:
    """Publish that a camera sees nobody."""
    bench.flat[camera].publish(sees_nobody(camera, stamp_ns, model))


@pytest.mark.timeout(600)
def test_a_refused_message_does_not_take_the_next_one_with_it(graph: Any, tmp_path: Path) -> None:
    """Both wait for 3D skeletons that do not come; the first is refused when the second comes."""
    node = Bench(graph, tmp_path).node
    camera = node._cameras[node.parameters.cameras[0]]
    bad, good = (sees_nobody(camera.name, stamp_ns) for stamp_ns in (S, 2 * S))
    bad.skeleton_model = "octopus"
    node._take_flat(camera, bad)
    with pytest.raises(ValueError, match="octopus"):
        node._take_flat(camera, good)
    assert camera.flat is good


@pytest.mark.timeout(600)
def test_cameras_with_different_joints_are_refused_and_a_new_model_of_all_is_taken(
    graph: Any, tmp_path: Path
) -> None:
    bench = Bench(graph, tmp_path)
    first, second = bench.names
    models = {first: "coco17", second: "coco17"}

    def until(condition: Any, what: str) -> None:
        stamps = iter(range(1, 10_000))

        def said() -> Any:
            nonlocal stamp_ns
            stamp_ns += S // 10
            for name, model in models.items():
                nobody(bench, name, stamp_ns, model)
            graph.spin(0.1)
            return next(stamps) and condition()

        graph.until(said, what, timeout_s=120)

    stamp_ns = S
    until(lambda: bench.moments, "they are fused")
    models[second] = "openpose18"
    words = f"expected people with the joints of coco17, as {first} has them, got openpose18"
    until(lambda: graph.said(words), "the other joints are refused")
    until(lambda: words in " ".join(bench.node._problems()), "and are a problem")
    assert {m.skeleton_model for m in bench.moments} == {"coco17"}
    models[first] = "openpose18"
    until(lambda: bench.moments[-1].skeleton_model == "openpose18", "all cameras have a new model")


@pytest.mark.timeout(600)
def test_clocks_that_differ_and_stamps_of_zero_are_named(graph: Any, tmp_path: Path) -> None:
    bench = Bench(graph, tmp_path)
    first, second = bench.names
    nobody(bench, first, 0)
    graph.until(lambda: graph.said("expected a stamp"), "a stamp of zero is refused")
    began_s = time.monotonic()

    def named() -> Any:
        now_ns = 1000 * S + int((time.monotonic() - began_s) * 1e9)
        nobody(bench, first, now_ns)
        nobody(bench, second, now_ns - 5 * S)
        graph.spin(0.1)
        return graph.said(f"the stamps of {second} are 5.0 s behind those of {first}")

    graph.until(named, "the difference of the clocks is named", timeout_s=120)
    assert "are the clocks of their machines synchronized?" in bench.node.diagnostics.status().message


def test_one_camera_is_no_room() -> None:
    with pytest.raises(ValueError, match="two different namespaces"):
        FusionParameters(cameras=("ceiling_1",))
