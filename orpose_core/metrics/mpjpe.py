"""3D errors: MPJPE as ORPose reports it (Sect. 3.2 and its released evaluator), PA-MPJPE and 3D PCK.

The protocol:

1. A ground truth counts when it has 3D joints. It is compared with the detection of the same image whose 2D
   joints have the highest OKS with its own (COCO's sigmas, area of the annotated box).
2. *There is no lower limit of the OKS, and one detection can match several people* (``min_oks``,
   ``one_to_one``). In an image without detections the people are left out, not counted as missed: MPJPE does
   not measure recall, so read it together with ``matched_people_pct``.
3. Both poses are relative to the root, the mean of the two hips. (The released evaluator takes the root of
   the ground truth only; the prediction is root-relative by construction there. Taking it of both changes
   nothing for such a prediction and makes the error blind to a shift of the whole person.) A prediction that
   lacks a hip stays relative to the root that it was given with.
4. An error is the distance in mm. Each joint's is averaged over all people of the data set, not per image
   first; joints are averaged into groups, and MPJPE is the mean of the eight upper-body joints: shoulders,
   hips, elbows, wrists.
5. *A joint that the ground truth lacks counts as an error of 0 mm in the released evaluator*
   (``missing_truth_is_zero``); here it is left out by default. MVOR's 3D poses lack no joint of the eight.
6. A joint that the prediction lacks is left out of MPJPE and counted in ``predicted_joints_pct``; in 3D PCK
   it is wrong.

PA-MPJPE aligns every prediction with its ground truth by the similarity transform of least squares
(Procrustes: rotation, scale, shift) over the joints that both have, at least four. 3D PCK is the percentage
of the ground truth's joints, those of unmatched people too, predicted within 150 mm after the roots are
aligned, and its AUC the mean over the limits 0, 5, ..., 150 mm (Mehta et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.metrics.oks import object_keypoint_similarity
from orpose_core.metrics.people import (
    IndexArray,
    People,
    mean_or_nan,
    missing,
    same_image_pairs,
    visibility_of,
)
from orpose_core.skeleton import COCO17, Skeleton
from orpose_core.types import Float64Array, Poses, Visibility

UPPER_BODY = (
    "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist",
)  # fmt: skip
"""The eight joints of ORPose's MPJPE."""

GROUPS = {
    "Shoulder": UPPER_BODY[:2],
    "Hip": UPPER_BODY[2:4],
    "Elbow": UPPER_BODY[4:6],
    "Wrist": UPPER_BODY[6:],
}
_AUC_LIMITS_MM = np.arange(0.0, 151.0, 5.0)
_MIN_ALIGNED_JOINTS = 4


@dataclass(frozen=True)
class MpjpeConfig:
    """The protocol; see the module's text for the numbered properties.

    Attributes:
        joints: names of the joints that count; the hips must be among them.
        min_oks: a detection below it does not match.
        one_to_one: whether each detection matches at most one person; pairs are then made in the order of
            their OKS.
        missing_truth_is_zero: whether a joint that the ground truth lacks counts as an error of 0 mm.
        camera_frame: compare positions in the camera's frame, no root subtracted.
        pck_limit_mm: of 3D PCK.
    """

    joints: tuple[str, ...] = UPPER_BODY
    min_oks: float = 0.0
    one_to_one: bool = False
    missing_truth_is_zero: bool = False
    camera_frame: bool = False
    pck_limit_mm: float = 150.0

    def __post_init__(self) -> None:
        if not self.camera_frame and not {"left_hip", "right_hip"} <= set(self.joints):
            raise ValueError(
                f"MpjpeConfig.joints: expected both hips (the root) among them, got {self.joints}"
            )

    @classmethod
    def released(cls) -> MpjpeConfig:
        """Return the protocol of ORPose's released evaluator, flaws included."""
        return cls(missing_truth_is_zero=True)

    @classmethod
    def strict(cls) -> MpjpeConfig:
        """Return a protocol in which a detection matches at most one person, with an OKS of at least 0.3."""
        return cls(min_oks=0.3, one_to_one=True)


@dataclass(frozen=True)
class MpjpeResult:
    """3D errors in mm. What no person has is NaN.

    Attributes:
        joints: names of the n joints.
        per_joint_mm: float64 (n,).
        groups_mm: mean of left and right.
        mpjpe_mm: mean of ``per_joint_mm``.
        pa_mpjpe_mm: the same after Procrustes alignment.
        pck3d_pct: share of joints within the limit.
        auc3d_pct: mean of that share over the limits up to 150 mm.
        n_people: ground truths with 3D joints.
        matched_people_pct: share of them that had a detection to compare with.
        predicted_joints_pct: share of the matched people's joints that were predicted.
        persons: int64 (g,), rows of the ground truths, counted over all images.
        matched: int64 (g,), row of the detection, -1 = none.
        error_mm: float64 (g, n), NaN where there is nothing to compare.
    """

    joints: tuple[str, ...]
    per_joint_mm: Float64Array
    groups_mm: dict[str, float]
    mpjpe_mm: float
    pa_mpjpe_mm: float
    pck3d_pct: float
    auc3d_pct: float
    n_people: int
    matched_people_pct: float
    predicted_joints_pct: float
    persons: IndexArray
    matched: IndexArray
    error_mm: Float64Array

    def summary(self) -> dict[str, float]:
        """Return the scores by name."""
        return {
            **self.groups_mm,
            "MPJPE": self.mpjpe_mm,
            "PA-MPJPE": self.pa_mpjpe_mm,
            "3D-PCK": self.pck3d_pct,
            "3D-AUC": self.auc3d_pct,
            "n_people": float(self.n_people),
            "matched_people_pct": self.matched_people_pct,
            "predicted_joints_pct": self.predicted_joints_pct,
        }


