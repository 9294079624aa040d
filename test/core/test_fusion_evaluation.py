"""Fused skeletons scored in the room, and calibration files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from orpose_core.cli import main
from orpose_core.evaluation.fusion_errors import fit_hips, move_hips
from orpose_core.evaluation.mvor_bounds import triangulate
from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import read_rig, ros_camera, write_rig
from orpose_core.geometry import project, transform_points
from orpose_core.simulation.sensing.cameras import aim
from orpose_core.types import Intrinsics

K = Intrinsics(530.0, 531.0, 320.0, 241.0, 640, 480)


def _rig() -> list[RoomCamera]:
    poses = [aim((1.9, 0.2, 2.5), 3.0, 0.6, 0.02), aim((-2.0, 0.1, 2.6), 0.1, 0.7)]
    return [RoomCamera(f"camera_{i + 1}", K, pose, f"camera_{i + 1}_optical") for i, pose in enumerate(poses)]


def test_a_rig_survives_its_file(tmp_path):
    write_rig(tmp_path / "rig.yaml", _rig())
    for before, after in zip(_rig(), read_rig(tmp_path / "rig.yaml"), strict=True):
        assert (before.name, before.intrinsics, before.frame_id) == (
            after.name, after.intrinsics, after.frame_id,
        )  # fmt: skip
        assert np.allclose(before.room_from_camera, after.room_from_camera, atol=1e-9)


def test_kalibr_and_ros_give_the_same_cameras(tmp_path):
    rig = _rig()
    first_from_room = rig[0].camera_from_room
    step = np.linalg.inv(rig[1].room_from_camera) @ rig[0].room_from_camera
    chain = {
        "cam0": {"intrinsics": [530.0, 531.0, 320.0, 241.0], "resolution": [640, 480],
                 "rostopic": "/camera_1/image_raw"},
        "cam1": {"intrinsics": [530.0, 531.0, 320.0, 241.0], "resolution": [640, 480],
                 "rostopic": "/camera_2/image_raw", "T_cn_cnm1": step.tolist()},
    }  # fmt: skip
    (tmp_path / "camchain.yaml").write_text(yaml.safe_dump(chain))
    read = read_rig(tmp_path / "camchain.yaml")
    assert [camera.name for camera in read] == ["camera_1", "camera_2"]
    assert np.allclose(read[1].room_from_camera, first_from_room @ rig[1].room_from_camera)
    quaternion = np.array([0.0, 0.0, np.sin(0.3), np.cos(0.3)])
    camera = ros_camera("c", [530.0, 0, 320.0, 0, 531.0, 241.0, 0, 0, 1], 640, 480, (1, 2, 3), quaternion)
    assert camera.intrinsics == K
    assert np.allclose(camera.room_from_camera[:3, 0], [np.cos(0.6), np.sin(0.6), 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{format: orpose-rig-1, cameras: [{name: a}]}", "camera 0: expected name, intrinsics"),
        ("{format: orpose-rig-1}", "expected a list of cameras"),
        ("{x: 1}", "expected a calibration"),
        ("{cam0: {intrinsics: [1, 2]}}", "cam0: expected intrinsics"),
        ("[", "damaged"),
    ],
)
def test_a_damaged_calibration_is_named(tmp_path, content, message):
    (tmp_path / "rig.yaml").write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_rig(tmp_path / "rig.yaml")
    assert str(tmp_path / "rig.yaml") in str(caught.value)


def test_hips_are_moved_by_what_was_fitted():
    rng = np.random.default_rng(0)
    body = np.array([[0, 0.17, 1.4], [0, -0.17, 1.4], [0, 0.1, 0.9], [0, -0.1, 0.9]])
    fused = np.concatenate([body, np.zeros((4, 3))])[None] + rng.normal(0, 0.02, (40, 8, 3))
    angle = rng.uniform(0, 6, 40)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(-1, 2, 2)
    fused[..., :2] = np.einsum("mij,mnj->mni", turn, fused[..., :2])
    offset = np.array([0.1, 0.05, 0.25])
    true = move_hips(fused, offset)
    assert np.allclose(fit_hips(fused, true), offset)
    assert np.allclose(move_hips(fused, fit_hips(fused, true)), true)


def test_points_are_triangulated_from_the_views_that_have_them():
    rng, rig = np.random.default_rng(0), [*_rig(), RoomCamera("camera_3", K, aim((0.0, 2.4, 2.7), -1.5, 0.7))]
    points = rng.uniform([-0.7, -0.7, 0.8], [0.7, 0.7, 1.6], (5, 8, 3))
    xy = np.stack([project(transform_points(c.camera_from_room, points), K) for c in rig], axis=1)
    xy[0, 0] = xy[1, :2] = xy[2, :, 3] = np.nan
    found = triangulate(np.stack([camera.projection for camera in rig]), xy)
    known = np.ones((5, 8), bool)
    known[1] = known[2, 3] = False  # one view or none
    assert np.array_equal(np.isfinite(found).all(axis=-1), known)
    assert np.allclose(found[known], points[known], atol=1e-6)


@pytest.mark.timeout(900)
def test_real_detections_of_three_cameras(tmp_path, capsys, realdata):
    gt = realdata / "mvor" / "annotations" / "camma_mvor_2018.json"
    dt = realdata / "mvor" / "detections_results" / "rtpose_kps.json"
    command = ["evaluate", "--dataset", "mvor-fusion", "--gt", str(gt), "--dt", str(dt)]
    assert main([*command, "--json", str(tmp_path / "scores.json")]) == 0
    out = capsys.readouterr().out
    assert "1061 people with a 3D pose" in out
    scores = json.loads((tmp_path / "scores.json").read_text())
    found = scores["found_by_views"]
    assert found["2"] + found["3"] >= 905 and found["1"] >= 60
    assert scores["false_people"] <= 73
    errors = scores["errors"]
    assert errors["two_or_three"]["room"]["mean"] < 8.7 and errors["three"]["room"]["mean"] < 7.3
    assert 60 <= errors["one"]["coverage_pct"] <= 76
    # Who is who and which side is left cost nothing: the truth's own assignment is no better.
    for group in ("two_or_three", "three"):
        fused, bound = errors[group]["room_joints_of_two_views"], scores["bounds"]["assigned"][group]
        assert fused["mean"] < bound["mean"] and fused["joints"] > bound["joints"]
