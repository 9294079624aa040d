"""Which labels of a color teacher a depth network can learn from.

A teacher sees color, the network depth. Somebody of whom the depth camera measures next to nothing cannot be
learned, and must not be. Somebody whom the teacher misses must not be taught as background. Both become
regions to ignore.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.types import FloatArray, Poses, box_ious, covered_shares


@dataclass(frozen=True)
class TrustConfig:
    """When a label is not learned from.

    Attributes:
        min_measured: least share of a person's joints at which the depth image has a return.
        max_covered: a detection of the depth network of which labels cover at most this share is somebody
            whom the teacher missed.
        furniture_share: a detection without a label that is at its place in more than this share of a
            camera's images is furniture: it stays background.
        same_place_iou: at least this intersection over union is the same place.
    """

    min_measured: float = 0.5
    max_covered: float = 0.3
    furniture_share: float = 0.5
    same_place_iou: float = 0.5


def measured_share(xy_px: FloatArray, depth_m: FloatArray) -> float:
    """Return the share of joints at which, or right beside which, there is a return.

    Args:
        xy_px: float32 (n, 2), px of the depth image, NaN = absent.
        depth_m: float32 (H, W), metres, NaN = no return.

    Returns:
        In [0, 1]; joints outside the image do not count, and of no joints it is 0.
    """
    height, width = depth_m.shape
    there = np.isfinite(xy_px).all(axis=1)
    columns, rows = np.rint(xy_px[there]).astype(int).T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    if not inside.any():
        return 0.0
    known = np.pad(np.isfinite(depth_m), 1)
    windows = [
        known[row : row + 3, column : column + 3].any()
        for row, column in zip(rows[inside], columns[inside], strict=True)
    ]
    return float(np.mean(windows))


def missed_people(found: Poses, labelled_px: FloatArray, max_covered: float) -> FloatArray:
    """Return boxes of detections that labels do not cover, float32 (k, 4), x1 y1 x2 y2, px.

    Args:
        found: by the depth network.
        labelled_px: float32 (m, 4), boxes of people and of regions to ignore.
        max_covered: of a detection's box by all labels.
    """
    covered = covered_shares(found.boxes_px, labelled_px).max(axis=1, initial=0.0)
    return found.boxes_px[covered <= max_covered]


def furniture(
    boxes_px: FloatArray, image_of: Sequence[int], images: int, config: TrustConfig
) -> NDArray[np.bool_]:
    """Return bool (k,): which detections without a label are at their place in most images of a camera.

    People move or leave; what the network takes for somebody in more than half of all images does not. A
    patient in bed who is hardly ever labelled is furniture by this rule, too.

    Args:
        boxes_px: float32 (k, 4), of all images of one camera.
        image_of: the image of each.
        images: how many there are.
        config: see :class:`TrustConfig`.
    """
    numbers = np.asarray(image_of, np.int64)
    always = np.zeros(len(boxes_px), bool)
    for i, box in enumerate(boxes_px):
        same = box_ious(box[None], boxes_px)[0] >= config.same_place_iou
        always[i] = len(np.unique(numbers[same])) > config.furniture_share * images
    return always
