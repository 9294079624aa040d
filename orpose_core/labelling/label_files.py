"""Pseudo labels as COCO JSON, with additional keys for students.

``keypoints`` are the hard set (visibility 2, or 0 if not confident). The additional keys are

* ``keypoints_soft``: 17 COCO joints x, y, confidence; zeros where absent.
* ``keypoints2d_soft``, ``keypoints2d_hard``: 17 Human3.6M joints x, y, confidence: what the lifter read.
* ``keypoints3d_soft``, ``keypoints3d_hard``: 17 Human3.6M joints x, y, z, metres relative to the pelvis, null
  where unknown; absent without a lifter.
* ``score``: of the person's box alone; ``pose_score``: of box and joints together.

An annotation with ``ignore`` 1 is only a box that may contain a person. Training must treat it neither as
a person nor as background. ``info.thresholds`` says what the scores mean: ``person_score``, ``joint_score``,
``min_joints``.

``info.teacher`` describes the teacher in full, and ``info.teacher_sha256`` is its fingerprint. Coordinates
are px of the image that ``file_name`` names, integer = pixel centre.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco_file import read_coco_file
from orpose_core.data.coco_writing import write_coco
from orpose_core.data.json_fields import rows
from orpose_core.skeleton import BODY24, COCO17, H36M17, Skeleton
from orpose_core.teacher.teacher import with_lifted
from orpose_core.types import Poses, PseudoLabels, Visibility, boxes_of_xywh, xywh_of_boxes

_PX_DIGITS, _METRE_DIGITS, _SCORE_DIGITS = 3, 5, 6


def _rounded(values: NDArray, digits: int) -> list[Any]:
    """Return flat Python numbers, NaN as None."""
    return [None if v != v else round(v, digits) for v in np.asarray(values, np.float64).reshape(-1).tolist()]


def _xy_score(poses: Poses, skeleton: Skeleton, m: int) -> list[Any]:
    converted = poses.converted(skeleton)
    xy = np.nan_to_num(converted.xy_px[m], nan=0.0)
    pairs = zip(
        _rounded(xy[:, 0], _PX_DIGITS),
        _rounded(xy[:, 1], _PX_DIGITS),
        _rounded(converted.scores[m], _SCORE_DIGITS),
        strict=True,
    )
    return [value for joint in pairs for value in joint]


def annotations_of(labels: PseudoLabels) -> list[dict[str, Any]]:
    """Return one annotation per person, without ids."""
    annotations = []
    soft = labels.soft
    box_scores = soft.person_scores if soft.box_scores is None else soft.box_scores
    hard_coco, xywh = labels.hard.converted(COCO17), xywh_of_boxes(labels.soft.boxes_px)
    for m in range(len(labels.soft)):
        x, y, w, h = _rounded(xywh[m], _PX_DIGITS)
        flags = np.where(hard_coco.scores[m] > 0, int(Visibility.VISIBLE), 0)
        keypoints = _xy_score(labels.hard, COCO17, m)
        keypoints[2::3] = flags.tolist()
        annotation: dict[str, Any] = {
            "category_id": 1,
            "bbox": [x, y, w, h],
            "area": round(w * h, _PX_DIGITS),
            "iscrowd": 0,
            "segmentation": [],  # nobody drew one, but CVAT's importer insists
            "keypoints": keypoints,
            "num_keypoints": int((flags > 0).sum()),
            "score": round(float(box_scores[m]), _SCORE_DIGITS),
            "pose_score": round(float(labels.soft.person_scores[m]), _SCORE_DIGITS),
            "keypoints_soft": _xy_score(labels.soft, COCO17, m),
        }
        for kind, poses in (("soft", labels.soft), ("hard", labels.hard)):
            annotation[f"keypoints2d_{kind}"] = _xy_score(poses, H36M17, m)
            xyz = poses.converted(H36M17).xyz_root_m
            if xyz is not None:
                annotation[f"keypoints3d_{kind}"] = _rounded(xyz[m], _METRE_DIGITS)
        annotations.append(annotation)
    return annotations + [ignored_region(box) for box in xywh_of_boxes(labels.ignored_boxes_px)]


def ignored_region(xywh: NDArray) -> dict[str, Any]:
    """Return the annotation of a region where somebody may be."""
    x, y, w, h = _rounded(xywh, _PX_DIGITS)
    return {
        "category_id": 1,
        "bbox": [x, y, w, h],
        "area": round(w * h, _PX_DIGITS),
        "iscrowd": 0,
        "ignore": 1,
        "segmentation": [],
        "keypoints": [0] * (3 * len(COCO17)),
        "num_keypoints": 0,
    }


def people_of(annotations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the annotations of people, regions to ignore left out."""
    return [one for one in annotations if not one.get("ignore")]


