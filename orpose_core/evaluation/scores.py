"""Scores from ground truth and detections, in files or in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco import CocoTruth
from orpose_core.data.coco_results import read_results, result_people, result_poses
from orpose_core.data.mvor import read_mvor
from orpose_core.metrics.coco_ap import ap_of_poses, coco_ap
from orpose_core.metrics.mpjpe import MpjpeConfig, MpjpeResult, mpjpe_of_poses
from orpose_core.metrics.pck import PckConfig, PckResult, pck, pck_of_poses
from orpose_core.metrics.people import People, missing, visibility_of
from orpose_core.skeleton import COCO17, MVOR10
from orpose_core.types import Float64Array, Poses

METRICS = ("pck", "box_ap", "keypoint_ap", "mpjpe")


@dataclass(frozen=True)
class Protocol:
    """The variants of all metrics.

    Attributes:
        pck: variant of PCK.
        mpjpe: variant of the 3D errors.
        keep_ids: whether AP uses the annotation ids of the file, so that an id of 0 is never matched.
    """

    pck: PckConfig = field(default_factory=PckConfig)
    mpjpe: MpjpeConfig = field(default_factory=MpjpeConfig.released)
    keep_ids: bool = True


PUBLISHED = Protocol()
"""The protocol of the papers' evaluators including their quirks, for files of MVOR and COCO."""

BENCHMARK = Protocol(PckConfig(score_ties_over_whole_image=False), keep_ids=False)
"""The published protocol without programming errors, for poses in memory and the synthetic splits.

PCK differs from MVOR's in that detections are not looked up by the value of their score, which would confuse
two people with a score of 1.0.
"""

STRICT = Protocol(PckConfig.strict(), MpjpeConfig.strict(), keep_ids=False)
"""The protocol without quirks: perfect detections score 100 %, and a detection matches one person."""


@dataclass(frozen=True)
class Evaluation:
    """Scores and the data from which they were computed, for error analysis.

    Attributes:
        scores: nested scores: numbers of images, people and detections; ``pck``, ``pck_strict``, ``box_ap``,
            ``keypoint_ap``, ``mpjpe``.
        pck: result of PCK for MVOR's ten joints, or None.
        gt: the people counted by PCK, rows as in ``pck.persons``.
        dt: the detections, rows as in ``pck.matched``.
        visibility: uint8 (people, 10), values of :class:`Visibility`, or None.
        distance_m: float64 (people,), distance from the camera to the mean of the hips, or to the neck, m,
            NaN = unknown.
        mpjpe: the 3D errors, or None.
        distance_3d_m: float64, like ``distance_m``, rows as in ``mpjpe.persons``.
        image_names: names of the images, or None.
    """

    scores: dict[str, Any]
    pck: PckResult | None = field(default=None, repr=False)
    gt: People | None = field(default=None, repr=False)
    dt: People | None = field(default=None, repr=False)
    visibility: NDArray[np.uint8] | None = field(default=None, repr=False)
    distance_m: Float64Array | None = field(default=None, repr=False)
    mpjpe: MpjpeResult | None = field(default=None, repr=False)
    distance_3d_m: Float64Array | None = field(default=None, repr=False)
    image_names: tuple[str, ...] | None = field(default=None, repr=False)


def evaluate_poses(
    gt: Sequence[Poses],
    dt: Sequence[Poses],
    metrics: Sequence[str] | None = None,
    protocol: Protocol = BENCHMARK,
) -> dict[str, Any]:
    """Score poses in memory, one entry per image in the same order.

    Args:
        gt: ground truth of any skeleton. PCK uses MVOR's ten joints and keypoint AP COCO's 17, mapped by
            name. A person without 2D joints counts as a box only. Object areas are those of the boxes.
        dt: detections.
        metrics: some of :data:`METRICS`; None = all that the ground truth and the detections allow.
        protocol: :data:`BENCHMARK`, :data:`PUBLISHED` or :data:`STRICT`.

    Returns:
        Nested scores: ``scores["pck"]["Average"]`` in percent, ``scores["box_ap"]["AP"]`` and
        ``scores["keypoint_ap"]["AP"]`` as fractions, ``scores["mpjpe"]["MPJPE"]`` in mm. NaN = nothing to
        score.
    """
    return score_poses(gt, dt, metrics, protocol).scores


