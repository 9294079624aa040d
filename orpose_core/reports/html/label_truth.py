"""Comparison of a teacher's labels with manual labels of some of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.coco import CocoTruth
from orpose_core.evaluation.scores import STRICT
from orpose_core.metrics.calibration import Reliability, reliability
from orpose_core.metrics.pck import PARTS, PckResult, pck
from orpose_core.metrics.people import People
from orpose_core.skeleton import MVOR10
from orpose_core.types import Float64Array, Poses, boxes_of_xywh

_NEAR = 0.2


@dataclass(frozen=True)
class JudgedLabels:
    """Comparison of a teacher's labels with manual labels.

    Attributes:
        images: int64 (i,), numbers of the images of the run with manual labels.
        people: number of manually labelled people with at least one joint.
        found: number of these people whom the teacher labelled.
        other: number of people labelled by the teacher only.
        result: comparison of the joints of people matched one to one.
        image: int64 (g,), image of the run of each person in ``result``.
        confidence: float64 (g, 10), scores of the teacher's joints, 0 = not found.
        by_hand: manually labelled people of each of these images, px of the image.
    """

    images: NDArray[np.int64]
    people: int
    found: int
    other: int
    result: PckResult
    image: NDArray[np.int64]
    confidence: Float64Array
    by_hand: dict[int, Poses]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """The correct joints, bool (g, 10): those with an error of at most 0.2 times the person's size."""
        return self.result.within(_NEAR)

    def wrong_joints(self) -> dict[int, int]:
        """Return the number of wrong or missing joints in each image of the run."""
        wrong = (self.result.counted & ~self.correct).sum(axis=1)
        return {one: int(wrong[self.image == one].sum()) for one in self.images.tolist()}

    def calibration(self) -> Reliability | None:
        """Return the share of correct joints against the score; None = no joint was found."""
        known = np.isfinite(self.result.distance_px) & (self.confidence > 0)
        if not known.any():
            return None
        return reliability(
            self.confidence[known], self.correct[known].astype(float), self.result.distance_px[known]
        )

    def by_part(self) -> dict[str, tuple[float | None, float | None]]:
        """Return for each body part the percentages of found joints, and of correct ones among them."""
        known, shares = np.isfinite(self.result.distance_px), {}
        for part, joints in PARTS.items():
            columns = [MVOR10.index(name) for name in joints]
            asked = self.result.counted[:, columns]
            found = known[:, columns] & asked
            shares[part] = _percent(found, asked), _percent(self.correct[:, columns] & found, found)
        return shares


def judge_labels(truth: CocoTruth, labels: Mapping[str, int], found: Sequence[Poses]) -> JudgedLabels:
    """Compare labels with manual labels.

    Args:
        truth: the manual labels.
        labels: numbers of the run's images by file name.
        found: the people used for training in each image of the run, px of the image.

    Raises:
        ValueError: the manual labels contain none of the images.
    """
    common = np.array([k for k, name in enumerate(truth.file_names) if name in labels], np.int64)
    if not len(common):
        raise ValueError(f"{truth.path}: expected some of the {len(labels)} labeled images, got none of them")
    truth = truth.of_images(common)
    images = np.array([labels[name] for name in truth.file_names], np.int64)
    chosen = [found[k] for k in images]
    result = pck(truth.people().converted(MVOR10), People.of(chosen, MVOR10), STRICT.pck)
    matched, scores = result.matched >= 0, np.zeros((len(result.matched), len(MVOR10)))
    every = np.concatenate([np.zeros((0, len(MVOR10))), *(p.converted(MVOR10).scores for p in chosen)])
    scores[matched] = every[result.matched[matched]]
    return JudgedLabels(
        images, len(result.persons), int(matched.sum()), sum(map(len, chosen)) - int(matched.sum()), result,
        images[truth.image[result.persons]], scores, _by_hand(truth, images),
    )  # fmt: skip


def _by_hand(truth: CocoTruth, images: NDArray[np.int64]) -> dict[int, Poses]:
    """Return the manually labelled people of each image, by the number of the image in the run."""
    people = {}
    for number, image in enumerate(images.tolist()):
        rows = np.flatnonzero(truth.image == number)
        xy_px = truth.keypoints[rows][..., :2].astype(np.float32)
        there = np.asarray(np.isfinite(xy_px).all(axis=-1), np.float32)
        boxes_px = boxes_of_xywh(truth.boxes_xywh[rows].astype(np.float32))
        people[image] = Poses(truth.skeleton, xy_px, there, np.ones(len(rows), np.float32), boxes_px)
    return people


def _percent(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float | None:
    return 100 * float(part.sum() / whole.sum()) if whole.any() else None
