"""People of a folder of recorded images in the places of others of the same camera."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from orpose_core.training.augment.exchange import Cutout, background_of, cut_out, put_in_place
from orpose_core.training.depthpose.label_file import LabelFile
from orpose_core.training.depthpose.samples import LabelledFrame
from orpose_core.types import FloatArray, covered_shares

_BACKGROUND_FRAMES = 48
_MOST_COVERED = 0.15
"""Of somebody's box by those of others; of two who overlap neither can be cut out."""
_NEAR_M, _NEAR_SHARE, _LEAST_NEAR = 0.1, 0.05, 0.5
"""A frame in which less than this share is as far as the empty room is of a camera that was moved."""


class PeopleExchange:
    """Replaces people of an image by people of other images.

    Args:
        labels: of the images.
        frame_of: gives an image and its labels, all of one size.
        share: of the people, how many are replaced.
    """

    def __init__(self, labels: LabelFile, frame_of: Callable[[int], LabelledFrame], share: float) -> None:
        self.labels, self.frame_of, self.share = labels, frame_of, share
        self._images: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for image, view in enumerate(labels.views):
            self._images[view].append(image)
        self._others: dict[str, list[int]] = defaultdict(list)
        for image in labels.with_people():
            self._others[labels.views[image][-1]].append(image)
        self._backgrounds: dict[tuple[str, ...], FloatArray] = {}

    def __call__(self, frame: LabelledFrame, image: int, rng: np.random.Generator) -> LabelledFrame:
        """Return an image some of whose people are others, drawn by ``rng``."""
        others, background_m = self._others[self.labels.views[image][-1]], self._background(image)
        for person in range(len(frame.poses)):
            chance, number = rng.uniform(), int(rng.integers(len(others)))
            if chance < self.share and others[number] != image:
                frame = self._replaced(frame, background_m, person, others[number], rng)
        return frame

    def _replaced(
        self,
        frame: LabelledFrame,
        background_m: FloatArray,
        person: int,
        image: int,
        rng: np.random.Generator,
    ) -> LabelledFrame:
        """Put somebody of an image in the place of a person; the frame as it is where that cannot be."""
        other = self.frame_of(image)
        number = int(rng.integers(len(other.poses)))
        leaves = _alone(frame, background_m, person)
        comes = _alone(other, self._background(image), number)
        if leaves is None or comes is None:
            return frame
        one = other.poses.select([number])
        placed = put_in_place(frame.depth_m, background_m, leaves, comes, one)
        if placed is None:
            return frame
        depth_m, moved = placed
        poses = frame.poses
        xy_px, scores, boxes_px = poses.xy_px.copy(), poses.scores.copy(), poses.boxes_px.copy()
        xy_px[person], scores[person], boxes_px[person] = moved.xy_px[0], moved.scores[0], moved.boxes_px[0]
        poses = replace(poses, xy_px=xy_px, scores=scores, boxes_px=boxes_px)
        return LabelledFrame(depth_m, poses, frame.ignored_px)

    def _background(self, image: int) -> FloatArray:
        """Return the empty room of an image's recording and camera."""
        view = self.labels.views[image]
        if view not in self._backgrounds:
            own = self._images[view]
            spread = np.unique(np.linspace(0, len(own) - 1, min(len(own), _BACKGROUND_FRAMES)).astype(int))
            self._backgrounds[view] = background_of(self.frame_of(own[i]).depth_m for i in spread)
        return self._backgrounds[view]


def _alone(frame: LabelledFrame, background_m: FloatArray, person: int) -> Cutout | None:
    """Return somebody's part of an image; None where others overlap, or the camera was moved."""
    boxes = frame.poses.boxes_px
    others = np.concatenate([np.delete(boxes, person, axis=0), frame.ignored_px])
    if covered_shares(boxes[[person]], others).max(initial=0.0) > _MOST_COVERED:
        return None
    known = np.isfinite(frame.depth_m) & np.isfinite(background_m)
    far = background_m[known]
    near = np.abs(frame.depth_m[known] - far) <= np.maximum(_NEAR_M, _NEAR_SHARE * far)
    if not len(near) or near.mean() < _LEAST_NEAR:
        return None
    return cut_out(frame.depth_m, background_m, frame.poses, person)
