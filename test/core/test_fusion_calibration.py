"""Cameras' places from people who walk about."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore
from scipy.optimize import approx_fprime
from scipy.spatial.transform import Rotation

from orpose_core.cli import main
from orpose_core.data.image_messages import encode_intrinsics
from orpose_core.data.skeleton_messages import rosbags_types, to_skeletons_2d, to_skeletons_3d
from orpose_core.fusion.calibration import CalibrationConfig, Sighting, calibrate
from orpose_core.fusion.calibration.bundle import Observations, _Problem
from orpose_core.fusion.calibration.floor import floor_of_clouds, floor_of_surfaces, level_on
from orpose_core.fusion.calibration.report import LAUNCH, PICTURE, RIG, write_calibration
from orpose_core.fusion.calibration.rig_calibration import _observations
from orpose_core.fusion.fuse import Sight
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import read_rig
from orpose_core.geometry import project, transform_points
from orpose_core.skeleton import COCO17
from orpose_core.types import Intrinsics, Poses

_SPEC = importlib.util.spec_from_file_location("fusion_rooms", Path(__file__).with_name("fusion_rooms.py"))
rooms = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(rooms)


def _sightings(rig, moments, depth=True, seed=1):
    """Two clinicians every two seconds, with noise of a few px and 3 % of the depth."""
    rng, found = np.random.default_rng(seed), []
    for k in range(moments):
        truth, views = rooms.bodies(2, seed, 2.0 * k), {}
        for camera in rig:
            poses = rooms.seen(camera, truth, rng, 4.0, missing=0.1).poses
            if depth:
                xyz = transform_points(camera.camera_from_room, truth[poses.track_ids])
                xyz = xyz * (1 + rng.normal(0, 0.03, xyz.shape[:2]))[..., None]
                sigma = np.full(xyz.shape[:2], 0.07, np.float32)
                poses = replace(poses, xyz_cam_m=xyz.astype(np.float32), sigma_m=sigma)
            views[camera.name] = replace(poses, track_ids=None)
        found.append(Sighting(k * 2_000_000_000, views))
    return found


def _surfaces(rig):
    """Points of the floor as each camera's depth has them."""
    rng = np.random.default_rng(0)
    floor = np.c_[rng.uniform(-3, 3, (1500, 2)), rng.normal(0, 0.01, 1500)]
    return {c.name: transform_points(c.camera_from_room, floor) for c in rig}


def _off(found, rig):
    """Each camera's distance, m, and angle, rad, from the truth, once the first cameras stand together."""
    together = rig[0].room_from_camera @ np.linalg.inv(found.rig[0].room_from_camera)
    poses = [together @ camera.room_from_camera for camera in found.rig]
    return [
        (
            np.linalg.norm(pose[:3, 3] - camera.room_from_camera[:3, 3]),
            Rotation.from_matrix(pose[:3, :3].T @ camera.room_from_camera[:3, :3]).magnitude(),
        )
        for pose, camera in zip(poses, rig, strict=True)
    ]


@pytest.mark.timeout(1200)
def test_from_nothing_to_a_few_centimetres(tmp_path):
    rig = rooms.cameras(3, 1)
    found = calibrate(
        _sightings(rig, 60), {c.name: c.intrinsics for c in rig}, surfaces=_surfaces(rig),
        frame_ids={c.name: f"{c.name}_optical" for c in rig},
    )  # fmt: skip
    for distance_m, angle_rad in _off(found, rig):
        assert distance_m < 0.05 and angle_rad < np.radians(1.0)
    assert found.floor == "depth"
    for camera, true in zip(found.rig, rig, strict=True):
        assert camera.room_from_camera[2, 3] == pytest.approx(true.room_from_camera[2, 3], abs=0.05)
        assert camera.room_from_camera[2, 2] == pytest.approx(true.room_from_camera[2, 2], abs=0.02)
    written = write_calibration(tmp_path, found)
    assert [path.name for path in written] == [RIG, LAUNCH, PICTURE]
    assert [c.name for c in read_rig(tmp_path / RIG)] == [c.name for c in rig]
    scope: dict = {}
    code = (tmp_path / LAUNCH).read_text()
    compile(code, LAUNCH, "exec", dont_inherit=True)
    assert code.count("static_transform_publisher") == 3 and "camera_2_optical" in code and not scope


