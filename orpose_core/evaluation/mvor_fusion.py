"""Evaluation of fused skeletons of MVOR's three cameras against its 3D ground truth.

The 2D detections of a results file are fused without any other data of the recording. A true person is found
if a fused person has at least three of the eight joints with a median distance below 40 cm; pairs are matched
in order of distance. COCO's hips differ from MVOR's: their offset along the axes of the torso (forward, left,
up, in torso lengths) is fitted on day 1, and all errors are from the other days.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco_results import read_results, result_poses
from orpose_core.evaluation.fusion_errors import HIPS, JOINTS, errors_of, fit_hips, move_hips
from orpose_core.evaluation.mvor_bounds import triangulation_bounds
from orpose_core.files import read_json
from orpose_core.fusion.config import FusionConfig
from orpose_core.fusion.fuse import fuse
from orpose_core.fusion.people import RoomPeople
from orpose_core.fusion.rig import RoomCamera, View
from orpose_core.fusion.rig_files import MVOR_FLOOR_M, mvor_rig
from orpose_core.skeleton import MVOR10, convert_joints
from orpose_core.types import Float64Array

_ROWS = [MVOR10.index(joint) for joint in JOINTS]
_FOUND_M = 0.4
_LEAST_JOINTS = 3
_INSIDE = 0.6  # share of a fused person's joints inside a box of an annotated person


@dataclass
class _Pairs:
    """The true people who were found, one row each, as lists that are converted to arrays at the end."""

    day: list[int] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    fused_m: list[Float64Array] = field(default_factory=list)
    true_m: list[Float64Array] = field(default_factory=list)
    variance_m2: list[Float64Array] = field(default_factory=list)
    joint_views: list[NDArray[np.int64]] = field(default_factory=list)


def evaluate_mvor_fusion(
    gt: str | os.PathLike, dt: str | os.PathLike, config: FusionConfig | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Fuse the detections of every multi-view frame and score them.

    Args:
        gt: MVOR's annotation file.
        dt: detections, COCO results of MVOR's images.
        config: settings of the fusion.
        limit: number of frames to use, from the first on; None = all.

    Returns:
        Counts, and errors in cm; see :func:`orpose_core.evaluation.tables.fusion_report`.
    """
    content = read_json(gt)
    rig = mvor_rig(content, str(gt))
    truth, boxes = _truth_of(content, str(gt)), _boxes_of(content)
    frames = [[int(i["id"]) for i in frame["images"]] for frame in content["multiview_images"]][:limit]
    image_ids = np.unique(np.array(frames, np.int64))
    detections = dict(
        zip(image_ids.tolist(), result_poses(read_results(dt), image_ids, str(dt)), strict=True)
    )
    pairs, false, people = _Pairs(), 0, 0
    for frame in frames:
        views = [View(camera, detections[i]) for camera, i in zip(rig, frame, strict=True)]
        fused, there = fuse(views, config), truth.get(tuple(frame), [])
        people += len(there)
        strangers = _match(fused, there, frame[0] // 10**10, pairs)
        false += sum(not _in_a_box(fused, s, rig, frame, boxes) for s in strangers)
    bounds = triangulation_bounds(content, str(gt), rig, detections, frames, truth)
    return {
        "frames": len(frames),
        "people": people,
        "false_people": false,
        **_scores(pairs),
        "bounds": bounds,
    }


def _truth_of(content: dict[str, Any], path: str) -> dict[tuple[int, ...], list[Float64Array]]:
    """Return the true joints of each multi-view frame, float64 (8, 3), room frame, floor 0, NaN = missing."""
    try:
        room_from_cam1 = np.array(content["cameras_info"]["camParams"]["firstCamToRoomRef"]).reshape(4, 4)
        found: dict[tuple[int, ...], list[Float64Array]] = defaultdict(list)
        for annotation in content["annotations3D"]:
            points = np.array(annotation["keypoints3D"], np.float64).reshape(12, 4)[_ROWS, :3]
            points[(points == 0).all(axis=1)] = np.nan
            room = (points @ room_from_cam1[:3, :3].T + room_from_cam1[:3, 3]) / 1000
            found[tuple(int(i) for i in annotation["image_ids"].split("_"))].append(
                room + np.array([0.0, 0.0, MVOR_FLOOR_M])
            )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected MVOR's annotations3D and cameras_info, got {error!r}") from error
    return found


def _boxes_of(content: dict[str, Any]) -> dict[int, list[Float64Array]]:
    """Return the boxes of all annotated people, with or without a pose, x1 y1 x2 y2 in px, by image."""
    boxes: dict[int, list[Float64Array]] = defaultdict(list)
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        boxes[annotation["image_id"]].append(np.array([x - 0.1 * w, y - 0.1 * h, x + 1.1 * w, y + 1.1 * h]))
    return boxes


def _match(fused: RoomPeople, truth: list[Float64Array], day: int, pairs: _Pairs) -> list[int]:
    """Add the people who were found to ``pairs``; return the fused people without a true person."""
    known = fused.scores
    xyz, _ = convert_joints(fused.xyz_room_m, known, fused.skeleton, MVOR10)
    own = [fused.skeleton.index(joint) for joint in JOINTS]
    candidates = []
    for t, person in enumerate(truth):
        errors = np.linalg.norm(xyz[:, _ROWS] - person, axis=-1)
        for p, error in enumerate(errors):
            there = error[np.isfinite(error)]
            if len(there) >= _LEAST_JOINTS and np.median(there) < _FOUND_M:
                candidates.append((float(np.median(there)), t, p))
    taken: set[int] = set()
    matched: set[int] = set()
    for _, t, p in sorted(candidates):
        if t in taken or p in matched:
            continue
        taken.add(t)
        matched.add(p)
        pairs.day.append(day)
        pairs.views.append(int(fused.seen_by[p].sum()))
        pairs.fused_m.append(xyz[p, _ROWS])
        pairs.true_m.append(truth[t])
        pairs.variance_m2.append(np.diagonal(fused.covariance_m2[p, own], axis1=1, axis2=2))
        pairs.joint_views.append(fused.views[p, own])
    return [p for p in range(len(fused)) if p not in matched]


def _in_a_box(
    fused: RoomPeople,
    person: int,
    rig: list[RoomCamera],
    frame: list[int],
    boxes: dict[int, list[Float64Array]],
) -> bool:
    """Return whether a person was annotated at the place of this one in an image in which it is visible."""
    xyz = fused.xyz_room_m[person]
    xyz = xyz[np.isfinite(xyz).all(axis=1)]
    for v in np.flatnonzero(fused.seen_by[person]):
        q = np.c_[xyz, np.ones(len(xyz))] @ rig[v].projection.T
        xy = q[:, :2] / q[:, 2:]
        for box in boxes.get(frame[v], []):
            if ((xy > box[:2]) & (xy < box[2:])).all(axis=1).mean() >= _INSIDE:
                return True
    return False


def _scores(pairs: _Pairs) -> dict[str, Any]:
    day, views = np.array(pairs.day, np.int64), np.array(pairs.views, np.int64)
    shape = (len(day), len(JOINTS), 3)
    fused, true = (np.array(v, np.float64).reshape(shape) for v in (pairs.fused_m, pairs.true_m))
    sigma = np.sqrt(np.array(pairs.variance_m2, np.float64).reshape(shape))
    joint_views = np.array(pairs.joint_views, np.int64).reshape(shape[:2])
    first = (day == 1) & (views >= 2)
    offset = fit_hips(fused[first], true[first])
    fused = move_hips(fused, offset)
    later = day > 1
    groups = {
        "two_or_three": views >= 2, "three": views == 3, "two": views == 2, "one": views == 1,
    }  # fmt: skip
    out: dict[str, Any] = {
        "found_by_views": {str(v): int((views == v).sum()) for v in (1, 2, 3)},
        "hip_offset_torso": [float(v) for v in offset],
        "errors": {},
    }
    for name, rows in groups.items():
        chosen = rows & later
        several = np.where((joint_views[chosen] >= 2)[..., None], fused[chosen], np.nan)
        out["errors"][name] = {
            "room": errors_of(fused[chosen], true[chosen]),
            "room_joints_of_two_views": errors_of(several, true[chosen]),
            "root_relative": errors_of(_relative(fused[chosen]), _relative(true[chosen])),
            "coverage_pct": _coverage(fused[chosen] - true[chosen], sigma[chosen]),
        }
    return out


def _relative(xyz: Float64Array) -> Float64Array:
    return xyz - xyz[:, HIPS].mean(axis=1, keepdims=True)


def _coverage(off: Float64Array, sigma: Float64Array) -> float:
    """Return the percentage of coordinates with an error below one standard deviation; ideally 68."""
    known = np.isfinite(off) & np.isfinite(sigma)
    return float(100 * (np.abs(off) < sigma)[known].mean()) if known.any() else np.nan
