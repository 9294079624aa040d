"""Projection there and back, and 3D joints from depth as small as 64x48: where they are, and how sure."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.benchmarking.surface_offsets import fitted_offset, part_errors
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.geometry import (
    SURFACE_OFFSETS,
    Metric3DConfig,
    back_project,
    metric_3d,
    project,
    relative_to_root,
    transform_points,
)
from orpose_core.geometry.lookup_plan import lookup_plan
from orpose_core.image_ops import low_resolution_depth
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import COCO17, H36M17, MVOR10, OPENPOSE18, Skeleton
from orpose_core.types import Intrinsics, Poses, Resize, Source3D, Visibility

_CAMERA = Intrinsics(525, 520, 319.5, 239.5, 640, 480)


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0.3, 9))
@settings(max_examples=50, deadline=None)
def test_project_and_back_project_are_inverse(x, y, z):
    point = np.array([[x, y, z]])
    np.testing.assert_allclose(back_project(project(point, _CAMERA), point[:, 2], _CAMERA), point, atol=1e-9)


def test_behind_the_camera_is_nowhere():
    points = np.array([[0, 0, -1.0], [0, 0, 0], [np.nan, 0, 1], [0, 0, 1]])
    assert np.isnan(project(points, _CAMERA)).any(axis=-1).tolist() == [True, True, True, False]


def test_transform_points_keeps_nan_and_inverts():
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(np.array([0.3, -0.2, 0.9]))[0]
    matrix[:3, 3] = [1, 2, 3]
    points = np.array([[0.5, -1, 2], [np.nan, np.nan, np.nan]])
    back = transform_points(np.linalg.inv(matrix), transform_points(matrix, points))
    np.testing.assert_allclose(back, points, atol=1e-12)


_STANDING = {
    "nose": (32, 8), "left_eye": (33, 7), "right_eye": (31, 7), "left_ear": (34, 8), "right_ear": (30, 8),
    "neck": (32, 12), "left_shoulder": (35, 13), "right_shoulder": (29, 13), "left_elbow": (37, 18),
    "right_elbow": (27, 18), "left_wrist": (38, 23), "right_wrist": (26, 23), "left_hip": (34, 24),
    "right_hip": (30, 24), "left_knee": (34, 32), "right_knee": (30, 32), "left_ankle": (34, 40),
    "right_ankle": (30, 40), "head": (32, 7),
}  # fmt: skip


def _poses(skeleton=OPENPOSE18, people=1, shift=0.0):
    xy_small = np.array([_STANDING[j] for j in skeleton.joints], np.float32)
    xy = Resize((480, 640), (48, 64)).to_source(xy_small)
    xy = np.stack([xy + np.float32([shift * m, 0]) for m in range(people)]).astype(np.float32)
    n = len(skeleton)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    return Poses(skeleton, xy, np.ones((people, n), np.float32), np.ones(people, np.float32), boxes)


def _cutout(poses, person_m=3.0, room_m=5.0, radius_px=2):
    """A flat person before a wall, at 64x48."""
    depth = np.full((48, 64), room_m, np.float32)
    for x, y in Resize((480, 640), (48, 64)).to_target(poses.xy_px[0]):
        v, u = round(float(y)), round(float(x))
        depth[v - radius_px : v + radius_px + 1, u - radius_px : u + radius_px + 1] = person_m
    return depth


@pytest.mark.parametrize("skeleton", [OPENPOSE18, COCO17, MVOR10])
def test_joints_lie_behind_the_surface_by_their_offset(skeleton):
    poses = _poses(skeleton)
    result = metric_3d(poses, _cutout(poses), _CAMERA)
    for j, joint in enumerate(skeleton.joints):
        part = joint.removeprefix("left_").removeprefix("right_")
        ray = back_project(poses.xy_px[0, j], np.float32(1), _CAMERA)
        offset = SURFACE_OFFSETS.get(part, SURFACE_OFFSETS["ear"]).mean_m / np.linalg.norm(ray)
        np.testing.assert_allclose(result.xyz_cam_m[0, j], ray * (3.0 + offset), rtol=1e-4)
    assert (result.source_3d == Source3D.DEPTH).all()
    assert ((result.sigma_m > 0.01) & (result.sigma_m < 0.1)).all()


def test_holes_and_background_in_the_window_change_nothing():
    poses = _poses()
    whole = metric_3d(poses, _cutout(poses, radius_px=1), _CAMERA)
    depth = _cutout(poses, radius_px=1)
    generator = np.random.default_rng(0)
    depth[generator.random(depth.shape) < 0.25] = np.nan
    holed = metric_3d(poses, depth, _CAMERA)
    known = holed.source_3d == Source3D.DEPTH
    assert known.mean() > 0.8
    np.testing.assert_allclose(holed.xyz_cam_m[known], whole.xyz_cam_m[known], atol=1e-5)


def test_a_limb_hidden_by_something_near_is_unknown_not_near():
    poses = _poses()
    depth = _cutout(poses)
    depth[28:, :] = 1.2  # a table in front of the legs
    result = metric_3d(poses, depth, _CAMERA)
    legs = [OPENPOSE18.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]
    assert np.isnan(result.xyz_cam_m[0, legs]).all()
    assert (result.source_3d[0, legs] == Source3D.NONE).all()
    assert np.isnan(result.sigma_m[0, legs]).all()
    assert result.source_3d[0, OPENPOSE18.index("left_hip")] == Source3D.DEPTH


def test_nobody_no_depth_and_absent_joints():
    nobody = metric_3d(Poses.nobody(OPENPOSE18), np.ones((48, 64), np.float32), _CAMERA)
    assert nobody.xyz_cam_m.shape == (0, 18, 3) and nobody.sigma_m.shape == (0, 18)
    blind = metric_3d(_poses(), np.full((48, 64), np.nan, np.float32), _CAMERA)
    assert np.isnan(blind.xyz_cam_m).all() and (blind.source_3d == Source3D.NONE).all()
    poses = _poses()
    xy, scores = poses.xy_px.copy(), poses.scores.copy()
    xy[0, 4], scores[0, 4] = np.nan, 0
    absent = metric_3d(replace(poses, xy_px=xy, scores=scores), _cutout(poses), _CAMERA)
    assert np.isnan(absent.xyz_cam_m[0]).any(axis=-1).tolist() == [j == 4 for j in range(18)]
    outside = metric_3d(replace(poses, xy_px=poses.xy_px + np.float32(5000)), _cutout(poses), _CAMERA)
    assert np.isnan(outside.xyz_cam_m).all()


def test_the_mirror_image_gives_the_mirror_person():
    poses = _poses()
    depth = _cutout(poses) + np.linspace(0, 0.2, 64, dtype=np.float32)
    mirrored_xy = poses.xy_px * np.float32([-1, 1]) + np.float32([639, 0])
    result = metric_3d(poses, depth, _CAMERA)
    mirrored = metric_3d(replace(poses, xy_px=mirrored_xy), np.ascontiguousarray(depth[:, ::-1]), _CAMERA)
    np.testing.assert_allclose(mirrored.xyz_cam_m, result.xyz_cam_m * [-1, 1, 1], atol=1e-5)


def test_people_do_not_disturb_each_other():
    poses = _poses(people=3, shift=40)
    depth = _cutout(poses)
    together = metric_3d(poses, depth, _CAMERA)
    for m in range(3):
        alone = metric_3d(poses.select([m]), depth, _CAMERA)
        np.testing.assert_array_equal(alone.xyz_cam_m[0], together.xyz_cam_m[m])


def test_sigma_grows_with_what_is_uncertain():
    poses = _poses()
    depth = _cutout(poses)
    base = metric_3d(poses, depth, _CAMERA).sigma_m
    sloppy = replace(poses, sigma_px=np.full((1, 18), 20, np.float32))
    assert (metric_3d(sloppy, depth, _CAMERA).sigma_m > base).all()
    farther = replace(
        _CAMERA, fx=1.5 * _CAMERA.fx, fy=1.5 * _CAMERA.fy
    )  # the same person from 1.5 times as far
    assert (metric_3d(poses, depth * np.float32(1.5), farther).sigma_m > base).all()
    hidden = replace(poses, visibility=np.full((1, 18), Visibility.OCCLUDED, np.uint8))
    assert metric_3d(hidden, depth, _CAMERA).sigma_m.mean() > base.mean() + 0.02
    noisier = Metric3DConfig(sensor_noise_per_m=0.01)
    assert (metric_3d(poses, depth, _CAMERA, noisier).sigma_m > base).all()


def test_the_root_is_the_mean_of_the_hips_else_the_pelvis_else_unknown():
    xyz = np.random.default_rng(0).normal(size=(2, 18, 3)).astype(np.float32)
    hips = [OPENPOSE18.index("left_hip"), OPENPOSE18.index("right_hip")]
    root = relative_to_root(xyz, OPENPOSE18)
    np.testing.assert_allclose(root[:, hips].mean(axis=1), 0, atol=1e-6)
    xyz[0, hips[0]] = np.nan
    assert np.isnan(relative_to_root(xyz, OPENPOSE18)[0]).all()
    h36m = np.ones((1, 17, 3), np.float32)
    h36m[0, H36M17.index("left_hip")] = np.nan
    assert (relative_to_root(h36m, H36M17)[0, 0] == 0).all()


def test_what_is_no_depth_is_refused():
    with pytest.raises(ValueError, match="float32 of shape"):
        metric_3d(_poses(), np.ones((48, 64)), _CAMERA)
    with pytest.raises(ValueError, match="positive"):
        Metric3DConfig(gap_m=0)


@lru_cache(maxsize=2)
def _simulated_errors(domain, frames, sigma_px):
    """Distance from the truth, how much too near, sigma, and whether seen, of the joints of annotated people.

    The network's word on which joints are hidden is the truth here.
    """
    generator = np.random.default_rng(3)
    rows = []
    for index in range(frames):
        simulated = simulate_frame(StreamConfig(domain=domain, size_hw=(480, 640), seed=11), index)
        truth = as_mvor_annotates(simulated.poses).converted(OPENPOSE18)
        noise = generator.normal(0, sigma_px, truth.xy_px.shape)
        sigma = np.where(truth.scores > 0, sigma_px, np.nan).astype(np.float32)
        poses = replace(truth, xy_px=(truth.xy_px + noise).astype(np.float32), sigma_px=sigma)
        depth = low_resolution_depth(simulated.frame.depth_m, (48, 64))
        result = metric_3d(poses, depth, simulated.frame.intrinsics)
        error = truth.xyz_cam_m - result.xyz_cam_m
        ray = truth.xyz_cam_m / np.linalg.norm(truth.xyz_cam_m, axis=-1, keepdims=True)
        columns = np.linalg.norm(error, axis=-1), (error * ray).sum(axis=-1), result.sigma_m, truth.visibility
        rows.append(np.stack(columns, axis=-1)[truth.scores > 0])
    distance, too_near, sigma, visibility = np.concatenate(rows).T
    return distance, too_near, sigma, visibility == Visibility.VISIBLE


@pytest.mark.parametrize("domain", ["or", "general"])
def test_in_synthetic_rooms_joints_are_where_they_are_and_sigma_is_honest(domain):
    distance, _, sigma, seen = _simulated_errors(domain, 40, sigma_px=3.5)
    distance, sigma = distance[seen], sigma[seen]
    known = np.isfinite(distance)
    assert known.mean() > 0.85
    # A pixel of 64x48 is 6 cm wide at 3 m; the median error is below that.
    assert np.median(distance[known]) < 0.06
    assert np.quantile(distance[known], 0.9) < 0.2
    # sigma_m is the root mean square over three axes; for a Gaussian about 68 % lie within sqrt(3) of it.
    within = (distance[known] < np.sqrt(3) * sigma[known]).mean()
    assert 0.62 < within < 0.85
    assert (distance[known] < 3 * np.sqrt(3) * sigma[known]).mean() > 0.9


@pytest.mark.parametrize("domain", ["or", "general"])
def test_in_synthetic_rooms_hidden_joints_lie_behind_what_hides_them(domain):
    distance, too_near, _, seen = _simulated_errors(domain, 40, sigma_px=3.5)
    hidden = ~seen & np.isfinite(distance)
    assert hidden.sum() > 100
    # At the depth of what hides them they would be 15 to 20 cm too near.
    assert abs(np.median(too_near[hidden])) < 0.06
    assert np.median(distance[hidden]) < 0.15


def test_a_hidden_joint_leans_on_its_neighbours():
    """An elbow behind the back: the surface at it is the trunk's, and the shoulder is 0.3 m behind it."""
    poses = _poses()
    depth = _cutout(poses)
    elbow = OPENPOSE18.index("left_elbow")
    nearer = depth.copy()
    x, y = Resize((480, 640), (48, 64)).to_target(poses.xy_px[0, elbow]).round().astype(int)
    nearer[y - 2 : y + 3, x - 1 : x + 3] = 2.7
    visibility = np.full((1, 18), Visibility.VISIBLE, np.uint8)
    seen = metric_3d(replace(poses, visibility=visibility), nearer, _CAMERA)
    visibility[0, elbow] = Visibility.OCCLUDED
    hidden = metric_3d(replace(poses, visibility=visibility), nearer, _CAMERA)
    level = metric_3d(replace(poses, visibility=visibility), depth, _CAMERA)
    offset = SURFACE_OFFSETS["elbow"]
    behind = np.linalg.norm(hidden.xyz_cam_m[0, elbow]) - np.linalg.norm(seen.xyz_cam_m[0, elbow])
    beyond = 0.3 + SURFACE_OFFSETS["shoulder"].mean_m
    assert behind == pytest.approx(offset.hidden_m - offset.mean_m + beyond * offset.hidden_lean, abs=0.04)
    assert 2.9 < hidden.xyz_cam_m[0, elbow, 2] < level.xyz_cam_m[0, elbow, 2]
    others = np.arange(18) != elbow
    np.testing.assert_array_equal(hidden.xyz_cam_m[0, others], seen.xyz_cam_m[0, others])


