"""The flowing values: what their constructors hold, and what selecting and converting keeps."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.skeleton import BODY24, COCO17, MVOR10, OPENPOSE18, SKELETONS, Skeleton
from orpose_core.types import Intrinsics, Poses, PseudoLabels, Resize, RgbdFrame, Source3D, Visibility

SKELETON = st.sampled_from(list(SKELETONS.values()))
SEED = st.integers(0, 2**32 - 1)


def full_poses(seed: int, skeleton: Skeleton, m: int, absent: float = 0.3) -> Poses:
    """Poses with every field."""
    rng = np.random.default_rng(seed)
    n = len(skeleton)
    scores = np.where(rng.random((m, n)) < absent, 0.0, rng.uniform(0.1, 1, (m, n))).astype(np.float32)
    xyz = rng.normal(size=(m, n, 3)).astype(np.float32)
    xyz[rng.random((m, n)) < absent] = np.nan
    return Poses(
        skeleton,
        np.where(scores[..., None] > 0, rng.uniform(0, 640, (m, n, 2)), np.nan).astype(np.float32),
        scores,
        rng.random(m).astype(np.float32),
        rng.uniform(0, 640, (m, 4)).astype(np.float32),
        xyz_root_m=xyz,
        xyz_cam_m=xyz + np.float32(3),
        visibility=rng.integers(0, 3, (m, n)).astype(np.uint8),
        hidden_probability=np.where(scores > 0, rng.random((m, n)), np.nan).astype(np.float32),
        sigma_px=rng.random((m, n)).astype(np.float32),
        sigma_m=rng.random((m, n)).astype(np.float32),
        source_3d=rng.integers(0, 5, (m, n)).astype(np.uint8),
        track_ids=rng.permutation(1000)[:m].astype(np.int64),
        box_scores=rng.random(m).astype(np.float32),
    )


FIELDS = [name for name in vars(full_poses(0, COCO17, 1)) if name != "skeleton"]


@pytest.mark.parametrize("skeleton", list(SKELETONS.values()), ids=lambda s: s.name)
def test_nobody_is_an_empty_array(skeleton: Skeleton) -> None:
    nobody = Poses.nobody(skeleton)
    assert len(nobody) == 0 and nobody.xy_px.shape == (0, len(skeleton), 2)
    assert len(nobody.select([])) == 0
    assert len(nobody.converted(MVOR10)) == 0 and nobody.converted(MVOR10).skeleton == MVOR10


@settings(max_examples=30, deadline=None)
@given(SEED, SKELETON, st.integers(0, 5), st.data())
def test_selecting_takes_the_same_people_of_every_field(
    seed: int, skeleton: Skeleton, m: int, data: st.DataObject
) -> None:
    poses = full_poses(seed, skeleton, m)
    chosen = data.draw(st.lists(st.integers(0, m - 1), max_size=6)) if m else []
    part = poses.select(chosen)
    assert len(part) == len(chosen)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(poses, name)[np.array(chosen, int)])
    mask = np.isin(np.arange(m), chosen)
    np.testing.assert_array_equal(poses.select(mask).track_ids, poses.track_ids[mask])
    everybody = poses.select(np.arange(m))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(everybody, name), getattr(poses, name))


@settings(max_examples=40, deadline=None)
@given(SEED, SKELETON, SKELETON, st.integers(0, 4))
def test_converting_keeps_people_and_joints_of_the_same_name(
    seed: int, source: Skeleton, target: Skeleton, m: int
) -> None:
    poses = full_poses(seed, source, m)
    out = poses.converted(target)
    assert out.skeleton == target and len(out) == m
    np.testing.assert_array_equal(out.boxes_px, poses.boxes_px)
    np.testing.assert_array_equal(out.person_scores, poses.person_scores)
    np.testing.assert_array_equal(out.track_ids, poses.track_ids)
    np.testing.assert_array_equal(out.box_scores, poses.box_scores)
    for j, joint in enumerate(target.joints):
        if joint in source.joints:
            i = source.index(joint)
            for name in set(FIELDS) - {"person_scores", "boxes_px", "track_ids", "box_scores"}:
                np.testing.assert_array_equal(
                    getattr(out, name)[:, j], getattr(poses, name)[:, i], err_msg=name
                )
        elif target != source:
            assert out.visibility is not None and out.source_3d is not None and out.sigma_px is not None
            assert (out.visibility[:, j] == Visibility.ABSENT).all()
            assert (out.source_3d[:, j] == Source3D.NONE).all()
            assert np.isnan(out.sigma_px[:, j]).all()


@settings(max_examples=30, deadline=None)
@given(SEED, st.sampled_from([COCO17, MVOR10, OPENPOSE18]), st.integers(0, 3))
def test_there_and_back_through_the_largest_skeleton_is_nothing(
    seed: int, skeleton: Skeleton, m: int
) -> None:
    poses = full_poses(seed, skeleton, m)
    back = poses.converted(BODY24).converted(skeleton)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(back, name), getattr(poses, name), err_msg=name)


def test_a_derived_3d_joint_is_the_mean_of_its_parents() -> None:
    poses = full_poses(0, COCO17, 1, absent=0.0)
    assert poses.xyz_cam_m is not None
    neck = poses.converted(MVOR10).xyz_cam_m
    shoulders = poses.xyz_cam_m[0, [COCO17.index("left_shoulder"), COCO17.index("right_shoulder")]]
    assert neck is not None
    np.testing.assert_allclose(neck[0, MVOR10.index("neck")], shoulders.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("name", FIELDS)
def test_wrong_shapes_and_dtypes_are_refused(name: str) -> None:
    poses = full_poses(1, COCO17, 2)
    value = getattr(poses, name)
    with pytest.raises(ValueError, match="Poses"):
        replace(poses, **{name: value[..., None]})
    wrong = np.float64 if value.dtype == np.float32 else np.int32
    with pytest.raises(ValueError, match=f"{name}: expected {value.dtype.name}"):
        replace(poses, **{name: value.astype(wrong)})
    with pytest.raises(ValueError, match="expected a numpy array, got list"):
        replace(poses, **{name: value.tolist()})


def test_score_zero_and_nan_go_together() -> None:
    poses = full_poses(2, COCO17, 2, absent=0.0)
    scores = poses.scores.copy()
    scores[0, 0] = 0.0
    with pytest.raises(ValueError, match="score must be 0 exactly where"):
        replace(poses, scores=scores)
    xy_px = poses.xy_px.copy()
    xy_px[1, 3, 1] = np.nan
    with pytest.raises(ValueError, match="score must be 0 exactly where"):
        replace(poses, xy_px=xy_px)
    for bad in (1.5, -0.1, np.nan):
        scores = poses.scores.copy()
        scores[0, 0] = bad
        with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
            replace(poses, scores=scores)


def test_values_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        full_poses(0, COCO17, 1).scores = np.zeros((1, 17), np.float32)  # type: ignore[misc]


def test_soft_and_hard_labels_are_of_the_same_people() -> None:
    two, one = full_poses(0, COCO17, 2), full_poses(0, COCO17, 1)
    PseudoLabels(two, two, 5, "teacher")
    with pytest.raises(ValueError, match="image 5: soft and hard must be the same people, got 2 and 1"):
        PseudoLabels(two, one, 5, "teacher")
    with pytest.raises(ValueError, match="skeletons differ"):
        PseudoLabels(two, full_poses(0, MVOR10, 2), 5, "teacher")


def test_frames_check_what_they_hold() -> None:
    rgb, depth_m = np.zeros((4, 6, 3), np.uint8), np.ones((4, 6), np.float32)
    k = Intrinsics(5.0, 5.0, 2.5, 1.5, 6, 4)
    frame = RgbdFrame(rgb, depth_m, k)
    assert frame.size_hw == (4, 6) and RgbdFrame(None, depth_m, None).size_hw == (4, 6)
    with pytest.raises(ValueError, match="color or a depth image, got neither"):
        RgbdFrame(None, None, k)
    with pytest.raises(ValueError, match="color is 6x4 but depth is 6x5"):
        RgbdFrame(rgb, np.ones((5, 6), np.float32), None)
    with pytest.raises(ValueError, match="intrinsics are for 6x4"):
        RgbdFrame(None, np.ones((5, 6), np.float32), k)
    with pytest.raises(ValueError, match="expected float32"):
        RgbdFrame(None, depth_m.astype(np.float64), None)
    with pytest.raises(ValueError, match="expected uint8"):
        RgbdFrame(rgb[..., 0], None, None)


def full(seed: int) -> Poses:
    """Two people in a 64x48 image with every optional value, some joints absent."""
    rng = np.random.default_rng(seed)
    shape = (2, len(COCO17))
    absent = rng.random(shape) < 0.2
    xy = rng.uniform((0, 0), (63, 47), (*shape, 2)).astype(np.float32)
    xy[absent] = np.nan
    return Poses(
        COCO17,
        xy,
        np.where(absent, 0, rng.uniform(0.1, 1, shape)).astype(np.float32),
        np.ones(2, np.float32),
        np.array([[1, 2, 30, 40], [-0.5, -0.5, 63.5, 47.5]], np.float32),
        xyz_root_m=rng.normal(size=(*shape, 3)).astype(np.float32),
        xyz_cam_m=rng.normal(size=(*shape, 3)).astype(np.float32),
        visibility=np.where(absent, 0, 2).astype(np.uint8),
        hidden_probability=np.where(absent, np.nan, rng.random(shape)).astype(np.float32),
        sigma_px=np.where(absent, np.nan, rng.uniform(0.1, 1, shape)).astype(np.float32),
        sigma_m=rng.uniform(0.1, 1, shape).astype(np.float32),
        source_3d=np.ones(shape, np.uint8),
        track_ids=np.array([4, 7]),
    )


def assert_equal(a: Poses, b: Poses) -> None:
    for name, value in vars(a).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(getattr(b, name), value, atol=1e-4, err_msg=name)


def test_resized_mirrored_and_moved_poses_come_back() -> None:
    poses = full(1)
    there = Resize((48, 64), (480, 640))
    large = poses.resized(there)
    assert_equal(poses, large.resized(there.inverse()))
    assert large.boxes_px[1].tolist() == [-0.5, -0.5, 639.5, 479.5]
    assert large.sigma_px is not None and poses.sigma_px is not None
    np.testing.assert_allclose(large.sigma_px, 10 * poses.sigma_px, rtol=1e-5)
    mirrored = poses.mirrored(64)
    assert_equal(poses, mirrored.mirrored(64))
    left, right = COCO17.index("left_wrist"), COCO17.index("right_wrist")
    for name in ("scores", "visibility", "hidden_probability", "sigma_px", "sigma_m"):
        np.testing.assert_array_equal(getattr(mirrored, name)[:, left], getattr(poses, name)[:, right])
    np.testing.assert_allclose(mirrored.xy_px[:, left, 0], 63 - poses.xy_px[:, right, 0], atol=1e-5)
    assert mirrored.xyz_cam_m is not None and poses.xyz_cam_m is not None
    np.testing.assert_array_equal(mirrored.xyz_cam_m[:, left], poses.xyz_cam_m[:, right] * [-1, 1, 1])
    offset = np.array([3.0, -2.0], np.float32)
    twice = poses.moved(2.0, offset, (480, 640)).moved(0.5, -offset / 2, (480, 640))
    inside = twice.scores > 0
    np.testing.assert_allclose(twice.xy_px[inside], poses.xy_px[inside], atol=1e-4)
    nobody = Poses.nobody(COCO17)
    for changed in (nobody.resized(there), nobody.mirrored(64), nobody.moved(2.0, offset, (48, 64))):
        assert len(changed) == 0


def test_what_moves_out_of_the_image_is_absent_and_boxes_are_cut() -> None:
    poses = full(2)
    moved = poses.moved(1.0, np.array([32.0, 0.0], np.float32), (48, 64))
    out = poses.xy_px[..., 0] + 32 > 63.5
    assert out.any() and moved.visibility is not None and moved.sigma_px is not None
    assert not moved.scores[out].any() and not moved.visibility[out].any()
    assert np.isnan(moved.xy_px[out]).all() and np.isnan(moved.sigma_px[out]).all()
    assert moved.hidden_probability is not None and np.isnan(moved.hidden_probability[out]).all()
    assert moved.boxes_px[1].tolist() == [31.5, -0.5, 63.5, 47.5]
    assert moved.xyz_cam_m is not None and not np.isnan(moved.xyz_cam_m).any()  # it is still in the room


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(1, 1000)] * 4), st.tuples(*[st.integers(1, 700)] * 4))
def test_intrinsics_resized_there_and_back(k: tuple[float, ...], sizes: tuple[int, ...]) -> None:
    original = Intrinsics(*k, sizes[0], sizes[1])
    back = original.resized((sizes[2], sizes[3])).resized((sizes[1], sizes[0]))
    assert (back.width, back.height) == (original.width, original.height)
    for name in ("fx", "fy", "cx", "cy"):
        assert getattr(back, name) == pytest.approx(getattr(original, name), rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.5, 8))
def test_a_point_projects_to_the_same_place_of_a_resized_image(x: float, y: float, z: float) -> None:
    camera = Intrinsics(538.6, 538.2, 315.8, 241.9, 640, 480)
    small = camera.resized((40, 53))  # no integer factor
    u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    assert small.fx * x / z + small.cx == pytest.approx((u + 0.5) * 53 / 640 - 0.5, abs=1e-9)
    assert small.fy * y / z + small.cy == pytest.approx((v + 0.5) * 40 / 480 - 0.5, abs=1e-9)


def test_bad_intrinsics_are_refused() -> None:
    for bad, words in (
        ((0.0, 1.0, 0.0, 0.0, 4, 4), "positive"),
        ((1.0, 1.0, float("nan"), 0.0, 4, 4), "finite"),
        ((1.0, 1.0, 0.0, 0.0, 0, 4), "positive size"),
    ):
        with pytest.raises(ValueError, match=words):
            Intrinsics(*bad)
