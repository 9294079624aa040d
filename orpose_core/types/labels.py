"""Pseudo labels: the poses that a teacher assigns to an image."""

from __future__ import annotations

from dataclasses import dataclass

from orpose_core.types.poses import Poses


@dataclass(frozen=True)
class PseudoLabels:
    """The poses that a teacher assigns to one image (ORPose Sect. 2.2).

    Attributes:
        soft: all joints with their confidence.
        hard: the same people, in the same order, with only the confident joints.
        image_id: the image's id in its data set.
        teacher: fingerprint of the teacher: models, weights' sha256, settings.
    """

    soft: Poses
    hard: Poses
    image_id: int
    teacher: str

    def __post_init__(self) -> None:
        if len(self.soft) != len(self.hard):
            raise ValueError(
                f"PseudoLabels of image {self.image_id}: soft and hard must be the same people, "
                f"got {len(self.soft)} and {len(self.hard)}"
            )
        if self.soft.skeleton != self.hard.skeleton:
            raise ValueError(f"PseudoLabels of image {self.image_id}: soft and hard skeletons differ")