def test_hidden_joints_of_the_torso_lean_on_those_that_are_seen():
    """In profile, the far shoulder and hip are behind the near ones."""
    poses = _poses()
    visibility = np.full((1, 18), Visibility.VISIBLE, np.uint8)
    far = [OPENPOSE18.index("right_shoulder"), OPENPOSE18.index("right_hip")]
    visibility[0, far] = Visibility.OCCLUDED
    seen = metric_3d(poses, _cutout(poses), _CAMERA)
    result = metric_3d(replace(poses, visibility=visibility), _cutout(poses), _CAMERA)
    moved = np.linalg.norm(result.xyz_cam_m - seen.xyz_cam_m, axis=-1)[0]
    assert ((moved[far] > 0.1) & (moved[far] < 0.4)).all()
    everybody = metric_3d(
        replace(poses, visibility=np.full((1, 18), Visibility.OCCLUDED, np.uint8)), _cutout(poses), _CAMERA
    )
    assert np.isfinite(everybody.xyz_cam_m).all()
    assert (everybody.xyz_cam_m[0, :, 2] > seen.xyz_cam_m[0, :, 2]).all()


def test_a_joint_that_may_be_hidden_lies_between_and_is_less_sure():
    poses = _poses()
    depth = _cutout(poses)
    at = {
        share: metric_3d(
            replace(poses, hidden_probability=np.full((1, 18), share, np.float32)), depth, _CAMERA
        )
        for share in (0.0, 0.5, 1.0)
    }
    np.testing.assert_array_equal(at[0.0].xyz_cam_m, metric_3d(poses, depth, _CAMERA).xyz_cam_m)
    depths = [at[share].xyz_cam_m[0, :, 2] for share in (0.0, 0.5, 1.0)]
    assert (np.diff(depths, axis=0) > 0.01).all()
    assert (at[0.5].sigma_m > at[0.0].sigma_m).all()
    said = metric_3d(
        replace(poses, visibility=np.full((1, 18), Visibility.OCCLUDED, np.uint8)), depth, _CAMERA
    )
    np.testing.assert_array_equal(said.xyz_cam_m, at[1.0].xyz_cam_m)


