"""Pseudo labels as COCO JSON: what any COCO reader understands, and what only a student needs beside it.

``keypoints`` are the hard set (visibility 2, or 0 where unsure). Beside them stand

* ``keypoints_soft``: 17 COCO joints x, y, confidence; zeros where absent.
* ``keypoints2d_soft``, ``keypoints2d_hard``: 17 Human3.6M joints x, y, confidence: what the lifter read.
* ``keypoints3d_soft``, ``keypoints3d_hard``: 17 Human3.6M joints x, y, z, metres relative to the pelvis, null
  where unknown; absent without a lifter.
* ``score``: of the person.

The file's ``info.teacher`` says in full who labelled, ``info.teacher_sha256`` is the fingerprint. Coordinates
are px of the image that ``file_name`` names, integer = pixel centre.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco import coco_truth
from orpose_core.files import read_json, replacing
from orpose_core.skeleton import BODY24, COCO17, H36M17, Skeleton
from orpose_core.teacher.teacher import with_lifted
from orpose_core.types import Poses, PseudoLabels, Visibility, boxes_of_xywh, xywh_of_boxes

CATEGORY = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(COCO17.joints),
    "skeleton": [[a + 1, b + 1] for a, b in COCO17.edges],
}
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
            "score": round(float(labels.soft.person_scores[m]), _SCORE_DIGITS),
            "keypoints_soft": _xy_score(labels.soft, COCO17, m),
        }
        for kind, poses in (("soft", labels.soft), ("hard", labels.hard)):
            annotation[f"keypoints2d_{kind}"] = _xy_score(poses, H36M17, m)
            xyz = poses.converted(H36M17).xyz_root_m
            if xyz is not None:
                annotation[f"keypoints3d_{kind}"] = _rounded(xyz[m], _METRE_DIGITS)
        annotations.append(annotation)
    return annotations


def write_label_file(
    path: str | os.PathLike, info: dict[str, Any], entries: Iterable[tuple[dict[str, Any], list[dict]]]
) -> tuple[int, int]:
    """Write a COCO file, all or nothing, entry by entry, so that its size does not matter.

    Args:
        path: of the file.
        info: its ``info``.
        entries: an image without its id, and the annotations of its people (:func:`annotations_of`).

    Returns:
        How many images and people; ids count from 1.
    """
    images = people = 0
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8", dir=temporary.parent) as later,
    ):
        out.write('{"info": ' + json.dumps(info, sort_keys=True) + ',\n"images": [')
        for image, annotations in entries:
            images += 1
            out.write(_item({"id": images, **image}, first=images == 1))
            for annotation in annotations:
                people += 1
                ids = {"id": people, "image_id": images}
                later.write(_item({**ids, **annotation}, first=people == 1))
        out.write('\n],\n"annotations": [')
        later.seek(0)
        shutil.copyfileobj(later, out)
        out.write('\n],\n"categories": ' + json.dumps([CATEGORY]) + "}\n")
    return images, people


def _item(value: dict[str, Any], first: bool) -> str:
    return ("\n" if first else ",\n") + json.dumps(value, allow_nan=False)


def read_label_file(path: str | os.PathLike) -> list[tuple[str, PseudoLabels]]:
    """Read a file of :func:`write_label_file`: per image its name and the labels of its people.

    Raises:
        ValueError: names the file, the annotation and what is missing or wrong.
    """
    content = read_json(path)
    truth = coco_truth(content, str(path))
    teacher = content.get("info", {}).get("teacher_sha256")
    if not isinstance(teacher, str):
        raise ValueError(f"{path}: expected pseudo labels with info.teacher_sha256, got none")
    by_image: dict[int, list[dict[str, Any]]] = {int(i): [] for i in truth.image_ids}
    for annotation in content["annotations"]:
        by_image[int(annotation["image_id"])].append(annotation)
    return list(_labels(str(path), truth.image_ids.tolist(), truth.file_names, by_image, teacher))


def _labels(
    path: str, ids: Sequence[int], names: Sequence[str], by_image: dict[int, list[dict]], teacher: str
) -> Iterator[tuple[str, PseudoLabels]]:
    for image_id, name in zip(ids, names, strict=True):
        yield name, pseudo_labels(by_image[image_id], image_id, teacher, path)


def pseudo_labels(
    annotations: Sequence[dict[str, Any]], image_id: int, teacher: str, path: str
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


def _numbers(people: Sequence[dict[str, Any]], key: str, width: int, path: str) -> NDArray[np.float32]:
    rows = []
    for annotation in people:
        values = annotation.get(key)
        if not isinstance(values, list) or len(values) != width:
            raise ValueError(
                f"{path}: annotation id {annotation.get('id')}: expected {width} numbers as {key!r}, "
                f"got {len(values) if isinstance(values, list) else values!r}"
            )
        rows.append([np.nan if v is None else v for v in values])
    return np.array(rows, np.float32).reshape(len(people), width)


def soft_poses(annotations: Sequence[dict[str, Any]], path: str) -> Poses:
    """Return the soft set of one image's annotations, BODY24; ``path`` is for messages."""
    return _poses(annotations, "keypoints_soft", "keypoints3d_soft", path)


def _poses(
    people: Sequence[dict[str, Any]], key: str, key_3d: str, path: str, like: Poses | None = None
) -> Poses:
    """Return the people of one image, BODY24; the hard set's confidences are those of ``like``."""
    values = _numbers(people, key, 3 * len(COCO17), path).reshape(-1, len(COCO17), 3)
    there = values[..., 2] > 0
    scores = values[..., 2] if like is None else like.converted(COCO17).scores
    poses = Poses(
        COCO17,
        np.where(there[..., None], values[..., :2], np.nan).astype(np.float32),
        np.where(there, np.clip(scores, 0, 1), 0).astype(np.float32),
        np.array([a.get("score", 1.0) for a in people], np.float32),
        boxes_of_xywh(_numbers(people, "bbox", 4, path)),
    ).converted(BODY24)
    if not people or key_3d not in people[0]:
        return poses
    return with_lifted(poses, _numbers(people, key_3d, 3 * len(H36M17), path).reshape(-1, len(H36M17), 3))