def mpjpe_of_poses(
    gt: Sequence[Poses], dt: Sequence[Poses], config: MpjpeConfig | None = None
) -> MpjpeResult:
    """Match people by OKS and measure their 3D errors; one entry per image.

    Args:
        gt: ground truth with ``xyz_cam_m`` (or ``xyz_root_m``) and boxes.
        dt: predictions with ``xyz_root_m``, or else ``xyz_cam_m``.
        config: the protocol, ORPose's by default.
    """
    if len(gt) != len(dt):
        raise ValueError(f"MPJPE: expected as many images detected as annotated, got {len(dt)} and {len(gt)}")
    config = config or MpjpeConfig()
    gt_xyz = _positions(gt, config, prefer_camera=True)
    posed = np.asarray(~missing(gt_xyz).all(axis=1))
    matched = match_by_oks(gt, dt, config, posed)
    persons = np.flatnonzero(posed)
    dt_xyz = np.concatenate(
        [_positions(dt, config, prefer_camera=False), np.full((1, len(config.joints), 3), np.nan)]
    )
    return mpjpe(gt_xyz[persons], dt_xyz[matched[persons]], config, persons, matched[persons])


def mpjpe(
    gt_xyz_m: Float64Array,
    dt_xyz_m: Float64Array,
    config: MpjpeConfig | None = None,
    persons: IndexArray | None = None,
    matched: IndexArray | None = None,
) -> MpjpeResult:
    """Measure the errors of predictions that are already matched.

    Args:
        gt_xyz_m: float (g, n, 3), metres, NaN = missing; the joints of ``config.joints`` in their order.
        dt_xyz_m: float (g, n, 3), metres, NaN = not predicted.
        config: the protocol.
        persons: int64 (g,), passed on.
        matched: int64 (g,), -1 = no detection; by default everybody is matched.
    """
    config = config or MpjpeConfig()
    g = len(gt_xyz_m)
    persons = np.arange(g) if persons is None else persons
    matched = np.arange(g) if matched is None else matched
    gt_m, dt_m = gt_xyz_m.astype(np.float64), dt_xyz_m.astype(np.float64)
    if not config.camera_frame:
        gt_m, dt_m = _rooted(gt_m, config.joints), _rooted(dt_m, config.joints)
    error = 1000.0 * np.linalg.norm(gt_m - dt_m, axis=-1)
    known = ~missing(gt_m)
    has_match = matched >= 0
    measured = error
    if config.missing_truth_is_zero:
        measured = np.where(~known & has_match[:, None], 0.0, error)
    aligned = 1000.0 * np.linalg.norm(procrustes_aligned(dt_m, gt_m) - gt_m, axis=-1)
    per_joint = np.array([mean_or_nan(column) for column in measured.T])
    wrong = np.where(np.isnan(error), np.inf, error)[known]
    return MpjpeResult(
        joints=config.joints,
        per_joint_mm=per_joint,
        groups_mm=_group_means(per_joint, config.joints),
        mpjpe_mm=mean_or_nan(per_joint),
        pa_mpjpe_mm=mean_or_nan(np.array([mean_or_nan(column) for column in aligned.T])),
        pck3d_pct=100.0 * mean_or_nan(1.0 * (wrong <= config.pck_limit_mm)),
        auc3d_pct=100.0 * mean_or_nan(1.0 * (wrong[:, None] <= _AUC_LIMITS_MM).reshape(-1)),
        n_people=g,
        matched_people_pct=100.0 * mean_or_nan(1.0 * has_match),
        predicted_joints_pct=100.0 * mean_or_nan(1.0 * ~np.isnan(error[has_match][known[has_match]])),
        persons=persons,
        matched=matched,
        error_mm=error,
    )