def test_the_distance_between_the_places_of_a_joint_adds_to_its_sigma():
    poses = _poses()
    wrist = OPENPOSE18.index("left_wrist")
    sigma, z = {}, {}
    for share in (0.0, 0.5, 1.0):
        hidden = np.zeros((1, 18), np.float32)
        hidden[0, wrist] = share
        placed = metric_3d(replace(poses, hidden_probability=hidden), _cutout(poses), _CAMERA)
        sigma[share], z[share] = placed.sigma_m[0, wrist], placed.xyz_cam_m[0, wrist, 2]
    assert z[0.5] == pytest.approx((z[0.0] + z[1.0]) / 2, abs=1e-3)
    mean = (sigma[0.0] ** 2 + sigma[1.0] ** 2) / 2
    assert 3 * (sigma[0.5] ** 2 - mean) == pytest.approx(((z[1.0] - z[0.0]) / 2) ** 2, rel=0.05)


def test_on_real_people_the_surface_is_the_labelled_one(realdata):
    labels = json.loads((realdata / "depth_people_labels.json").read_text())
    errors = []
    for image in labels["images"]:
        raw = cv2.imread(str(realdata / image["folder"] / image["depth"]), cv2.IMREAD_UNCHANGED)
        depth = np.where(raw > 0, raw / 1000, np.nan).astype(np.float32)
        small = low_resolution_depth(depth, (48, 64))
        camera = Intrinsics(*image["K"], image["width"], image["height"])
        people = [a for a in labels["annotations"] if a["image_id"] == image["id"]]
        keypoints = np.array([a["keypoints"] for a in people], np.float32).reshape(len(people), 10, 3)
        there = keypoints[..., 2] > 0
        poses = Poses(
            MVOR10,
            np.where(there[..., None], keypoints[..., :2], np.nan).astype(np.float32),
            there.astype(np.float32),
            np.ones(len(people), np.float32),
            np.zeros((len(people), 4), np.float32),
        )
        result = metric_3d(poses, small, camera)
        surface = np.array([a["surface3D_camera_mm"] for a in people]).reshape(len(people), 10, 4) / 1000
        for j, joint in enumerate(MVOR10.joints):
            part = joint.removeprefix("left_").removeprefix("right_")
            offset = SURFACE_OFFSETS.get(part, SURFACE_OFFSETS["ear"]).mean_m
            length = np.linalg.norm(result.xyz_cam_m[:, j], axis=-1) - offset
            seen = (keypoints[:, j, 2] == 2) & (surface[:, j, 2] > 0) & np.isfinite(length)
            errors.append(length[seen] - np.linalg.norm(surface[seen, j, :3], axis=-1))
    error = np.abs(np.concatenate(errors))
    assert len(error) > 40
    assert np.median(error) < 0.04
    # One shoulder label's own window looks past the person, at the wall 1.2 m behind.
    assert np.quantile(error, 0.85) < 0.15


