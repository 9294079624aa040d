"""The three stages of a teacher as small interfaces: people, their joints, their joints in space.

Any object with these methods can serve as a stage (ORPose Sect. 2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from orpose_core.types import FloatArray, Picture, Poses


@dataclass(frozen=True)
class StageInfo:
    """Description of a stage; part of the teacher's fingerprint.

    Attributes:
        name: of the network.
        sha256: of its weights.
        trained: False for random weights, whose output is meaningless.
        settings: everything else that the output depends on; JSON values.
    """

    name: str
    sha256: str
    trained: bool
    settings: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "trained": self.trained,
            "settings": self.settings,
        }


@dataclass(frozen=True)
class PersonBoxes:
    """The people that a detector found in one image, best first.

    Attributes:
        boxes: float64 (m, 4), x1 y1 x2 y2, continuous px (pixel i covers [i, i + 1]), inside the image.
        scores: float64 (m,), in [0, 1].
        hints: float64 (m, 17, 3), COCO17 joints as the detector sees them: x and y in px (integer = pixel
            center) and score in [0, 1]. None from a detector that sees no joints.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    hints: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4):
            raise ValueError(
                f"PersonBoxes: expected as many boxes as scores, got {self.boxes.shape} and "
                f"{self.scores.shape}"
            )
        if self.hints is not None and self.hints.shape != (len(self.scores), 17, 3):
            raise ValueError(
                f"PersonBoxes.hints: expected shape ({len(self.scores)}, 17, 3), got {self.hints.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class PersonThresholds:
    """What a detector's scores mean.

    Attributes:
        sure: a box of this score or more is a person.
        unsure: a box below ``sure`` and of this score or more may be a person: neither labelled nor
            background.
    """

    sure: float
    unsure: float

    def __post_init__(self) -> None:
        if not 0 <= self.unsure <= self.sure <= 1:
            raise ValueError(f"PersonThresholds: expected 0 <= unsure <= sure <= 1, got {self}")


class PersonDetector(Protocol):
    """The first stage."""

    @property
    def thresholds(self) -> PersonThresholds:
        """What its scores mean."""

    @property
    def info(self) -> StageInfo:
        """What it is made of."""

    def detect(self, images: Sequence[Picture]) -> list[PersonBoxes]:
        """Return the people in each image."""


class KeypointEstimator(Protocol):
    """The second stage."""

    @property
    def info(self) -> StageInfo:
        """What it is made of."""

    def keypoints(self, images: Sequence[Picture], people: Sequence[PersonBoxes]) -> list[Poses]:
        """Return the COCO17 poses of the people in each image; the same person twice may be left out."""


class PoseLifter(Protocol):
    """The third stage."""

    @property
    def info(self) -> StageInfo:
        """What it is made of."""

    def lift(self, poses: Poses, image_hw: tuple[int, int]) -> FloatArray:
        """Return float32 (m, 17, 3), H36M17, metres relative to the pelvis, NaN = unknown.

        Args:
            poses: COCO17, px of an image of this size.
            image_hw: (height, width).
        """
