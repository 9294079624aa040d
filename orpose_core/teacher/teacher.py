"""The teacher: three stages that generate the soft and the hard set (ORPose Sect. 2.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.skeleton import BODY24, H36M17, convert_joints
from orpose_core.teacher.stages import KeypointEstimator, PersonDetector, PersonThresholds, PoseLifter
from orpose_core.types import FloatArray, Picture, Poses, PseudoLabels, Source3D


@dataclass(frozen=True)
class PseudoLabelConfig:
    """Thresholds for people and joints.

    ORPose does not state its thresholds. The defaults are those of DepthPose (Sect. 3): boxes above 0.7 (the
    detector's ``min_score``) and at least 4 joints above 0.35.

    Attributes:
        min_joint_score: a joint above it counts for ``min_joints``.
        min_joints: people with fewer such joints are regions to ignore.
        hard_joint_score: joints above it are in the hard set.
        min_person_score: people below, box and joints taken together, are regions to ignore.
    """

    min_joint_score: float = 0.35
    min_joints: int = 4
    hard_joint_score: float = 0.35
    min_person_score: float = 0.0

    def __post_init__(self) -> None:
        for name in ("min_joint_score", "hard_joint_score", "min_person_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"PseudoLabelConfig.{name}: expected a number in [0, 1], got {getattr(self, name)}"
                )
        if not 0 <= self.min_joints <= 17:
            raise ValueError(f"PseudoLabelConfig.min_joints: expected 0 to 17, got {self.min_joints}")


class Teacher:
    """Labels color images.

    Args:
        detector: the first stage.
        keypoints: the second.
        lifter: the third; None = labels in 2D alone.
        config: thresholds.
    """

    def __init__(
        self,
        detector: PersonDetector,
        keypoints: KeypointEstimator,
        lifter: PoseLifter | None = None,
        config: PseudoLabelConfig | None = None,
    ) -> None:
        self.config = config or PseudoLabelConfig()
        self._detector, self._keypoints, self._lifter = detector, keypoints, lifter

    def description(self) -> dict[str, Any]:
        """Return what the labels depend on as JSON values: models, sha256 of the weights, settings."""
        return {
            "detector": self._detector.info.as_dict(),
            "keypoints": self._keypoints.info.as_dict(),
            "lifter": None if self._lifter is None else self._lifter.info.as_dict(),
            "labels": asdict(self.config),
        }

    @property
    def trained(self) -> bool:
        """False if a stage has random weights: its labels mean nothing."""
        stages = (self._detector, self._keypoints, self._lifter)
        return all(stage.info.trained for stage in stages if stage is not None)

    @property
    def fingerprint(self) -> str:
        """sha256 of :meth:`description`."""
        return hashlib.sha256(json.dumps(self.description(), sort_keys=True).encode()).hexdigest()

    def label(self, images: Sequence[Picture], image_ids: Sequence[int]) -> list[PseudoLabels]:
        """Return the labels of a batch of images, BODY24, px of each image."""
        people = self._detector.detect(images)
        found = self._keypoints.keypoints(images, people)
        fingerprint = self.fingerprint
        labels = []
        for image, image_id, poses in zip(images, image_ids, found, strict=True):
            sure = sure_people(poses, self.config, self._detector.thresholds)
            soft = poses.select(sure)
            hard = confident_joints(soft, self.config.hard_joint_score)
            size_hw = int(image.shape[0]), int(image.shape[1])
            soft, hard = (self._in_space(p, size_hw) for p in (soft, hard))
            labels.append(PseudoLabels(soft, hard, int(image_id), fingerprint, poses.boxes_px[~sure]))
        return labels

    def thresholds(self) -> dict[str, Any]:
        """Return what its scores mean, for the label file: what is a person, and what is a sure joint."""
        people = self._detector.thresholds
        return {
            "person_score": people.sure,
            "ignored_from": people.unsure,
            "joint_score": self.config.min_joint_score,
            "min_joints": self.config.min_joints,
        }

    def _in_space(self, poses: Poses, image_hw: tuple[int, int]) -> Poses:
        body = poses.converted(BODY24)
        return body if self._lifter is None else with_lifted(body, self._lifter.lift(poses, image_hw))


def sure_people(
    poses: Poses, config: PseudoLabelConfig, thresholds: PersonThresholds | None = None
) -> NDArray[np.bool_]:
    """Return who is surely a person and has enough confident joints, bool (m,).

    Args:
        poses: of one image.
        config: how many joints are enough.
        thresholds: of the scores of boxes; None = every box is a person.
    """
    sure = (poses.scores > config.min_joint_score).sum(axis=1) >= config.min_joints
    sure &= poses.person_scores >= config.min_person_score
    if thresholds is not None and poses.box_scores is not None:
        sure &= poses.box_scores >= np.float32(thresholds.sure)
    return sure


def confident_joints(poses: Poses, min_score: float) -> Poses:
    """Return the same people, their joints of at most ``min_score`` absent."""
    sure = poses.scores > min_score
    return replace(
        poses,
        xy_px=np.where(sure[..., None], poses.xy_px, np.nan).astype(np.float32),
        scores=np.where(sure, poses.scores, 0).astype(np.float32),
    )


def with_lifted(poses: Poses, xyz_h36m: FloatArray) -> Poses:
    """Return BODY24 poses with root-relative joints (m, 17, 3) of H36M17 in their places."""
    there = np.where(np.isnan(xyz_h36m).any(axis=-1), 0.0, 1.0).astype(np.float32)
    xyz, _ = convert_joints(xyz_h36m, there, H36M17, poses.skeleton)
    source = np.where(np.isnan(xyz).any(axis=-1), Source3D.NONE, Source3D.LIFTED).astype(np.uint8)
    return replace(poses, xyz_root_m=xyz.astype(np.float32), source_3d=source)