def test_joints_of_no_known_part_hang_on_their_neighbours_along_the_limbs():
    """A skeleton with feet and a tool, and one with no part that is known."""
    joints = ("left_hip", "left_knee", "left_ankle", "left_toe", "tool", "left_wrist")
    odd = Skeleton("odd", joints, ((0, 1), (1, 2), (2, 3), (5, 4)), (0.1,) * 6)
    plan = lookup_plan(odd)
    place = {joints[i]: k for k, i in enumerate(plan.order)}
    assert place["left_ankle"] < place["left_toe"] and place["left_wrist"] < place["tool"]
    assert plan.parents[3, 0] == 2 and plan.parents[4, 0] == 5 and np.isfinite(plan.reach_m[3:5]).all()
    stars = Skeleton("stars", ("a", "b", "c"), ((0, 1), (1, 2)), (0.1,) * 3)
    plan = lookup_plan(stars)
    assert plan.parents[:, 0].tolist() == [1, -1, 1] and plan.order[0] == 1
    xy = np.float32([[[20, 20], [30, 20], [40, 20]]])
    poses = Poses(
        stars, xy, np.ones((1, 3), np.float32), np.ones(1, np.float32), np.zeros((1, 4), np.float32)
    )
    placed = metric_3d(poses, np.full((48, 64), 2.0, np.float32), Intrinsics(60, 60, 31.5, 23.5, 64, 48))
    assert placed.xyz_cam_m is not None and np.abs(placed.xyz_cam_m[..., 2] - 2.06).max() < 0.02


def test_the_offsets_of_hidden_joints_are_fitted_in_spite_of_outliers():
    rng = np.random.default_rng(0)
    beyond = rng.uniform(-0.2, 0.5, 2000)
    behind = 0.2 + 0.6 * beyond + rng.normal(0, 0.05, 2000)
    behind[:200] += 1.5
    offset = fitted_offset(behind, beyond)
    assert offset.mean_m == pytest.approx(0.2, abs=0.03)
    assert offset.lean == pytest.approx(0.6, abs=0.05)
    assert 0.04 < offset.spread_m < 0.1
    assert fitted_offset(behind, None).lean == 0


def test_offsets_are_measured_of_joints_that_are_seen_and_of_hidden_ones():
    frames = [simulate_frame(StreamConfig("or", (96, 128), "depth", 11), i) for i in range(6)]
    measured = part_errors([(f.frame, f.poses) for f in frames], np.random.default_rng(0))
    assert {key[1] for key in measured} == {Visibility.VISIBLE, Visibility.OCCLUDED}
    for errors in measured.values():
        assert 0 < len(errors.behind_m) <= errors.wanted
        assert np.isfinite(errors.error_m).all() and (errors.sigma_m > 0).all()
