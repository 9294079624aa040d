"""The interface of a data set for evaluation, and its implementations: annotated and synthetic images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.data.coco import CocoTruth
from orpose_core.data.coco_results import poses_as_results
from orpose_core.data.mvor import image_path, load_frame
from orpose_core.data.poses_json import poses_from_json, poses_to_json
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.evaluation.scores import (
    BENCHMARK,
    PUBLISHED,
    Evaluation,
    Protocol,
    evaluate_results,
    score_poses,
)
from orpose_core.files import read_json
from orpose_core.simulation import SPLITS, simulate_frame, split_config
from orpose_core.simulation.writers.dataset import truth_place
from orpose_core.types import Poses, RgbdFrame


class EvaluationSet(ABC):
    """Images with ground truth, numbered from 0.

    Attributes:
        name: name of the data set.
        image_ids: int64 (i,), unique.
        protocol: default protocol of its scores.
    """

    name: str
    image_ids: np.ndarray
    protocol: Protocol = PUBLISHED

    def __len__(self) -> int:
        return len(self.image_ids)

    @abstractmethod
    def frame(self, index: int, modality: str) -> tuple[RgbdFrame, dict[str, Any]]:
        """Return an image of modality "depth" or "color", and the part of its ground truth to record."""

    @abstractmethod
    def evaluate(
        self,
        detections: Sequence[Poses],
        records: Sequence[dict[str, Any]],
        metrics: Sequence[str] | None = None,
        protocol: Protocol | None = None,
    ) -> Evaluation:
        """Score the detections of all images; ``records`` are the second values of :meth:`frame`.

        The default protocol is that of the data set: the published one for annotation files, and
        :data:`BENCHMARK` for simulated images.
        """

    @abstractmethod
    def sizes_hw(self) -> list[tuple[int, int]]:
        """Return (height, width) of every image, px."""

    def check_images(self, modality: str) -> None:  # noqa: B027  (most sets have nothing to check)
        """Raise ValueError if it is already clear that images are missing."""

    @abstractmethod
    def truth_of(self, index: int, record: dict[str, Any]) -> Poses:
        """Return the annotated people of an image."""


class AnnotatedSet(EvaluationSet):
    """Images with an annotation file: MVOR, MVOR+, COCO."""

    def __init__(self, name: str, truth: CocoTruth, root: Path, limit: int | None = None) -> None:
        self.name = name
        self._root = root
        self._chosen = self._subset(truth, limit)
        self._truth = truth
        self._poses: list[Poses] | None = None
        self.image_ids = truth.image_ids[self._chosen]

    def _subset(self, truth: CocoTruth, limit: int | None) -> np.ndarray:
        """Return the rows of the images of ``truth`` that belong to the set, int64 (i,)."""
        return spread(len(truth.image_ids), limit)

    def frame(self, index: int, modality: str) -> tuple[RgbdFrame, dict[str, Any]]:
        """Read an image."""
        return load_frame(self._truth, int(self._chosen[index]), self._root, (modality,)), {}

    def sizes_hw(self) -> list[tuple[int, int]]:
        """Return (height, width) of every image, px."""
        return [self._truth.sizes_hw[i] for i in self._chosen]

    def check_images(self, modality: str) -> None:
        """Raise ValueError if the first image does not exist."""
        if len(self):
            image_path(self._truth, int(self._chosen[0]), self._root, modality)

    def truth_of(self, index: int, record: dict[str, Any]) -> Poses:
        """Return the annotated people of an image."""
        if self._poses is None:
            self._poses = self._truth.poses()
        return self._poses[int(self._chosen[index])]

    def evaluate(
        self,
        detections: Sequence[Poses],
        records: Sequence[dict[str, Any]],
        metrics: Sequence[str] | None = None,
        protocol: Protocol | None = None,
    ) -> Evaluation:
        """Score against the annotation file, with its float64 values."""
        results = [
            result
            for image_id, poses in zip(self.image_ids, detections, strict=True)
            for result in poses_as_results(poses, int(image_id))
        ]
        return evaluate_results(
            self._truth.of_images(self._chosen), results, "detections", metrics, protocol or self.protocol
        )


class SyntheticSet(EvaluationSet):
    """A named split of the synthetic recordings, or some of its rooms; nothing is read from disk.

    AP counts all people who are at least partly visible. PCK and MPJPE follow MVOR, whose annotators gave
    poses to clinicians with at least four visible joints, of ten, and only boxes to others (770 of its 774
    patients).
    """

    protocol = BENCHMARK

    def __init__(self, name: str, limit: int | None = None) -> None:
        self.name = name
        self.image_ids = SPLITS[name].subset(limit)

    def frame(self, index: int, modality: str) -> tuple[RgbdFrame, dict[str, Any]]:
        """Render an image; its ground truth goes into the record."""
        simulated = simulate_frame(split_config(self.name, modality=modality), int(self.image_ids[index]))
        truth = {"truth": poses_to_json(simulated.poses), "roles": list(simulated.roles)}
        return simulated.frame, truth

    def sizes_hw(self) -> list[tuple[int, int]]:
        """Return (height, width) of every image, px."""
        return [split_config(self.name).size_hw] * len(self)

    def truth_of(self, index: int, record: dict[str, Any]) -> Poses:
        """Return all people in an image."""
        return poses_from_json(record["truth"], f"{self.name}: record of image {self.image_ids[index]}")

    def evaluate(
        self,
        detections: Sequence[Poses],
        records: Sequence[dict[str, Any]],
        metrics: Sequence[str] | None = None,
        protocol: Protocol | None = None,
    ) -> Evaluation:
        """Score against the exact ground truth."""
        truth = [(self.truth_of(k, record), record["roles"]) for k, record in enumerate(records)]
        return _score_simulated(truth, detections, metrics, protocol or self.protocol)


class SimulatedFolder(AnnotatedSet):
    """A folder of `orpose simulate`, scored like :class:`SyntheticSet` with the ground truth in its files."""

    protocol = BENCHMARK

    def _subset(self, truth: CocoTruth, limit: int | None) -> np.ndarray:
        """Select whole rooms like :meth:`~orpose_core.simulation.splits.Split.subset`: the first folders."""
        if limit is None or limit >= len(truth.image_ids):
            return spread(len(truth.image_ids), limit)
        rooms = np.unique([Path(name).parts[0] for name in truth.file_names], return_inverse=True)[1]
        wanted = max(limit * (int(rooms.max()) + 1) // len(rooms), 1)
        return np.flatnonzero(np.isin(rooms, spread(int(rooms.max()) + 1, wanted)))

    def truth_of(self, index: int, record: dict[str, Any]) -> Poses:
        """Return all people in an image."""
        return self._record(index)[0]

    def evaluate(
        self,
        detections: Sequence[Poses],
        records: Sequence[dict[str, Any]],
        metrics: Sequence[str] | None = None,
        protocol: Protocol | None = None,
    ) -> Evaluation:
        """Score against the exact ground truth."""
        truth = [self._record(k) for k in range(len(self))]
        return _score_simulated(truth, detections, metrics, protocol or self.protocol)

    def _record(self, index: int) -> tuple[Poses, list[str]]:
        """Return all people in an image, and their roles."""
        path = self._root / truth_place(self._truth.file_names[self._chosen[index]])
        record = read_json(path)
        image_id = int(self.image_ids[index])
        if not isinstance(record, dict) or record.get("id") != image_id:
            got = record.get("id") if isinstance(record, dict) else type(record).__name__
            raise ValueError(f"{path}: expected the truth of image {image_id}, got that of {got}")
        poses, roles = poses_from_json(record.get("poses", {}), str(path)), record.get("roles")
        if not isinstance(roles, list) or len(roles) != len(poses):
            raise ValueError(f"{path}: expected the roles of {len(poses)} people, got {roles}")
        return poses, roles


def _score_simulated(
    truth: Sequence[tuple[Poses, Sequence[str]]],
    detections: Sequence[Poses],
    metrics: Sequence[str] | None,
    protocol: Protocol,
) -> Evaluation:
    """Score against all people; joints count for those to whom MVOR's annotators would give a pose."""
    everybody, posed = [poses for poses, _ in truth], [as_mvor_annotates(*both) for both in truth]
    return score_poses(everybody, detections, metrics, protocol, posed_gt=posed)


def spread(count: int, limit: int | None) -> np.ndarray:
    """Return at most ``limit`` of the numbers below ``count``, int64, ascending, one from each equal part.

    The position within each part is random with a fixed seed. With a constant step, all images could be from
    one camera if the images of several cameras alternate.
    """
    if limit is not None and limit <= 0:
        raise ValueError(f"evaluation: expected a positive limit, got {limit}")
    if limit is None or limit >= count:
        return np.arange(count, dtype=np.int64)
    bounds = np.arange(limit + 1) * count // limit
    return np.random.default_rng(limit).integers(bounds[:-1], bounds[1:])