def write_label_file(
    path: str | os.PathLike, info: dict[str, Any], entries: Iterable[tuple[dict[str, Any], list[dict]]]
) -> tuple[int, int]:
    """Write a COCO file, all or nothing, entry by entry, so that its size does not matter.

    Args:
        path: of the file.
        info: its ``info``.
        entries: an image without its id, and the annotations of its people (:func:`annotations_of`).

    Returns:
        How many images and annotations, regions to ignore included; ids count from 1.
    """
    numbered = (({"id": k, **image}, people) for k, (image, people) in enumerate(entries, start=1))
    return write_coco(path, numbered, info=info)


def read_label_file(path: str | os.PathLike) -> list[tuple[str, PseudoLabels]]:
    """Read a file of :func:`write_label_file`: per image its name and the labels of its people.

    Raises:
        ValueError: names the file, the annotation and what is missing or wrong.
    """
    file = read_coco_file(path)
    info = file.content.get("info")
    teacher = info.get("teacher_sha256") if isinstance(info, dict) else None
    if not isinstance(teacher, str):
        raise ValueError(f"{path}: expected pseudo labels with info.teacher_sha256, got none")
    return [
        (
            image.file_name,
            pseudo_labels([p.entry for p in people if not p.crowd], image.id, teacher, str(path)),
        )
        for image, people in zip(file.images, file.people_of_images(), strict=True)
    ]


def pseudo_labels(
    annotations: Sequence[Mapping[str, Any]], image_id: int, teacher: str, path: str
) -> PseudoLabels:
    """Return both sets of one image's annotations, BODY24.

    Args:
        annotations: of the image.
        image_id: of the image.
        teacher: fingerprint.
        path: for messages.
    """
    soft = soft_poses(annotations, path)
    hard = _poses(annotations, "keypoints", "keypoints3d_hard", path, like=soft)
    return PseudoLabels(soft, hard, image_id, teacher)


def soft_poses(annotations: Sequence[Mapping[str, Any]], path: str) -> Poses:
    """Return the soft set of one image's annotations, BODY24; ``path`` is for messages."""
    return _poses(annotations, "keypoints_soft", "keypoints3d_soft", path)


def _poses(
    people: Sequence[Mapping[str, Any]], key: str, key_3d: str, path: str, like: Poses | None = None
) -> Poses:
    """Return the people of one image, BODY24; the hard set's confidences are those of ``like``."""
    where = [f"{path}: annotation id {person.get('id')}" for person in people]
    values = rows(people, key, 3 * len(COCO17), where).reshape(-1, len(COCO17), 3)
    there = values[..., 2] > 0
    scores = values[..., 2] if like is None else like.converted(COCO17).scores
    poses = Poses(
        COCO17,
        np.where(there[..., None], values[..., :2], np.nan).astype(np.float32),
        np.where(there, np.clip(scores, 0, 1), 0).astype(np.float32),
        np.array([a.get("score", 1.0) for a in people], np.float32),
        boxes_of_xywh(rows(people, "bbox", 4, where)).astype(np.float32),
    ).converted(BODY24)
    if not people or key_3d not in people[0]:
        return poses
    xyz_m = rows(people, key_3d, 3 * len(H36M17), where, unknown=True).astype(np.float32)
    return with_lifted(poses, xyz_m.reshape(-1, len(H36M17), 3))