def score_poses(
    gt: Sequence[Poses],
    dt: Sequence[Poses],
    metrics: Sequence[str] | None = None,
    protocol: Protocol = BENCHMARK,
    posed_gt: Sequence[Poses] | None = None,
) -> Evaluation:
    """Score like :func:`evaluate_poses`, and return the data from which the scores were computed, too.

    Args:
        gt: see :func:`evaluate_poses`.
        dt: likewise.
        metrics: likewise.
        protocol: likewise.
        posed_gt: ground truth for PCK and MPJPE, if they count other people than AP.
    """
    if len(gt) != len(dt):
        raise ValueError(
            f"evaluation: expected as many images detected as annotated, got {len(dt)} and {len(gt)}"
        )
    metrics = _checked(metrics) or _possible(gt, dt)
    posed = gt if posed_gt is None else posed_gt
    scores = _counts(len(gt), sum(map(len, gt)), sum(map(len, dt)))
    pck_result = mpjpe_result = None
    if "pck" in metrics:
        pck_result = pck_of_poses(posed, dt, protocol.pck)
        scores["pck"] = _pck_scores(pck_result)
        scores["pck_strict"] = _pck_scores(pck_of_poses(posed, dt, _strict(protocol.pck)))
    if "box_ap" in metrics:
        scores["box_ap"] = ap_of_poses(gt, dt, "box").summary()
    if "keypoint_ap" in metrics:
        scores["keypoint_ap"] = ap_of_poses(gt, dt, "keypoint").summary()
    if "mpjpe" in metrics:
        mpjpe_result = mpjpe_of_poses(posed, dt, protocol.mpjpe)
        scores["mpjpe"] = mpjpe_result.summary()
    visibility, distance = _facts(posed)
    people = People.of(posed, MVOR10).converted(MVOR10)
    found = People.of(dt, MVOR10).converted(MVOR10)
    return Evaluation(scores, pck_result, people, found, visibility, distance, mpjpe_result, distance)


def evaluate_results(
    truth: CocoTruth,
    results: Sequence[dict[str, Any]],
    path: str,
    metrics: Sequence[str] | None = None,
    protocol: Protocol = PUBLISHED,
) -> Evaluation:
    """Score COCO results against an annotation file, in float64 and with the areas and ids of the file.

    Args:
        truth: the annotations.
        results: the detections.
        path: path of the results, for messages.
        metrics: some of :data:`METRICS`; None = all that the annotations and the results allow.
        protocol: :data:`PUBLISHED` or :data:`STRICT`.
    """
    metrics = _checked(metrics) or _possible_of_files(truth, results)
    scores = _counts(len(truth.image_ids), int((~truth.crowd).sum()), len(results))
    pck_result = mpjpe_result = gt = dt = visibility = distance = distance_3d = None
    if "pck" in metrics:
        gt = (truth.pck_people or truth.people()).converted(MVOR10)
        dt = result_people(results, truth.image_ids, path)
        visibility, distance = _facts_of_file(truth)
        visible = None if visibility is None else visibility == 2
        pck_result = pck(gt, dt, protocol.pck, visible)
        scores["pck"] = _pck_scores(pck_result)
        scores["pck_strict"] = _pck_scores(pck(gt, dt, _strict(protocol.pck), visible))
    if "box_ap" in metrics:
        _need(results, "bbox", "box_ap", path)
        scores["box_ap"] = coco_ap(truth.coco_dict(keep_ids=protocol.keep_ids), results, "box").summary()
    if "keypoint_ap" in metrics:
        _need(results, "keypoints", "keypoint_ap", path)
        content, own = truth.coco_dict(keep_ids=protocol.keep_ids), _with_joints_of(truth, results, path)
        scores["keypoint_ap"] = coco_ap(content, own, "keypoint", truth.skeleton.sigmas).summary()
    if "mpjpe" in metrics:
        if truth.joints_3d is None:
            raise ValueError(f"{truth.path}: mpjpe: expected 3D annotations (MVOR, MVOR+), got none")
        if results and not any("xyz_root_m" in r or "xyz_cam_m" in r for r in results):
            raise ValueError(f"{path}: mpjpe: expected detections with xyz_root_m or xyz_cam_m, got none")
        found = result_poses(results, truth.image_ids, path)
        poses = truth.poses()
        mpjpe_result = mpjpe_of_poses(poses, found, protocol.mpjpe)
        distance_3d = _facts(poses)[1]
        scores["mpjpe"] = mpjpe_result.summary()
    found_people = None if dt is None else dt.converted(MVOR10)
    return Evaluation(
        scores,
        pck_result,
        gt,
        found_people,
        visibility,
        distance,
        mpjpe_result,
        distance_3d,
        truth.file_names,
    )


def evaluate_files(
    gt: str | os.PathLike,
    dt: str | os.PathLike,
    metrics: Sequence[str] | None = None,
    protocol: Protocol = PUBLISHED,
) -> Evaluation:
    """Score a results file against an annotation file of MVOR, MVOR+ or COCO."""
    return evaluate_results(read_mvor(gt), read_results(dt), str(dt), metrics, protocol)


