"""COCO results: what was detected, as files, as arrays and as :class:`Poses`.

A joint at x = y = 0 is not detected; a box is x, y, width, height. Complaints name file and detection.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from orpose_core.data.coco import FILE_SKELETONS, present
from orpose_core.data.json_fields import finite_numbers, image_index, rows
from orpose_core.files import read_json
from orpose_core.metrics.people import IndexArray, People, missing
from orpose_core.skeleton import COCO17
from orpose_core.types import Float64Array, Poses, boxes_of_xywh, xywh_of_boxes

_LOWEST_SCORE = 1e-6  # of a joint that a file gives coordinates but score 0: absent would lose it


def read_results(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Read a COCO results file: a list of detections, each with an ``image_id`` and a ``score``."""
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(
            f"{path}: expected a list of detections (COCO results), got {type(content).__name__}"
        )
    for k, detection in enumerate(content):
        if not isinstance(detection, dict) or "image_id" not in detection or "score" not in detection:
            raise ValueError(
                f"{path}: detection {k}: expected an image_id and a score, got {detection!r:.80}"
            )
    return content


def result_people(results: Sequence[dict[str, Any]], image_ids: IndexArray, path: str) -> People:
    """Gather detected people, float64.

    Joints come from ``coco_keypoints`` where a detection has them (MVOR's files), else from ``keypoints``;
    their number tells the skeleton.

    Args:
        results: from :func:`read_results`.
        image_ids: int64 (i,), the images of the ground truth; the people are numbered by them.
        path: for messages.
    """
    key = "coco_keypoints" if results and "coco_keypoints" in results[0] else "keypoints"
    n_values = len(results[0].get(key) or ()) if results else 3 * len(COCO17)
    skeleton = next((s for s in FILE_SKELETONS if 3 * len(s) == n_values), None)
    if skeleton is None:
        wanted = ", ".join(f"{3 * len(s)} ({s.name})" for s in FILE_SKELETONS)
        raise ValueError(f"{path}: detection 0: expected {wanted} numbers in {key!r}, got {n_values}")
    where = _places(results, path)
    keypoints = rows(results, key, n_values, where).reshape(-1, len(skeleton), 3)
    pairs = zip(results, where, strict=True)
    scores = [finite_numbers([result["score"]], "score", place)[0] for result, place in pairs]
    index = image_index(results, image_ids, where)
    return People(skeleton, index, present(keypoints), np.array(scores, np.float64))


def result_poses(results: Sequence[dict[str, Any]], image_ids: IndexArray, path: str) -> list[Poses]:
    """Return the detected people of each image, in the order of ``image_ids``, with their 3D joints.

    3D joints are ``xyz_root_m`` and ``xyz_cam_m``, flat lists of 3 n numbers in metres, null = unknown.
    """
    people = result_people(results, image_ids, path)
    n = len(people.skeleton)
    key = "coco_keypoints" if results and "coco_keypoints" in results[0] else "keypoints"
    scores = np.array([r[key][2::3] for r in results], np.float64).reshape(-1, n)
    there = ~missing(people.xy_px)
    scores = np.where(there, np.clip(np.nan_to_num(scores), _LOWEST_SCORE, 1.0), 0.0)
    boxes = people.extents_px()
    for k, r in enumerate(results):
        if r.get("bbox"):
            box = finite_numbers(r["bbox"], "bbox", f"{path}: detection {k}", (4,))
            boxes[k] = boxes_of_xywh(np.array([box]))[0]
    root, cam = (_points(results, name, n, path) for name in ("xyz_root_m", "xyz_cam_m"))

    def person_rows(rows: IndexArray) -> Poses:
        return Poses(
            people.skeleton,
            people.xy_px[rows].astype(np.float32),
            scores[rows].astype(np.float32),
            people.person_scores[rows].astype(np.float32),
            boxes[rows].astype(np.float32),
            xyz_root_m=None if root is None else root[rows].astype(np.float32),
            xyz_cam_m=None if cam is None else cam[rows].astype(np.float32),
        )

    order = np.argsort(people.image, kind="stable")
    split = np.searchsorted(people.image[order], np.arange(1, len(image_ids)))
    return [person_rows(rows) for rows in np.split(order, split)]


def poses_as_results(poses: Poses, image_id: int) -> list[dict[str, Any]]:
    """Return the people of one image as COCO results (COCO's 17 joints unless the skeleton has none of them).

    Beside COCO's keys each has ``skeleton``, and ``xyz_root_m`` and ``xyz_cam_m`` where they are known.
    A missing joint is 0, 0, 0; an unknown 3D joint null.
    """
    if poses.skeleton not in FILE_SKELETONS:
        poses = poses.converted(COCO17)
    results, xywh = [], xywh_of_boxes(poses.boxes_px.astype(np.float64))
    for m in range(len(poses)):
        keypoints = np.concatenate([np.nan_to_num(poses.xy_px[m], nan=0.0), poses.scores[m][:, None]], axis=1)
        result: dict[str, Any] = {
            "image_id": int(image_id),
            "category_id": 1,
            "skeleton": poses.skeleton.name,
            "keypoints": keypoints.astype(float).reshape(-1).tolist(),
            "score": float(poses.person_scores[m]),
            "bbox": xywh[m].tolist(),
        }
        for name in ("xyz_root_m", "xyz_cam_m"):
            xyz = getattr(poses, name)
            if xyz is not None:
                result[name] = [None if np.isnan(v) else float(v) for v in xyz[m].reshape(-1)]
        results.append(result)
    return results


def _points(results: Sequence[dict[str, Any]], key: str, n: int, path: str) -> Float64Array | None:
    """Return float64 (d, n, 3), NaN = unknown, or None where no detection has ``key``."""
    if not any(key in r for r in results):
        return None
    unknown = {key: [None] * (3 * n)}
    filled = [unknown | result for result in results]
    return rows(filled, key, 3 * n, _places(results, path), unknown=True).reshape(-1, n, 3)


def _places(results: Sequence[dict[str, Any]], path: str) -> list[str]:
    return [f"{path}: detection {k}" for k in range(len(results))]
