"""Percentage of correct keypoints, as MVOR's authors compute it (Srivastav et al. 2018; DepthPose Table 1).

A joint is correct when it lies within a share (0.2) of the person's size of the annotated joint. The
published numbers come from a protocol with these properties. The ones that are flaws have a switch in
:class:`PckConfig`; the defaults give the published numbers, :meth:`PckConfig.strict` the version without
them.

1. Every annotated person counts equally, and *a joint that nobody annotated counts as an error*, so that even
   perfect detections stay below 100 % (``unannotated_joints_are_errors``).
2. A person's size is the longer side of the extent of the annotated joints, plus one pixel
   (``extent_margin_px``): the score depends a little on the image's scale.
3. A person is matched with the detection of the highest score among those whose extent (over *all* the joints
   the detector gave, ears and ankles too) covers more than 0.3 of the extent of the annotated joints:
   intersection over the ground truth's area, so that a very large detection covers everybody. *One
   detection can match several people* (``shared_detections``).
4. The detection is then looked up by the value of its score: *the first of the image's detections within 1e-6
   of it, also one that does not overlap at all* (``score_ties_over_whole_image``).
5. False positives have no effect in any variant: PCK does not measure precision. Read it together with AP.
6. "Head" is the mean of head and neck, the other parts the mean of left and right; the average is that of the
   five parts. The head of a detection is the mean of its eyes, else of its ears, else its nose, right eye,
   left eye, right ear or left ear; its neck the mean of the shoulders, else the one that is there
   (:mod:`orpose_core.skeleton`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.metrics.people import (
    IndexArray,
    People,
    mean_or_nan,
    missing,
    same_image_pairs,
    visibility_of,
)
from orpose_core.skeleton import MVOR10, Skeleton
from orpose_core.types import Float64Array, Poses, Visibility

PARTS: dict[str, tuple[str, ...]] = {
    "Head": ("head", "neck"),
    "Shoulder": ("left_shoulder", "right_shoulder"),
    "Hip": ("left_hip", "right_hip"),
    "Elbow": ("left_elbow", "right_elbow"),
    "Wrist": ("left_wrist", "right_wrist"),
}
"""The columns of the papers' tables and the joints of :data:`MVOR10` that each averages."""

_SAME_SCORE = 1e-6


@dataclass(frozen=True)
class PckConfig:
    """The protocol; see the module's text for the numbered properties.

    Attributes:
        thresholds: shares of the person's size, ascending or not.
        min_cover: the share of the ground truth's extent that a detection must exceed to be matched.
        extent_margin_px: added to each side of an extent, px.
        unannotated_joints_are_errors: whether a joint without annotation counts, as wrong.
        shared_detections: whether one detection can match several people. If not, people and detections are
            paired in the order of the intersection over union of their annotated joints' extents.
        score_ties_over_whole_image: whether the chosen detection is looked up by score in the whole image.
        visible_joints_only: count only joints that the annotation calls visible.
    """

    thresholds: tuple[float, ...] = (0.2,)
    min_cover: float = 0.3
    extent_margin_px: float = 1.0
    unannotated_joints_are_errors: bool = True
    shared_detections: bool = True
    score_ties_over_whole_image: bool = True
    visible_joints_only: bool = False

    def __post_init__(self) -> None:
        if not self.thresholds or not all(np.isfinite(t) and t > 0 for t in self.thresholds):
            raise ValueError(f"PckConfig.thresholds: expected positive numbers, got {self.thresholds}")

    @classmethod
    def strict(cls, thresholds: tuple[float, ...] = (0.2,)) -> PckConfig:
        """Return the protocol without the flaws: one-to-one matches, and 100 % for a perfect score."""
        return cls(thresholds, 0.3, 1e-6, False, False, False)


