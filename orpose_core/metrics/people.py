"""Everyone in a set of images as flat arrays: a metric is a few array operations for a whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import Skeleton, convert_joints
from orpose_core.types import Float64Array, Poses

IndexArray = NDArray[np.int64]


def missing(points: NDArray) -> NDArray[np.bool_]:
    """Return bool (...): which of the points, float (..., d), have a coordinate that is NaN."""
    return np.asarray(np.isnan(points).any(axis=-1))


@dataclass(frozen=True)
class People:
    """The people of all images, one row each; the images are numbered from 0.

    float64 throughout: the printed digits of a published table must not depend on rounding.

    Attributes:
        skeleton: the joint set.
        image: int64 (p,), index of the image that each person is in.
        xy_px: float64 (p, n, 2), px, NaN = absent.
        person_scores: float64 (p,); 1 for a ground truth.
    """

    skeleton: Skeleton
    image: IndexArray
    xy_px: Float64Array
    person_scores: Float64Array

    def __post_init__(self) -> None:
        p, n = len(self.image), len(self.skeleton)
        if self.xy_px.shape != (p, n, 2) or self.person_scores.shape != (p,):
            raise ValueError(
                f"People: expected coordinates {p}x{n}x2 and {p} scores, got "
                f"{'x'.join(map(str, self.xy_px.shape))} and {'x'.join(map(str, self.person_scores.shape))}"
            )

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def of(cls, poses: Sequence[Poses], skeleton: Skeleton) -> People:
        """Gather the people of one :class:`Poses` per image, with the joints that they have (any skeleton).

        Args:
            poses: the people of image 0, 1, ...; they share a skeleton.
            skeleton: of the result where ``poses`` is empty.
        """
        if not poses:
            n = len(skeleton)
            return cls(skeleton, np.zeros(0, np.int64), np.zeros((0, n, 2)), np.zeros(0))
        kinds = {p.skeleton.name for p in poses}
        if len(kinds) > 1:
            raise ValueError(f"People: expected one skeleton in all images, got {sorted(kinds)}")
        return cls(
            poses[0].skeleton,
            np.repeat(np.arange(len(poses)), [len(p) for p in poses]),
            np.concatenate([p.xy_px for p in poses]).astype(np.float64),
            np.concatenate([p.person_scores for p in poses]).astype(np.float64),
        )

    def converted(self, target: Skeleton) -> People:
        """Return the same people with the joints of ``target``."""
        if target == self.skeleton:
            return self
        there = np.where(missing(self.xy_px), 0.0, 1.0)
        xy_px, _ = convert_joints(self.xy_px, there, self.skeleton, target)
        return People(target, self.image, xy_px, self.person_scores)

    def extents_px(self) -> Float64Array:
        """Return float64 (p, 4), x1 y1 x2 y2 of each person's joints; NaN where a person has none."""
        low = np.fmin.reduce(self.xy_px, axis=1)
        high = np.fmax.reduce(self.xy_px, axis=1)
        return np.concatenate([low, high], axis=1)


def visibility_of(poses: Sequence[Poses]) -> NDArray[np.uint8] | None:
    """Return uint8 (people, n): the visibility of everybody in all images, None where somebody has none."""
    if any(p.visibility is None and len(p) for p in poses) or not poses:
        return None
    empty = np.zeros((0, len(poses[0].skeleton)), np.uint8)
    return np.concatenate([empty if p.visibility is None else p.visibility for p in poses])


def same_image_pairs(gt_image: IndexArray, dt_image: IndexArray) -> tuple[IndexArray, IndexArray]:
    """Return every pair of a ground truth and a detection that are in the same image.

    Args:
        gt_image: int64 (g,), any order.
        dt_image: int64 (d,), any order.

    Returns:
        ``(g_index, d_index)``, int64 (pairs,) each. Pairs are sorted by ground truth, and for one ground
        truth the detections keep their order.
    """
    order = np.argsort(dt_image, kind="stable")
    image = dt_image[order]
    first = np.searchsorted(image, gt_image, side="left")
    count = np.searchsorted(image, gt_image, side="right") - first
    g_index = np.repeat(np.arange(len(gt_image)), count)
    within = np.arange(len(g_index)) - np.repeat(np.cumsum(count) - count, count)
    return g_index, order[np.repeat(first, count) + within]


def mean_or_nan(values: NDArray) -> float:
    """Return the mean of the numbers among ``values``; NaN, without a warning, where there is none."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else float("nan")