@pytest.mark.timeout(1200)
def test_a_rough_guess_without_depth_is_refined():
    rig = rooms.cameras(3, 1)
    rng, guess = np.random.default_rng(0), []
    for number, camera in enumerate(rig):
        pose = camera.room_from_camera.copy()
        if number:
            pose[:3, 3] += rng.normal(0, 0.05, 3)
            pose[:3, :3] = Rotation.from_rotvec(rng.normal(0, 0.02, 3)).as_matrix() @ pose[:3, :3]
        guess.append(RoomCamera(camera.name, camera.intrinsics, pose))
    sightings = _sightings(rig, 30, depth=False)
    found = calibrate(sightings, {c.name: c.intrinsics for c in rig}, guess)
    assert max(angle for _, angle in _off(found, rig)) < np.radians(1.0)
    assert max(distance for distance, _ in _off(found, rig)) < 0.2


def test_what_is_missing_is_said():
    rig = rooms.cameras(2, 1)
    optics = {c.name: c.intrinsics for c in rig}
    with pytest.raises(ValueError, match="camera_1: expected at least 10 people"):
        calibrate(_sightings(rig, 5, depth=False), optics)
    with pytest.raises(ValueError, match="two cameras or more"):
        calibrate([], {"camera_1": rig[0].intrinsics})
    with pytest.raises(ValueError, match="the guess has no camera camera_2"):
        calibrate([], optics, rig[:1])


def test_the_jacobian_is_the_derivative():
    rng, rig = np.random.default_rng(0), rooms.cameras(2, 1)
    points = rng.uniform(-1, 1, (4, 3)) + np.array([0, 0, 1.2])
    camera, point = np.repeat([0, 1], 4), np.tile(np.arange(4), 2)
    xy = np.concatenate(
        [project(transform_points(c.camera_from_room, points), c.intrinsics) for c in rig]
    ) + rng.normal(0, 3, (8, 2))
    z = np.where(np.arange(8) % 3 == 0, 3.0, np.nan)
    seen = Observations(camera, point, xy, np.full(8, 2.0), z, np.full(8, 0.1))
    problem = _Problem(
        np.stack([c.room_from_camera for c in rig]), [c.intrinsics for c in rig], points, seen, 0.3
    )
    x = np.concatenate([rng.normal(0, 0.1, 6), points.ravel()])
    numeric = approx_fprime(x, problem.residuals, 1e-6)
    assert np.allclose(problem.jacobian(x).toarray(), numeric, rtol=1e-3, atol=1e-2)


def test_the_floor_is_found_below_furniture():
    rng = np.random.default_rng(1)
    floor = np.c_[rng.uniform(-3, 3, (3000, 2)), rng.normal(0, 0.01, 3000)]
    table = np.c_[rng.uniform(-1, 1, (1500, 2)), rng.normal(0.4, 0.01, 1500)]
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_rotvec([0.05, -0.08, 0.3]).as_matrix()
    tilt[2, 3] = 0.1
    points = transform_points(tilt, np.concatenate([floor, table]))
    plane = floor_of_surfaces(points)
    level = transform_points(level_on(plane), points)[: len(floor)]
    assert abs(level[:, 2].mean()) < 0.01 and level[:, 2].std() < 0.015
    assert floor_of_surfaces(points[:50]) is None


def test_cameras_whose_depth_is_off_do_not_tilt_the_floor():
    rng, clouds = np.random.default_rng(1), []
    for middle, height in (((-2.0, 0.0), 0.03), ((2.0, 0.0), -0.03), ((0.0, 2.0), 0.0)):
        xy = rng.uniform(-0.8, 0.8, (1000, 2)) + middle
        clouds.append(np.c_[xy, 0.02 * xy[:, 0] + height + rng.normal(0, 0.003, 1000)])
    plane = floor_of_clouds(clouds)
    assert np.allclose(plane, [0.02, 0.0, 0.0], atol=2e-3)
    assert abs(floor_of_surfaces(np.concatenate(clouds))[0] - 0.02) > 0.005  # one plane through all leans
    assert np.allclose(floor_of_clouds([*clouds, clouds[0][:10]]), plane)
    assert floor_of_clouds([]) is None and floor_of_clouds([clouds[0][:10]]) is None