@dataclass(frozen=True)
class PckResult:
    """Percentages of correct keypoints, and the matches and distances behind them.

    Attributes:
        skeleton: the joints, n of them.
        thresholds: shares of the person's size, t of them.
        per_joint_pct: float64 (t, n), NaN where no joint counts.
        parts_pct: per part of :data:`PARTS` that the skeleton has, float64 (t,).
        mean_pct: float64 (t,), the mean of the parts.
        persons: index (g,) of the ground truths that count, into the rows given.
        matched: int64 (g,), row of the matched detection, -1 = none.
        distance_px: float64 (g, n), from the annotated to the detected joint, NaN where one is missing.
        size_px: float64 (g,), the size that the thresholds are shares of.
        counted: bool (g, n), joints in the denominator.
    """

    skeleton: Skeleton
    thresholds: tuple[float, ...]
    per_joint_pct: Float64Array
    parts_pct: dict[str, Float64Array]
    mean_pct: Float64Array
    persons: IndexArray
    matched: IndexArray
    distance_px: Float64Array
    size_px: Float64Array
    counted: np.ndarray

    def within(self, share: float) -> NDArray[np.bool_]:
        """Return which joints lie within a share of the person's size, bool (g, n); missing ones do not."""
        return np.asarray(self.distance_px <= share * self.size_px[:, None])  # NaN is not

    def summary(self, threshold: int = 0) -> dict[str, float]:
        """Return the row of the papers' table at one threshold: the parts and ``Average``, percent."""
        row = {part: float(values[threshold]) for part, values in self.parts_pct.items()}
        return row | {"Average": float(self.mean_pct[threshold])}


def pck(
    gt: People, dt: People, config: PckConfig | None = None, visible: np.ndarray | None = None
) -> PckResult:
    """Score detections against annotated people.

    Args:
        gt: annotated people. Those without a single joint do not count (MVOR's boxes without a pose).
        dt: detections, of any skeleton; their joints are converted to the ground truth's.
        config: the protocol, MVOR's by default.
        visible: bool (len(gt), n), needed by ``visible_joints_only``.

    Returns:
        The scores. With nobody annotated every percentage is NaN, whatever was detected; with nobody detected
        it is 0.
    """
    config = config or PckConfig()
    persons = np.flatnonzero(~missing(gt.xy_px).all(axis=1))
    gt_xy = gt.xy_px[persons]
    annotated = ~missing(gt_xy)
    size_px = _sizes(gt_xy, config)
    matched = match_by_extent(gt, dt, config)[persons]
    dt_xy = np.concatenate([dt.converted(gt.skeleton).xy_px, np.full((1, len(gt.skeleton), 2), np.nan)])
    distance = np.sqrt(np.square(dt_xy[matched] - gt_xy).sum(axis=-1))  # row -1 is the missing detection
    counted = np.ones_like(annotated) if config.unannotated_joints_are_errors else annotated
    if config.visible_joints_only:
        if visible is None:
            raise ValueError("PCK of visible joints only: the ground truth does not say which are visible")
        counted = counted & visible[persons]
    limits = np.asarray(config.thresholds)[:, None, None] * size_px[None, :, None]
    correct = (np.where(np.isnan(distance), np.inf, distance) <= limits) & counted
    with np.errstate(invalid="ignore"):
        per_joint = 100.0 * correct.sum(axis=1) / counted.sum(axis=0)
    parts = _parts(per_joint, gt.skeleton)
    columns = np.stack(list(parts.values()), axis=1) if parts else per_joint
    mean = np.array([mean_or_nan(row) for row in columns])
    return PckResult(
        gt.skeleton, config.thresholds, per_joint, parts, mean, persons, matched, distance, size_px, counted
    )


def pck_of_poses(gt: Sequence[Poses], dt: Sequence[Poses], config: PckConfig | None = None) -> PckResult:
    """Score in-memory poses, one entry per image, on MVOR's ten joints.

    A ground truth of another skeleton is converted by name (:mod:`orpose_core.skeleton`); a joint whose
    visibility is ABSENT counts as not annotated.
    """
    if len(gt) != len(dt):
        raise ValueError(f"PCK: expected as many images detected as annotated, got {len(dt)} and {len(gt)}")
    people = People.of(gt, MVOR10)
    visible: NDArray | None = None
    flags = visibility_of(gt)
    if flags is not None:
        visible = _visible_flags(gt)
        xy_px = np.where((flags != Visibility.ABSENT)[..., None], people.xy_px, np.nan)
        people = People(people.skeleton, people.image, xy_px, people.person_scores)
    return pck(people.converted(MVOR10), People.of(dt, MVOR10), config, visible)