def match_by_oks(
    gt: Sequence[Poses], dt: Sequence[Poses], config: MpjpeConfig, wanted: NDArray | None = None
) -> IndexArray:
    """Return int64: for each ground truth (of all images, in order) the row of its detection, -1 = none.

    The joints compared are COCO's 17 where the ground truth has them, else its own.

    Args:
        gt: ground truth, one entry per image.
        dt: detections, likewise.
        config: the protocol.
        wanted: bool (people,): only these take part; all by default.
    """
    skeleton = _matching_skeleton(gt)
    truth, found = People.of(gt, skeleton), People.of(dt, skeleton)
    annotated = ~missing(truth.xy_px)
    flags = visibility_of(gt)
    if flags is not None:
        annotated &= flags != Visibility.ABSENT
    hidden = People(
        truth.skeleton, truth.image, np.where(annotated[..., None], truth.xy_px, np.nan), truth.person_scores
    )
    gt_xy, dt_xy = hidden.converted(skeleton).xy_px, found.converted(skeleton).xy_px
    # As COCO's files have them: half a pixel off ours, and compared with the joints as they are.
    boxes = np.concatenate([np.zeros((0, 4)), *[p.boxes_px.astype(np.float64) + 0.5 for p in gt]])
    g_index, d_index = same_image_pairs(truth.image, found.image)
    if wanted is not None:
        keep = wanted[g_index]
        g_index, d_index = g_index[keep], d_index[keep]
    there = ~missing(gt_xy)
    oks = object_keypoint_similarity(
        gt_xy[g_index], there[g_index], boxes[g_index], dt_xy[d_index], np.asarray(skeleton.sigmas)
    )
    matched = np.full(len(truth), -1, np.int64)
    taken = np.zeros(len(found), bool)
    for k in np.lexsort((d_index, -oks)):  # the best pair first; equal pairs in the detections' order
        if oks[k] < config.min_oks:
            break
        if matched[g_index[k]] < 0 and not (config.one_to_one and taken[d_index[k]]):
            matched[g_index[k]] = d_index[k]
            taken[d_index[k]] = True
    return matched


def procrustes_aligned(source_m: Float64Array, target_m: Float64Array) -> Float64Array:
    """Move, turn and scale each pose of ``source_m`` onto its target by least squares.

    Args:
        source_m: float64 (g, n, 3), NaN = missing.
        target_m: float64 (g, n, 3), NaN = missing.

    Returns:
        float64 (g, n, 3), NaN where a joint is missing in either, or fewer than four are in both.
    """
    there = ~missing(source_m + target_m)
    weight = there[..., None] / np.maximum(there.sum(axis=1), 1)[:, None, None]
    source, target = (np.where(there[..., None], xyz, 0.0) for xyz in (source_m, target_m))
    source_mean = (source * weight).sum(axis=1, keepdims=True)
    target_mean = (target * weight).sum(axis=1, keepdims=True)
    centred = np.where(there[..., None], source - source_mean, 0.0)
    wanted = np.where(there[..., None], target - target_mean, 0.0)
    u, s, vt = np.linalg.svd(np.swapaxes(centred, 1, 2) @ wanted)
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))  # no mirror image
    variance = np.square(centred).sum(axis=(1, 2))
    scale = (s * sign).sum(axis=1) / np.where(variance > 0, variance, 1.0)
    aligned = scale[:, None, None] * (centred @ ((u * sign[:, None, :]) @ vt)) + target_mean
    enough = there & (there.sum(axis=1) >= _MIN_ALIGNED_JOINTS)[:, None]
    return np.where(enough[..., None], aligned, np.nan)


def _positions(poses: Sequence[Poses], config: MpjpeConfig, prefer_camera: bool) -> Float64Array:
    """Gather float64 (people, n, 3), metres, of the joints that count."""
    n = len(config.joints)
    rows = [np.zeros((0, n, 3))]
    for p in poses:
        order = (p.xyz_cam_m, p.xyz_root_m) if prefer_camera else (p.xyz_root_m, p.xyz_cam_m)
        xyz = p.xyz_cam_m if config.camera_frame else next((x for x in order if x is not None), None)
        chosen = np.full((len(p), n, 3), np.nan)
        if xyz is not None:
            for k, joint in enumerate(config.joints):
                if joint in p.skeleton.joints:
                    chosen[:, k] = xyz[:, p.skeleton.index(joint)]
        rows.append(chosen)
    return np.concatenate(rows)


def _rooted(xyz_m: Float64Array, joints: Sequence[str]) -> Float64Array:
    """Subtract the mean of the hips; a pose that lacks one is left as it is."""
    root = xyz_m[:, [joints.index("left_hip"), joints.index("right_hip")]].mean(axis=1, keepdims=True)
    return xyz_m - np.where(missing(root)[..., None], 0.0, root)


def _group_means(per_joint: Float64Array, joints: Sequence[str]) -> dict[str, float]:
    groups = {}
    for group, members in GROUPS.items():
        rows = [joints.index(j) for j in members if j in joints]
        if rows:
            groups[group] = mean_or_nan(per_joint[rows])
    return groups


def _matching_skeleton(gt: Sequence[Poses]) -> Skeleton:
    own = gt[0].skeleton if gt else COCO17
    return COCO17 if set(COCO17.joints) <= set(own.joints) else own