def _with_joints_of(
    truth: CocoTruth, results: Sequence[dict[str, Any]], path: str
) -> Sequence[dict[str, Any]]:
    """Return the detections with the joints of the annotations, converted if necessary."""
    people = result_people(results, truth.image_ids, path)  # complains of damaged detections
    if people.skeleton == truth.skeleton:
        return results
    xy_px = people.converted(truth.skeleton).xy_px
    keypoints = np.concatenate([np.nan_to_num(xy_px), ~missing(xy_px)[..., None]], axis=-1)
    rows = keypoints.reshape(len(results), 3 * len(truth.skeleton)).tolist()
    return [{**result, "keypoints": row} for result, row in zip(results, rows, strict=True)]


def _strict(config: PckConfig) -> PckConfig:
    return PckConfig.strict(config.thresholds)


def _checked(metrics: Sequence[str] | None) -> tuple[str, ...]:
    unknown = set(metrics or ()) - set(METRICS)
    if unknown:
        raise ValueError(f"evaluation: expected metrics of {METRICS}, got {sorted(unknown)}")
    return tuple(metrics or ())


def _possible(gt: Sequence[Poses], dt: Sequence[Poses]) -> tuple[str, ...]:
    """Return the metrics that the poses allow."""
    metrics = ["pck", "box_ap"]
    if gt and set(COCO17.joints) <= set(gt[0].skeleton.joints):
        metrics.append("keypoint_ap")
    has_3d = [any(p.xyz_root_m is not None or p.xyz_cam_m is not None for p in poses) for poses in (gt, dt)]
    if all(has_3d):
        metrics.append("mpjpe")
    return tuple(metrics)


def _possible_of_files(truth: CocoTruth, results: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    first = results[0] if results else {"keypoints": [0], "bbox": [0]}
    metrics = []
    if first.get("keypoints") or first.get("coco_keypoints"):
        metrics.append("pck")
    if first.get("bbox"):
        metrics.append("box_ap")
    if first.get("keypoints") and truth.skeleton == COCO17:
        metrics.append("keypoint_ap")
    if truth.joints_3d is not None and ("xyz_root_m" in first or "xyz_cam_m" in first):
        metrics.append("mpjpe")
    if not metrics:
        raise ValueError(f"{truth.path}: expected detections with keypoints or bbox, got {sorted(first)}")
    return tuple(metrics)


def _need(results: Sequence[dict[str, Any]], key: str, metric: str, path: str) -> None:
    for k, result in enumerate(results):
        if not result.get(key):
            raise ValueError(f"{path}: {metric}: expected {key!r} in every detection, detection {k} has none")


def _counts(images: int, people: int, detections: int) -> dict[str, Any]:
    return {"images": images, "people": people, "detections": detections}


def _pck_scores(result: PckResult) -> dict[str, Any]:
    return {
        "threshold": result.thresholds[0],
        **result.summary(),
        "people": len(result.persons),
        "matched_people_pct": float(100.0 * np.mean(result.matched >= 0)) if len(result.persons) else np.nan,
    }


def _facts(poses: Sequence[Poses]) -> tuple[NDArray[np.uint8] | None, Float64Array]:
    """Return the visibility of MVOR's joints, and the distances, of all people in all images."""
    converted = [p.converted(MVOR10) for p in poses]
    flags = visibility_of(converted)
    if flags is not None:
        # A joint that MVOR has and the source derives (a head from the eyes) is seen if it is there at all.
        flags = np.where((flags == 0) & (np.concatenate([p.scores for p in converted]) > 0), 2, flags)
        flags = flags.astype(np.uint8)
    xyz = [
        np.full((len(p), len(MVOR10), 3), np.nan) if p.xyz_cam_m is None else p.xyz_cam_m.astype(np.float64)
        for p in converted
    ]
    return flags, _distances(np.concatenate([np.zeros((0, len(MVOR10), 3)), *xyz]))


def _facts_of_file(truth: CocoTruth) -> tuple[NDArray[np.uint8] | None, Float64Array]:
    visibility = truth.keypoints[..., 2].astype(np.uint8) if truth.skeleton == MVOR10 else None
    if truth.joints_3d is None:
        return visibility, np.full(len(truth.image), np.nan)
    return visibility, _distances(truth.joints_3d.xyz_cam_m)


def _distances(xyz_cam_m: Float64Array) -> Float64Array:
    """Return float64 (p,), the distance from the camera to the mean of the hips, or to the neck, m."""
    hips = xyz_cam_m[:, [MVOR10.index("left_hip"), MVOR10.index("right_hip")]].mean(axis=1)
    neck = xyz_cam_m[:, MVOR10.index("neck")]
    middle = np.where(np.isnan(hips), neck, hips)
    return np.linalg.norm(middle, axis=-1)