def matched_detections(result: PckResult, dt: Sequence[Poses]) -> list[NDArray[np.bool_]]:
    """Return for each image which of its detections, bool (m,), were matched with somebody.

    Args:
        result: of :func:`pck_of_poses`.
        dt: the detections that were scored.
    """
    matched = np.zeros(sum(map(len, dt)), bool)
    matched[result.matched[result.matched >= 0]] = True
    return np.split(matched, np.cumsum([len(poses) for poses in dt])[:-1]) if dt else []


def _visible_flags(gt: Sequence[Poses]) -> NDArray | None:
    flags = visibility_of([p.converted(MVOR10) for p in gt])
    return None if flags is None else flags == Visibility.VISIBLE


def match_by_extent(gt: People, dt: People, config: PckConfig) -> IndexArray:
    """Return int64 (len(gt),): the row of the detection that MVOR's rule gives each person, -1 = none."""
    g_index, d_index = same_image_pairs(gt.image, dt.image)
    if not config.shared_detections:
        dt = dt.converted(gt.skeleton)  # overlap of like with like: legs are not annotated
    cover, overlap = _covers(gt.extents_px()[g_index], dt.extents_px()[d_index], config.extent_margin_px)
    eligible = cover > config.min_cover
    if config.shared_detections:
        return _best_score_each(g_index, d_index, eligible, dt.person_scores, len(gt), config)
    return _one_to_one(g_index[eligible], d_index[eligible], overlap[eligible], dt.person_scores, len(gt))


def _sizes(gt_xy: Float64Array, config: PckConfig) -> Float64Array:
    """Return float64 (g,), the longer side of each person's extent, px."""
    sides = np.fmax.reduce(gt_xy, axis=1) - np.fmin.reduce(gt_xy, axis=1) + config.extent_margin_px
    return sides.max(axis=1)


def _covers(gt_box: Float64Array, dt_box: Float64Array, margin: float) -> tuple[Float64Array, Float64Array]:
    """Return the intersection over the ground truth's area and over the union, float64 (pairs,) each.

    NaN where a box is not there.
    """
    low, high = np.maximum(gt_box[:, :2], dt_box[:, :2]), np.minimum(gt_box[:, 2:], dt_box[:, 2:])
    sides = np.maximum(high - low + margin, 0)
    inside = sides[:, 0] * sides[:, 1]
    gt_sides, dt_sides = (box[:, 2:] - box[:, :2] + margin for box in (gt_box, dt_box))
    gt_area, dt_area = (s[:, 0] * s[:, 1] for s in (gt_sides, dt_sides))
    with np.errstate(invalid="ignore", divide="ignore"):
        return inside / gt_area, inside / (gt_area + dt_area - inside)


def _best_score_each(
    g_index: IndexArray,
    d_index: IndexArray,
    eligible: np.ndarray,
    scores: Float64Array,
    n_gt: int,
    config: PckConfig,
) -> IndexArray:
    """For each ground truth: the first detection whose score is within 1e-6 of the best eligible one's."""
    best = np.full(n_gt, -np.inf)
    np.maximum.at(best, g_index[eligible], scores[d_index[eligible]])
    same = np.abs(scores[d_index] - best[g_index]) < _SAME_SCORE
    if not config.score_ties_over_whole_image:
        same &= eligible
    matched = np.full(n_gt, -1, dtype=np.int64)
    matched[g_index[same][::-1]] = d_index[same][::-1]  # the first writes last
    return matched


def _one_to_one(
    g_index: IndexArray, d_index: IndexArray, overlap: Float64Array, scores: Float64Array, n_gt: int
) -> IndexArray:
    """Pair people and detections, the largest overlap first; of equal ones the better score."""
    matched = np.full(n_gt, -1, dtype=np.int64)
    taken = np.zeros(len(scores), dtype=bool)
    for k in np.lexsort((d_index, -scores[d_index], -overlap)):
        if matched[g_index[k]] < 0 and not taken[d_index[k]]:
            matched[g_index[k]] = d_index[k]
            taken[d_index[k]] = True
    return matched


def _parts(per_joint: Float64Array, skeleton: Skeleton) -> dict[str, Float64Array]:
    """Average joints into the table's columns, as far as the skeleton has them; NaN where none counts."""
    parts = {}
    for part, joints in PARTS.items():
        columns = [skeleton.index(j) for j in joints if j in skeleton.joints]
        if columns:
            parts[part] = np.array([mean_or_nan(row[columns]) for row in per_joint])
    return parts
