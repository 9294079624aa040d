"""Object keypoint similarity, as COCO and ORPose's evaluation define it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orpose_core.types import Float64Array


def object_keypoint_similarity(
    gt_xy: Float64Array, annotated: NDArray, gt_boxes: Float64Array, dt_xy: Float64Array, sigmas: Float64Array
) -> Float64Array:
    """Return the OKS of pairs of a ground truth and a detection.

    The mean, over the annotated joints, of exp(-d^2 / (2 area (2 sigma)^2)); the area is that of the ground
    truth's box. A missing joint of the detection counts 0. Where nothing is annotated, COCO's rule applies:
    the distance of the detection's joints to the ground truth's box, grown by its own size on every side.

    Args:
        gt_xy: float64 (pairs, n, 2), px.
        annotated: bool (pairs, n).
        gt_boxes: float64 (pairs, 4), x1 y1 x2 y2, px.
        dt_xy: float64 (pairs, n, 2), px, NaN = missing.
        sigmas: float64 (n,).

    Returns:
        float64 (pairs,), from 0 to 1.
    """
    sides = gt_boxes[:, 2:] - gt_boxes[:, :2]
    area = sides.prod(axis=1) + np.spacing(1)
    low, high = (gt_boxes[:, :2] - sides)[:, None], (gt_boxes[:, 2:] + sides)[:, None]
    outside = np.maximum(low - dt_xy, 0) + np.maximum(dt_xy - high, 0)
    none = np.asarray(~annotated.any(axis=1))
    difference = np.where(none[:, None, None], outside, dt_xy - gt_xy)
    variance = (2 * sigmas) ** 2
    exponent = np.square(difference).sum(axis=-1) / variance / area[:, None] / 2
    similarity = np.where(np.isnan(exponent), 0.0, np.exp(-exponent))
    counted = annotated | none[:, None]
    return (similarity * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
