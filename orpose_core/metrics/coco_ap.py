"""Average precision and recall of boxes and keypoints, by ``pycocotools`` (ORPose Sect. 3.2).

What to know when comparing numbers:

- ``COCOeval`` stores "no match" as annotation id 0, so a ground truth whose id *is* 0 can never be a true
  positive. MVOR's annotation ids start at 0 and the published numbers include that (0.0006 of AP). Ids are
  kept or renumbered where the ground truth is built (``CocoTruth.coco_dict(keep_ids=...)``);
  :func:`ap_of_poses` numbers from 1.
- Keypoint AP divides a joint's error by the square root of the object's ``area``: in COCO files that of the
  segmentation, in MVOR+ and where no area is given that of the box, which is about twice as large and makes
  the same error score better.
- ``COCOeval`` ranks detections over all images by score; equal scores rank by image order.
- Scores need no calibration to be probabilities, but one scale over all images.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import COCO17, Skeleton
from orpose_core.types import Float64Array, Poses, Visibility, xywh_of_boxes

Kind = Literal["box", "keypoint"]

_BOX_NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
_KEYPOINT_NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")


@dataclass(frozen=True)
class ApResult:
    """Average precision and recall.

    Attributes:
        kind: "box" or "keypoint".
        scores: fractions by COCO's names (AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100 and so on); for
            boxes also ``recall50_max1``, ``_max10`` and ``_max100``, the recall at IoU 0.5. NaN where there
            is no ground truth (of that size).
        precision50: float64 (101,), precision at IoU or OKS 0.5 at the recalls 0, 0.01, ..., 1.
    """

    kind: Kind
    scores: dict[str, float]
    precision50: Float64Array = field(repr=False)

    def summary(self) -> dict[str, float]:
        """Return the scores as a new dict."""
        return dict(self.scores)


def coco_ap(
    gt: dict[str, Any], dt: Sequence[dict[str, Any]], kind: Kind, sigmas: Sequence[float] | None = None
) -> ApResult:
    """Run ``COCOeval`` without its printing.

    Args:
        gt: COCO ground truth with the one category 1; every annotation has id, bbox, area, iscrowd and, for
            keypoints, keypoints and num_keypoints.
        dt: COCO results: image_id, score and bbox or keypoints.
        kind: what is scored.
        sigmas: the joints' OKS constants, COCO's 17 by default.

    Returns:
        The scores: NaN where nobody is annotated, 0 where people are annotated but nobody was detected.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {**gt, "annotations": [dict(a) for a in gt["annotations"]]}
        truth.createIndex()
        found = COCO()
        found.dataset = {**gt, "annotations": _results(dt, kind)}
        found.createIndex()
        evaluation = COCOeval(truth, found, "bbox" if kind == "box" else "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, np.float64)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = _BOX_NAMES if kind == "box" else _KEYPOINT_NAMES
    scores = dict(zip(names, map(_known, evaluation.stats), strict=True))
    if kind == "box":
        recall = evaluation.eval["recall"]  # IoU, category, area, most detections
        scores |= {f"recall50_max{n}": _known(recall[0, 0, 0, k]) for k, n in enumerate((1, 10, 100))}
    precision = evaluation.eval["precision"][0, :, 0, 0, -1]
    return ApResult(kind, scores, np.where(precision < 0, np.nan, precision))


def ap_of_poses(
    gt: Sequence[Poses], dt: Sequence[Poses], kind: Kind, skeleton: Skeleton = COCO17
) -> ApResult:
    """Score in-memory poses, one entry per image, boxes or the joints of ``skeleton``.

    The object's area is that of its box. Annotated joints are those with coordinates and a visibility other
    than ABSENT; a person without one does not count as keypoint ground truth, as in COCO.
    """
    if len(gt) != len(dt):
        raise ValueError(f"AP: expected as many images detected as annotated, got {len(dt)} and {len(gt)}")
    annotations: list[dict[str, Any]] = []
    for image, poses in enumerate(gt):
        for entry, flags in zip(_entries(poses, image, skeleton), _flags(poses, skeleton), strict=True):
            keypoints = np.array(entry["keypoints"]).reshape(-1, 3)
            keypoints[:, 2] = flags
            entry["keypoints"] = keypoints.reshape(-1).tolist()
            annotations.append({**entry, "id": len(annotations) + 1, "num_keypoints": int((flags > 0).sum())})
    truth = {
        "images": [{"id": image} for image in range(len(gt))],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    if kind == "keypoint":  # a detection without a joint is a box, not a pose
        dt = [p.select(np.asarray(p.converted(skeleton).scores.any(axis=1))) for p in dt]
    results = [entry for image, poses in enumerate(dt) for entry in _entries(poses, image, skeleton)]
    return coco_ap(truth, results, kind, skeleton.sigmas)


def _known(value: float) -> float:
    """``COCOeval`` says -1 where there is nothing to score."""
    return float("nan") if value < 0 else float(value)


def _results(dt: Sequence[dict[str, Any]], kind: Kind) -> list[dict[str, Any]]:
    """Make results of detections as ``COCO.loadRes`` does; keypoints bring the extent of all their joints."""
    results = []
    for k, detection in enumerate(dt):
        result = {key: detection[key] for key in ("image_id", "score")}
        if kind == "box":
            box = [float(v) for v in detection["bbox"]]
        else:
            keypoints = np.asarray(detection["keypoints"], np.float64).reshape(-1, 3)
            low, high = keypoints[:, :2].min(axis=0), keypoints[:, :2].max(axis=0)
            box = [*low.tolist(), *(high - low).tolist()]
            result["keypoints"] = keypoints.reshape(-1).tolist()
        results.append(
            {**result, "id": k + 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        )
    return results


def _flags(poses: Poses, skeleton: Skeleton) -> NDArray[np.int64]:
    """Return (m, n): COCO's visibility of each joint, 0 where it is not annotated."""
    poses = poses.converted(skeleton)
    there = poses.scores > 0
    if poses.visibility is None:
        return np.where(there, int(Visibility.VISIBLE), 0)
    return np.where(there, poses.visibility, 0).astype(np.int64)


def _entries(poses: Poses, image: int, skeleton: Skeleton) -> Iterator[dict[str, Any]]:
    poses = poses.converted(skeleton)
    xywh = np.nan_to_num(xywh_of_boxes(poses.boxes_px.astype(np.float64)))
    xywh[:, 2:] = np.maximum(xywh[:, 2:], 0)
    keypoints = np.concatenate(
        [np.nan_to_num(poses.xy_px.astype(np.float64)), poses.scores[..., None].astype(np.float64)], axis=-1
    )
    for m in range(len(poses)):
        yield {
            "image_id": image,
            "category_id": 1,
            "bbox": xywh[m].tolist(),
            "area": float(xywh[m, 2:].prod()),
            "iscrowd": 0,
            "keypoints": keypoints[m].reshape(-1).tolist(),
            "score": float(poses.person_scores[m]),
        }
