"""Cameras' places from people who walk about."""

from __future__ import annotations

from dataclasses import replace

import fusion_rooms as rooms
import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.spatial.transform import Rotation

from orpose_core.cli import main
from orpose_core.fusion.calibration import CalibrationConfig, Sighting, calibrate
from orpose_core.fusion.calibration.bundle import Observations, Problem, Trust
from orpose_core.fusion.calibration.floor import floor_of_surfaces, floor_points, level_on
from orpose_core.fusion.calibration.report import LAUNCH, PICTURE, RIG, write_calibration
from orpose_core.fusion.calibration.rig_calibration import _observations
from orpose_core.fusion.calibration.sightings import still_depth
from orpose_core.fusion.fuse import Sight
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import read_rig
from orpose_core.geometry import project, transform_points
from orpose_core.skeleton import COCO17
from orpose_core.types import Intrinsics, Poses


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
        rooms.sightings(rig, 60), {c.name: c.intrinsics for c in rig}, surfaces=_surfaces(rig),
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
    code = (tmp_path / LAUNCH).read_text()
    compile(code, LAUNCH, "exec", dont_inherit=True)
    assert f"'{RIG}'" in code and "room_frame='room'" in code
    assert [c.frame_id for c in read_rig(tmp_path / RIG)] == [f"{c.name}_optical" for c in rig]


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
    sightings = rooms.sightings(rig, 30, depth=False)
    found = calibrate(sightings, {c.name: c.intrinsics for c in rig}, guess)
    assert max(angle for _, angle in _off(found, rig)) < np.radians(1.0)
    assert max(distance for distance, _ in _off(found, rig)) < 0.2


def test_a_guess_in_the_frame_of_its_first_camera_is_put_on_the_floor():
    rig = rooms.cameras(2, 1)
    guess = [replace(c, room_from_camera=rig[0].camera_from_room @ c.room_from_camera) for c in rig]
    found = calibrate(rooms.sightings(rig, 40), {c.name: c.intrinsics for c in rig}, guess, _surfaces(rig))
    assert found.floor == "depth"
    for camera, true in zip(found.rig, rig, strict=True):
        assert camera.room_from_camera[2, 3] == pytest.approx(true.room_from_camera[2, 3], abs=0.05)
        assert camera.room_from_camera[2, 2] == pytest.approx(true.room_from_camera[2, 2], abs=0.02)


def test_what_is_missing_is_said():
    rig = rooms.cameras(2, 1)
    optics = {c.name: c.intrinsics for c in rig}
    with pytest.raises(ValueError, match="camera_1: expected at least 10 people"):
        calibrate(rooms.sightings(rig, 5, depth=False), optics)
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
    corners = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.1], [-1.0, 0.0, 0.0]])
    floor = np.concatenate([transform_points(c.camera_from_room, corners) for c in rig])
    seen = Observations(
        camera, point, xy, np.full(8, 2.0), z, np.full(8, 0.1), np.repeat([0, 1], 3), floor
    )  # fmt: skip
    trust = Trust(independent=5.0, hold=0.3)
    problem = Problem(
        np.stack([c.room_from_camera for c in rig]), [c.intrinsics for c in rig], points, seen, trust
    )
    x = problem.start(points)
    x[:11] = rng.normal(0, 0.1, 11)  # a pose, two scales, the floor
    numeric = approx_fprime(x, problem.residuals, 1e-6)
    assert np.allclose(problem.jacobian(x).toarray(), numeric, rtol=1e-3, atol=1e-2)
    squares = rng.uniform(0, 9, len(numeric))
    loss, more = problem.loss(squares), problem.loss(squares + 1e-6)
    assert np.allclose((more - loss)[:2] / 1e-6, loss[1:], atol=1e-5)


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


def test_cables_and_feet_of_furniture_do_not_tilt_the_floor():
    rng = np.random.default_rng(1)
    xy = rng.uniform(-0.8, 0.8, (600, 2))
    floor = np.c_[xy, 0.02 * xy[:, 0] + rng.normal(0, 0.005, 600)]
    things = np.c_[rng.uniform(0.3, 0.8, (250, 2)), rng.uniform(0.02, 0.12, 250)]
    assert np.allclose(floor_of_surfaces(np.concatenate([floor, things])), [0.02, 0, 0], atol=5e-3)


def test_a_small_patch_of_floor_says_little_about_its_slope():
    rng, camera = np.random.default_rng(0), rooms.cameras(1)[0]
    for width in (0.3, 3.0):
        patch = np.c_[rng.uniform(-width, width, (400, 2)), rng.normal(0, 0.002, 400)]
        points = floor_points(camera.room_from_camera, transform_points(camera.camera_from_room, patch))
        there = transform_points(camera.room_from_camera, points)
        assert points.shape == (4, 3) and np.abs(there[:, 2]).max() < 0.01
        assert np.linalg.norm(there[:, :2], axis=1) == pytest.approx([1.5 * width / 3**0.5] * 4, rel=0.2)
    assert floor_points(camera.room_from_camera, np.zeros((0, 3))).shape == (0, 3)


def test_depth_cameras_that_measure_too_near_or_too_far_are_found_out():
    rig, true = rooms.cameras(3, 1), (1.015, 0.985, 1.0)
    sightings, surfaces = rooms.sightings(rig, 60), _surfaces(rig)
    for moment in sightings:
        for camera, scale in zip(rig, true, strict=True):
            poses = moment.views[camera.name]
            moment.views[camera.name] = replace(poses, xyz_cam_m=poses.xyz_cam_m / np.float32(scale))
    near = {c.name: surfaces[c.name] / scale for c, scale in zip(rig, true, strict=True)}
    found = calibrate(sightings, {c.name: c.intrinsics for c in rig}, surfaces=near)
    scales = np.array([camera.depth_scale for camera in found.rig])
    assert np.allclose(scales - scales.mean(), np.array(true) - np.mean(true), atol=0.004)
    for camera, there in zip(found.rig, rig, strict=True):
        assert camera.room_from_camera[2, 3] == pytest.approx(there.room_from_camera[2, 3], abs=0.03)


def test_whoever_walks_by_is_not_part_of_the_room():
    images = [np.full((2, 3), 3.0, np.float32) for _ in range(6)]
    images[0][0, 0] = images[3][0, 0] = 1.5  # somebody
    for image in images[:5]:
        image[1, 2] = np.nan
    still = still_depth([*images, np.ones((4, 4), np.float32)])
    assert np.isnan(still[1, 2]) and np.all(still.ravel()[:5] == 3.0)


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
    seen_joints, points, _ = _observations(
        rig, [Sighting(0, views)], people, [np.zeros((0, 3))] * 2, CalibrationConfig()
    )
    assert np.allclose(points, [[0.5, 0.0, 2.0]], atol=0.01) and len(seen_joints.camera) == 2


@pytest.mark.timeout(1200)
def test_from_a_bag_by_the_command_line(tmp_path, capsys):
    rig = rooms.cameras(2, 6)
    rooms.write_bag(tmp_path / "bag", rig, rooms.sightings(rig, 40, seed=6))
    command = ["calibrate", str(tmp_path / "bag"), "--cameras", "camera_1,camera_2"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    assert "reprojection error median" in capsys.readouterr().out
    read = read_rig(tmp_path / "out" / RIG)
    assert [camera.frame_id for camera in read] == ["camera_1_optical", "camera_2_optical"]
    assert main([*command[:2], "--cameras", "camera_1,nobody"]) == 2
    assert "/nobody/skeletons_2d" in capsys.readouterr().err