def test_rays_that_meet_behind_a_camera_are_left_out():
    lens = Intrinsics(100.0, 100.0, 50.0, 50.0, 101, 101)
    moved = np.eye(4)
    moved[0, 3] = 1.0  # the second camera hangs 1 m to the right of the first, and looks the same way
    rig = [RoomCamera("camera_1", lens, np.eye(4)), RoomCamera("camera_2", lens, moved)]
    nose, other = COCO17.index("nose"), COCO17.index("left_wrist")

    def seen(x_nose, x_wrist):
        xy = np.full((1, len(COCO17), 2), np.nan, np.float32)
        xy[0, nose], xy[0, other] = (x_nose, 50.0), (x_wrist, 50.0)
        scores = np.isfinite(xy[..., 0]).astype(np.float32)
        return Poses(COCO17, xy, scores, np.ones(1, np.float32), np.full((1, 4), np.nan, np.float32))

    # The nose is 2 m ahead of both; the rays of the wrist go apart.
    views = {"camera_1": seen(75.0, 40.0), "camera_2": seen(25.0, 60.0)}
    people = [(0, [Sight(0, 0, False), Sight(1, 0, False)], ["camera_1", "camera_2"])]
    seen_joints, points, _ = _observations(rig, [Sighting(0, views)], people, CalibrationConfig())
    assert np.allclose(points, [[0.5, 0.0, 2.0]], atol=0.01) and len(seen_joints.camera) == 2


def _write_bag(path, rig, sightings):
    """A bag of what pose nodes publish, and camera_info."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = rosbags_types(store)
    header = store.types["std_msgs/msg/Header"](
        stamp=store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0), frame_id="optical"
    )
    region = store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    with Writer(path, version=9) as bag:
        topics = {}
        for camera in rig:
            for name, kind in (
                ("skeletons_2d", "orpose_ros/msg/Skeleton2DArray"),
                ("skeletons_3d", "orpose_ros/msg/Skeleton3DArray"),
                ("lowres/camera_info", "sensor_msgs/msg/CameraInfo"),
            ):
                topics[camera.name, name] = bag.add_connection(
                    f"/{camera.name}/{name}", kind, typestore=store
                )
            info = store.types["sensor_msgs/msg/CameraInfo"](
                header=header, **encode_intrinsics(camera.intrinsics), roi=region, binning_x=0, binning_y=0
            )
            link = topics[camera.name, "lowres/camera_info"]
            bag.write(link, 1, store.serialize_cdr(info, link.msgtype))
        for moment in sightings:
            for camera in rig:
                poses, common = moment.views[camera.name], {"frame_id": f"{camera.name}_optical"}
                common["stamp_ns"] = moment.stamp_ns
                size = (camera.intrinsics.height, camera.intrinsics.width)
                flat = to_skeletons_2d(
                    poses, types, image_hw=size, network_hw=(48, 64), modality="depth", **common
                )
                for name, message in (
                    ("skeletons_2d", flat), ("skeletons_3d", to_skeletons_3d(poses, types, **common)),
                ):  # fmt: skip
                    link = topics[camera.name, name]
                    bag.write(link, moment.stamp_ns, store.serialize_cdr(message, link.msgtype))


@pytest.mark.timeout(1200)
def test_from_a_bag_by_the_command_line(tmp_path, capsys):
    rig = rooms.cameras(2, 6)
    _write_bag(tmp_path / "bag", rig, _sightings(rig, 40, seed=6))
    command = ["calibrate", str(tmp_path / "bag"), "--cameras", "camera_1,camera_2"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    assert "reprojection error median" in capsys.readouterr().out
    read = read_rig(tmp_path / "out" / RIG)
    assert [camera.frame_id for camera in read] == ["camera_1_optical", "camera_2_optical"]
    assert main([*command[:2], "--cameras", "camera_1,nobody"]) == 2
    assert "/nobody/skeletons_2d" in capsys.readouterr().err
