"""Pseudo labels: the poses that a teacher assigns to an image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from orpose_core.types.arrays import FloatArray, check_array
from orpose_core.types.images import Resize
from orpose_core.types.poses import Poses


@dataclass(frozen=True)
class PseudoLabels:
    """The poses that a teacher assigns to one image (ORPose Sect. 2.2).

    Attributes:
        soft: all joints with their confidence.
        hard: the same people, in the same order, with only the confident joints.
        image_id: the image's id in its data set.
        teacher: fingerprint of the teacher: models, weights' sha256, settings.
        ignored_boxes_px: float32 (k, 4), x1 y1 x2 y2, px, where somebody may be: neither a person nor
            background.
    """

    soft: Poses
    hard: Poses
    image_id: int
    teacher: str
    ignored_boxes_px: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))

    def __post_init__(self) -> None:
        if len(self.soft) != len(self.hard):
            raise ValueError(
                f"PseudoLabels of image {self.image_id}: soft and hard must be the same people, "
                f"got {len(self.soft)} and {len(self.hard)}"
            )
        if self.soft.skeleton != self.hard.skeleton:
            raise ValueError(f"PseudoLabels of image {self.image_id}: soft and hard skeletons differ")
        check_array("PseudoLabels.ignored_boxes_px", self.ignored_boxes_px, np.float32, (None, 4))

    def resized(self, resize: Resize) -> PseudoLabels:
        """Return the labels in px of ``resize.target_hw``; they are in px of ``resize.source_hw``."""
        ignored = resize.to_target(self.ignored_boxes_px.reshape(-1, 2, 2)).reshape(-1, 4)
        return replace(
            self, soft=self.soft.resized(resize), hard=self.hard.resized(resize), ignored_boxes_px=ignored
        )
