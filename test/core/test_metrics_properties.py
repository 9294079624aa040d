"""What must hold of every metric, whatever the people: perfect is perfect, order and scale do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.evaluation import PUBLISHED, STRICT, evaluate_poses
from orpose_core.metrics.coco_ap import ap_of_poses
from orpose_core.metrics.mpjpe import (
    UPPER_BODY,
    MpjpeConfig,
    match_by_oks,
    mpjpe,
    mpjpe_of_poses,
    procrustes_aligned,
)
from orpose_core.metrics.oks import object_keypoint_similarity
from orpose_core.metrics.pck import PckConfig, pck_of_poses
from orpose_core.metrics.people import People, same_image_pairs
from orpose_core.skeleton import COCO17, MVOR10, OPENPOSE18, Skeleton
from orpose_core.types import Poses

SEEDS = st.integers(0, 2**32 - 1)
SKELETONS = st.sampled_from([COCO17, MVOR10, OPENPOSE18])


def people(
    rng: np.random.Generator, m: int, skeleton: Skeleton = COCO17, absent: float = 0.0, with_3d: bool = True
) -> Poses:
    """m people who stand apart, a share of their joints absent, scores all different."""
    n = len(skeleton)
    centres = np.stack([200.0 * np.arange(m) + 100.0, rng.uniform(100, 300, m)], axis=-1)
    xy_px = centres[:, None] + rng.uniform(-60, 60, (m, n, 2))
    there = rng.random((m, n)) >= absent
    xyz = rng.uniform(-0.5, 0.5, (m, n, 3)) + np.array([0.0, 0.0, 3.0])
    low, high = xy_px.min(axis=1), xy_px.max(axis=1)
    return Poses(
        skeleton,
        np.where(there[..., None], xy_px, np.nan).astype(np.float32),
        np.where(there, rng.uniform(0.2, 1.0, (m, n)), 0.0).astype(np.float32),
        (rng.permutation(m) / 100.0 + rng.uniform(0.1, 0.105)).astype(np.float32),
        np.concatenate([low, high], axis=1).reshape(m, 4).astype(np.float32),
        xyz_cam_m=xyz.astype(np.float32) if with_3d else None,
    )


def jittered(rng: np.random.Generator, poses: Poses, sigma_px: float = 15.0) -> Poses:
    """The same people, found with an error."""
    xy_px = poses.xy_px + rng.normal(0, sigma_px, poses.xy_px.shape).astype(np.float32)
    boxes = poses.boxes_px + rng.normal(0, sigma_px / 3, poses.boxes_px.shape).astype(np.float32)
    xyz = poses.xyz_cam_m
    if xyz is not None:
        xyz = xyz + rng.normal(0, 0.1, xyz.shape).astype(np.float32)
    scores = rng.permutation(len(poses)) / 50.0 + rng.uniform(0.1, 0.11)
    return replace(poses, xy_px=xy_px, boxes_px=boxes, xyz_cam_m=xyz, person_scores=scores.astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.lists(st.integers(0, 4), min_size=1, max_size=5), st.sampled_from([0.0, 0.3]))
def test_perfect_detections_are_perfect(seed: int, counts: list[int], absent: float) -> None:
    rng = np.random.default_rng(seed)
    gt = [people(rng, m, absent=absent) for m in [*counts, 2]]
    scores = evaluate_poses(gt, gt, protocol=STRICT)
    assert scores["pck"]["Average"] == pytest.approx(100.0)
    assert scores["box_ap"]["AP"] == pytest.approx(1.0)
    assert scores["keypoint_ap"]["AP"] == pytest.approx(1.0)
    assert scores["mpjpe"]["MPJPE"] == pytest.approx(0.0, abs=1e-6)
    assert scores["mpjpe"]["PA-MPJPE"] == pytest.approx(0.0, abs=1e-3)
    assert scores["mpjpe"]["3D-PCK"] == pytest.approx(100.0)
    assert scores["images"] == len(counts) + 1
    assert scores["people"] == sum(counts) + 2


def _flat(scores: dict) -> dict[str, float]:
    return {
        f"{metric}/{name}": value
        for metric, values in scores.items()
        if isinstance(values, dict)
        for name, value in values.items()
    }


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.booleans())
def test_the_order_of_people_and_images_does_not_matter(seed: int, strict: bool) -> None:
    rng = np.random.default_rng(seed)
    gt = [people(rng, m, absent=0.2) for m in (3, 0, 1, 4)]
    dt = [jittered(rng, p) for p in gt]
    # Scores differ over all images: COCO ranks equal ones by the order of the images.
    ranks = rng.permutation(sum(map(len, dt))) / 20.0 + 0.1
    parts = np.split(ranks.astype(np.float32), np.cumsum([len(p) for p in dt])[:-1])
    dt = [replace(p, person_scores=s) for p, s in zip(dt, parts, strict=True)]
    order = rng.permutation(len(gt))
    shuffled_gt = [gt[i].select(rng.permutation(len(gt[i]))) for i in order]
    shuffled_dt = [dt[i].select(rng.permutation(len(dt[i]))) for i in order]
    config = {"protocol": STRICT if strict else PUBLISHED}
    before = _flat(evaluate_poses(gt, dt, **config))
    after = _flat(evaluate_poses(shuffled_gt, shuffled_dt, **config))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([0.125, 0.5, 2.0, 4.0]))
def test_scaling_the_image_leaves_pck(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    gt = [people(rng, 3, MVOR10)]
    dt = [jittered(rng, p) for p in gt]

    def scaled(poses: list[Poses]) -> list[Poses]:
        return [
            replace(p, xy_px=p.xy_px * np.float32(scale), boxes_px=p.boxes_px * np.float32(scale))
            for p in poses
        ]

    strict = PckConfig.strict()
    np.testing.assert_array_equal(
        pck_of_poses(gt, dt, strict).per_joint_pct, pck_of_poses(scaled(gt), scaled(dt), strict).per_joint_pct
    )
    # The published protocol adds a pixel to a person's size; scale that too, and it is the same.
    margin = PckConfig(extent_margin_px=scale)
    np.testing.assert_array_equal(
        pck_of_poses(gt, dt).per_joint_pct, pck_of_poses(scaled(gt), scaled(dt), margin).per_joint_pct
    )


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.tuples(*[st.floats(-5, 5)] * 3))
def test_a_shift_in_space_leaves_root_relative_errors(seed: int, shift: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(seed)
    gt = [people(rng, 3)]
    dt = [jittered(rng, p) for p in gt]
    assert dt[0].xyz_cam_m is not None
    moved = [replace(dt[0], xyz_cam_m=dt[0].xyz_cam_m + np.array(shift, np.float32))]
    before, after = mpjpe_of_poses(gt, dt), mpjpe_of_poses(gt, moved)
    assert before.mpjpe_mm > 50
    assert after.mpjpe_mm == pytest.approx(before.mpjpe_mm, abs=0.01)
    assert after.pa_mpjpe_mm == pytest.approx(before.pa_mpjpe_mm, abs=0.01)
    assert before.pa_mpjpe_mm <= before.mpjpe_mm
    in_camera = MpjpeConfig(camera_frame=True)
    if np.linalg.norm(shift) > 1.0:
        assert mpjpe_of_poses(gt, moved, in_camera).mpjpe_mm > mpjpe_of_poses(gt, dt, in_camera).mpjpe_mm


@settings(max_examples=30, deadline=None)
@given(SEEDS, SKELETONS, SKELETONS, st.integers(0, 5), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0]))
def test_odd_shapes_and_absent_joints_give_scores_in_range(
    seed: int, gt_skeleton: Skeleton, dt_skeleton: Skeleton, m: int, k: int, absent: float
) -> None:
    rng = np.random.default_rng(seed)
    gt = [people(rng, m, gt_skeleton, absent), Poses.nobody(gt_skeleton)]
    dt = [people(rng, k, dt_skeleton, absent), people(rng, 1, dt_skeleton)]
    for config in ({}, {"protocol": STRICT}, {"protocol": PUBLISHED}):
        scores = evaluate_poses(gt, dt, **config)
        for name, value in _flat(scores).items():
            assert np.isnan(value) or value >= 0, name
            if name.endswith(("pct", "Average", "Head", "3D-PCK")) and name.startswith("pck"):
                assert np.isnan(value) or value <= 100 + 1e-9, name


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_procrustes_undoes_a_similarity_transform(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(4, 8, 3))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    source = 1.7 * target @ rotation + [1.0, -2.0, 3.0]
    source[0, 5] = np.nan
    aligned = procrustes_aligned(source, target)
    known = ~np.isnan(source).any(axis=-1)
    np.testing.assert_allclose(aligned[known], target[known], atol=1e-9)
    assert np.isnan(aligned[~known]).all()
    mirrored = procrustes_aligned(target * [-1, 1, 1], target)
    assert np.linalg.norm(mirrored - target, axis=-1).mean() > 0.1  # a mirror image is no rotation


def test_nobody_annotated_scores_nothing_whatever_was_detected() -> None:
    rng = np.random.default_rng(0)
    gt, dt = [Poses.nobody(COCO17)] * 2, [people(rng, 2), people(rng, 1)]
    for detections in (dt, gt):
        scores = evaluate_poses(gt, detections, ["pck", "box_ap", "keypoint_ap", "mpjpe"])
        assert np.isnan(scores["pck"]["Average"])
        assert np.isnan(scores["box_ap"]["AP"]) and np.isnan(scores["keypoint_ap"]["AP"])
        assert np.isnan(scores["mpjpe"]["MPJPE"]) and scores["mpjpe"]["n_people"] == 0
    empty = evaluate_poses([], [])
    assert np.isnan(empty["pck"]["Average"]) and empty["images"] == 0


def test_nobody_detected_is_zero() -> None:
    gt = [people(np.random.default_rng(0), 3)]
    scores = evaluate_poses(gt, [Poses.nobody(COCO17)], ["pck", "box_ap", "keypoint_ap", "mpjpe"])
    assert scores["pck"]["Average"] == 0.0 and scores["pck"]["matched_people_pct"] == 0.0
    assert scores["box_ap"]["AP"] == 0.0 and scores["keypoint_ap"]["AP"] == 0.0
    assert np.isnan(scores["mpjpe"]["MPJPE"]) and scores["mpjpe"]["matched_people_pct"] == 0.0
    assert scores["mpjpe"]["3D-PCK"] == 0.0


def test_false_positives_lower_ap_and_not_pck() -> None:
    rng = np.random.default_rng(3)
    gt = [people(rng, 3), Poses.nobody(COCO17)]
    confident = people(rng, 4)
    confident = replace(confident, person_scores=np.full(4, 0.99, np.float32))
    scores = evaluate_poses(gt, [gt[0], confident], protocol=STRICT)
    assert scores["pck"]["Average"] == pytest.approx(100.0)
    assert scores["box_ap"]["AP"] < 0.6 and scores["keypoint_ap"]["AP"] < 0.6
    assert scores["mpjpe"]["MPJPE"] == pytest.approx(0.0, abs=1e-6)


def test_a_missing_joint_is_wrong_in_pck_and_left_out_of_mpjpe() -> None:
    gt = people(np.random.default_rng(4), 2, MVOR10)
    xy_px, scores = gt.xy_px.copy(), gt.scores.copy()
    wrist = MVOR10.index("left_wrist")
    xy_px[:, wrist], scores[:, wrist] = np.nan, 0.0
    assert gt.xyz_cam_m is not None
    xyz = gt.xyz_cam_m.copy()
    xyz[:, wrist] = np.nan
    dt = replace(gt, xy_px=xy_px, scores=scores, xyz_cam_m=xyz)
    result = pck_of_poses([gt], [dt], PckConfig.strict())
    assert result.per_joint_pct[0, wrist] == 0.0 and result.parts_pct["Wrist"][0] == 50.0
    assert result.mean_pct[0] == pytest.approx(90.0)
    errors = mpjpe_of_poses([gt], [dt])
    assert errors.mpjpe_mm == pytest.approx(0.0, abs=1e-6)
    assert errors.predicted_joints_pct == pytest.approx(100.0 * 7 / 8)
    assert errors.pck3d_pct == pytest.approx(100.0 * 7 / 8)


def test_the_quirks_of_pck_and_their_switches() -> None:
    skeleton = MVOR10
    base = people(np.random.default_rng(5), 1, skeleton)
    # 1. a joint without annotation is an error
    xy_px, scores = base.xy_px.copy(), base.scores.copy()
    xy_px[0, 0], scores[0, 0] = np.nan, 0.0
    partial = replace(base, xy_px=xy_px, scores=scores)
    assert pck_of_poses([partial], [base]).per_joint_pct[0, 0] == 0.0
    lenient = pck_of_poses([partial], [base], PckConfig(unannotated_joints_are_errors=False))
    assert np.isnan(lenient.per_joint_pct[0, 0]) and lenient.mean_pct[0] == pytest.approx(100.0)
    # 3. one detection serves two people who stand at the same place
    two = Poses(
        skeleton,
        np.repeat(base.xy_px, 2, axis=0),
        np.repeat(base.scores, 2, axis=0),
        np.ones(2, np.float32),
        np.repeat(base.boxes_px, 2, axis=0),
    )
    assert (pck_of_poses([two], [base]).matched == 0).all()
    assert sorted(pck_of_poses([two], [base], PckConfig(shared_detections=False)).matched) == [-1, 0]
    # 4. a detection elsewhere with the same score, listed first, is taken
    far = replace(base, xy_px=base.xy_px + np.float32(5000))
    both = Poses(
        skeleton,
        np.concatenate([far.xy_px, base.xy_px]),
        np.concatenate([far.scores, base.scores]),
        np.full(2, 0.5, np.float32),
        np.concatenate([far.boxes_px, base.boxes_px]),
    )
    assert pck_of_poses([base], [both]).mean_pct[0] == 0.0
    assert pck_of_poses([base], [both], PckConfig(score_ties_over_whole_image=False)).mean_pct[0] == 100.0


def test_mpjpe_counts_a_joint_the_truth_lacks_as_zero_only_when_asked() -> None:
    rng = np.random.default_rng(6)
    gt = rng.normal(size=(2, 8, 3))
    dt = gt + [0.0, 0.0, 0.1] * np.arange(8)[:, None]  # errors grow along the joints
    elbow = UPPER_BODY.index("left_elbow")
    gt[0, elbow] = np.nan
    plain, released = mpjpe(gt, dt), mpjpe(gt, dt, MpjpeConfig.released())
    assert released.per_joint_mm[elbow] == pytest.approx(plain.per_joint_mm[elbow] / 2)


def test_mpjpe_by_hand() -> None:
    """One person, each joint 30 mm off but the hips: the mean over the eight joints is 22.5 mm."""
    gt = np.random.default_rng(7).normal(size=(1, 8, 3))
    dt = gt.copy()
    for k, joint in enumerate(UPPER_BODY):
        if not joint.endswith("hip"):
            dt[0, k, 1] += 0.03
    result = mpjpe(gt, dt)
    assert result.mpjpe_mm == pytest.approx(22.5)
    assert result.groups_mm == pytest.approx({"Shoulder": 30.0, "Hip": 0.0, "Elbow": 30.0, "Wrist": 30.0})


def test_strict_mpjpe_wants_a_resembling_detection_for_each_person() -> None:
    rng = np.random.default_rng(8)
    gt = people(rng, 2)
    far = replace(gt.select([0]), xy_px=gt.xy_px[:1] + np.float32(3000))
    assert (match_by_oks([gt], [far], MpjpeConfig()) >= 0).all()  # however unlike, and for both
    assert (match_by_oks([gt], [far], MpjpeConfig.strict()) == -1).all()
    assert sorted(match_by_oks([gt], [gt.select([0])], MpjpeConfig.strict())) == [-1, 0]


def test_oks_equals_that_of_pycocotools() -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(9)
    gt_xy, dt_xy = rng.uniform(0, 100, (3, 17, 2)), rng.uniform(0, 100, (4, 17, 2))
    flags = (rng.random((3, 17)) < 0.7).astype(int) * 2
    flags[2] = 0  # nothing annotated: COCO's rule of the doubled box
    boxes = np.array([[10.0, 20, 80, 60], [0, 0, 50, 90], [30, 30, 40, 40]])  # x y w h
    gt = COCO()
    gt.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": 1}],
        "annotations": [
            {
                "id": k + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": boxes[k].tolist(),
                "area": float(boxes[k, 2:].prod()), "num_keypoints": int((flags[k] > 0).sum()),
                "keypoints": np.concatenate([gt_xy[k], flags[k][:, None]], axis=1).reshape(-1).tolist(),
            }
            for k in range(3)
        ],
    }  # fmt: skip
    gt.createIndex()
    dt = COCO()
    dt.dataset = {
        **gt.dataset,
        "annotations": [
            {
                "id": k + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 1.0,
                "score": 1.0 - k / 10,
                "keypoints": np.concatenate([dt_xy[k], np.ones((17, 1))], axis=1).reshape(-1).tolist(),
            }
            for k in range(4)
        ],
    }  # fmt: skip
    dt.createIndex()
    evaluation = COCOeval(gt, dt, "keypoints")
    evaluation._prepare()
    wanted = evaluation.computeOks(1, 1)  # detections x ground truths
    xyxy = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    for g in range(3):
        ours = object_keypoint_similarity(
            np.repeat(gt_xy[g : g + 1], 4, axis=0),
            np.repeat(flags[g : g + 1] > 0, 4, axis=0),
            np.repeat(xyxy[g : g + 1], 4, axis=0),
            dt_xy,
            np.asarray(COCO17.sigmas),
        )
        np.testing.assert_allclose(ours, wanted[:, g], rtol=1e-9)


def test_ap_of_poses_equals_that_of_a_file_with_box_areas() -> None:
    rng = np.random.default_rng(10)
    gt = [people(rng, 3), people(rng, 2)]
    dt = [jittered(rng, p, 8.0) for p in gt]
    result = ap_of_poses(gt, dt, "keypoint")
    assert 0.0 < result.scores["AP"] < 1.0
    assert result.precision50.shape == (101,)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=12), st.lists(st.integers(0, 6), max_size=12))
def test_same_image_pairs_are_all_pairs(gt_image: list[int], dt_image: list[int]) -> None:
    g, d = same_image_pairs(np.array(gt_image, np.int64), np.array(dt_image, np.int64))
    wanted = [(i, j) for i, a in enumerate(gt_image) for j, b in enumerate(dt_image) if a == b]
    assert list(zip(g.tolist(), d.tolist(), strict=True)) == wanted


def test_people_of_different_skeletons_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one skeleton.*coco17.*mvor10"):
        People.of([Poses.nobody(COCO17), Poses.nobody(MVOR10)], COCO17)
    with pytest.raises(ValueError, match="as many images"):
        evaluate_poses([Poses.nobody(COCO17)], [])
    with pytest.raises(ValueError, match="metrics of"):
        evaluate_poses([], [], ["map"])
    with pytest.raises(ValueError, match="positive"):
        PckConfig((0.0,))
    with pytest.raises(ValueError, match="hips"):
        MpjpeConfig(joints=("left_wrist",))
