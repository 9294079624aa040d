"""Evaluation of a teacher's labels on synthetic frames that were not used for its training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from orpose_core.checkpoints.history import training_facts
from orpose_core.checkpoints.keypoint_networks import load_keypoint_network
from orpose_core.checkpoints.small_detectors import small_detector_file
from orpose_core.checkpoints.weights_file import SUFFIX, find_weights, read_header
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.evaluation.scores import BENCHMARK, STRICT, evaluate_poses
from orpose_core.metrics.calibration import reliability
from orpose_core.metrics.coco_ap import ap_of_poses
from orpose_core.skeleton import COCO17
from orpose_core.teacher.detector import DetectorConfig, TorchvisionDetector, load_detector
from orpose_core.teacher.keypoint_stage import KeypointStageConfig, TopDownKeypoints
from orpose_core.teacher.lifting import ResidualLifter, load_lifter
from orpose_core.teacher.stages import PersonBoxes, PersonThresholds, Picture, StageInfo
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher
from orpose_core.training.stages.detector import boxes_as_poses
from orpose_core.training.stages.frames import Frames
from orpose_core.training.stages.keypoints import true_boxes
from orpose_core.types import Float64Array, Poses

_LOWEST_BOX_SCORE = 0.2
_SAME_PERSON_IOU = 0.5
_CORRECT_SIMILARITY = 0.5
_SIGMAS = np.array(COCO17.sigmas)


@dataclass(frozen=True)
class TeacherFiles:
    """The three stages of a teacher; see `orpose label`.

    Attributes:
        detector: name of the detector.
        detector_weights: its weights file; None = shipped weights.
        keypoints: weights file or name of the keypoint network.
        lifter: weights file or name of the lifter.
    """

    detector: str
    detector_weights: str | None
    keypoints: str
    lifter: str


def trained_domains(files: TeacherFiles) -> dict[str, list[str]]:
    """Return the synthetic domains on which each stage was trained, according to the headers of the files."""
    detector = small_detector_file(files.detector, files.detector_weights)
    paths = {"detector": detector, "keypoints": Path(files.keypoints), "lifter": Path(files.lifter)}
    domains = {}
    for part, path in paths.items():
        if path is None:
            continue
        file = find_weights(path) if path.suffix in ("", SUFFIX) else path
        facts = training_facts(read_header(file)) if file.suffix == SUFFIX else {}
        trainings = [facts, *facts.get("earlier", [])]
        seen = dict.fromkeys(domain for training in trainings for domain in training.get("domains") or ())
        if seen:
            domains[part] = list(seen)
    return domains


@dataclass(frozen=True)
class Look:
    """Test-time augmentation of a teacher.

    Attributes:
        name: name in the report.
        flip: whether both stages also see the mirrored image.
        detector_scales: lengths of the shorter image side, px; empty = the default of the detector.
        keypoint_scales: scales of the crops.
    """

    name: str
    flip: bool = False
    detector_scales: tuple[int, ...] = ()
    keypoint_scales: tuple[float, ...] = (1.0,)


LOOKS = (
    Look("once"),
    Look("flip", flip=True),
    Look("flip and scales", True, (240, 320), (1.0, 1.2)),
)
"""Without test-time augmentation, with the mirrored image, and with two sizes as well."""


class _KnownBoxes:
    """Replaces a detector whose detections in the images are already known."""

    thresholds = PersonThresholds(0.0, 0.0)

    def __init__(self, info: StageInfo, people: Sequence[PersonBoxes]) -> None:
        self._info, self._people = info, list(people)

    @property
    def info(self) -> StageInfo:
        return self._info

    def detect(self, images: Sequence[Picture]) -> list[PersonBoxes]:
        """Return the detections in the next images."""
        now, self._people = self._people[: len(images)], self._people[len(images) :]
        return now


@dataclass(frozen=True)
class _Stages:
    detector: TorchvisionDetector
    keypoints: TopDownKeypoints
    lifter: ResidualLifter

    @classmethod
    def of(cls, files: TeacherFiles, look: Look) -> _Stages:
        look_for = DetectorConfig(_LOWEST_BOX_SCORE, scales=look.detector_scales, flip=look.flip)
        network = load_keypoint_network(files.keypoints)
        return cls(
            load_detector(files.detector, files.detector_weights, look_for),
            TopDownKeypoints(network, KeypointStageConfig(look.flip, scales=look.keypoint_scales)),
            load_lifter(files.lifter),
        )

    def boxes(self, frames: Frames) -> list[PersonBoxes]:
        """Return all people found by the first stage."""
        return [self.detector.detect([image])[0] for image in frames.images]

    def labels(self, frames: Frames, boxes: Sequence[PersonBoxes]) -> list[Poses]:
        """Return the soft labels of the people in these boxes."""
        known = _KnownBoxes(self.detector.info, boxes)
        teacher = Teacher(known, self.keypoints, self.lifter, PseudoLabelConfig(min_joints=0))
        return [teacher.label([image], [i])[0].soft for i, image in enumerate(frames.images)]

    def description(self) -> dict[str, Any]:
        """Return the settings that affect the labels."""
        return Teacher(self.detector, self.keypoints, self.lifter).description()


def best_box_score(truth: Sequence[Poses], found: Sequence[Poses]) -> float:
    """Return the threshold of box scores with the highest F1 at an IoU of 0.5."""
    scores, right = _people_outcomes(truth, found)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(order) + 1)
    recall = hits / max(sum(map(len, truth)), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(scores[order][int(f1.argmax())]) if len(order) else 1.0


def evaluate_teacher(
    files: TeacherFiles,
    frames: Frames,
    tuning: Frames,
    looks: Sequence[Look] = LOOKS,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return all scores as JSON values.

    Args:
        files: the teacher.
        frames: frames of the evaluation.
        tuning: frames of another domain, on which the threshold of the boxes is chosen.
        looks: variants of test-time augmentation.
        progress: called with messages about the progress.
    """
    out: dict[str, Any] = {
        "teacher": asdict(files),
        "frames": len(frames.images),
        "domains": trained_domains(files),
        "lowest_box_score": _LOWEST_BOX_SCORE,
        "looks": {},
    }
    for look in looks:
        stages = _Stages.of(files, look)
        own = [boxes_as_poses(people) for people in stages.boxes(tuning)]
        threshold = best_box_score(tuning.truth, own)
        progress(f"{look.name}: boxes from a score of {threshold:.2f} on")
        boxes = stages.boxes(frames)
        found = stages.labels(frames, boxes)
        given = stages.labels(frames, [true_boxes(poses) for poses in frames.truth])
        scores = _scores(frames, found, [boxes_as_poses(people) for people in boxes], threshold)
        scores["box_AP_tuning"] = ap_of_poses(tuning.truth, own, "box").summary()["AP"]
        scores["keypoint_AP_true_boxes"] = ap_of_poses(frames.truth, given, "keypoint").summary()["AP"]
        settings = json.loads(json.dumps(asdict(look)))
        out["looks"][look.name] = {"settings": settings, "box_score": threshold, **scores}
        out["stages"] = stages.description()
        progress(f"{look.name}: judged on {len(found)} frames")
    return out


def _scores(
    frames: Frames, found: Sequence[Poses], boxes: Sequence[Poses], threshold: float
) -> dict[str, Any]:
    """Return AP of everything found, and the quality of the labels: people above the threshold."""
    truth = frames.truth
    posed = [as_mvor_annotates(t, r) for t, r in zip(truth, frames.roles, strict=True)]
    box, keypoint = (
        ap_of_poses(truth, boxes, "box").summary(),
        ap_of_poses(truth, found, "keypoint").summary(),
    )
    labels = [p.select(_box_scores(p, b) >= threshold) for p, b in zip(found, boxes, strict=True)]
    plain = evaluate_poses(posed, labels, ["pck", "mpjpe"], BENCHMARK)
    strict = evaluate_poses(posed, labels, ["pck", "mpjpe"], STRICT)
    _, right = _people_outcomes(truth, labels)
    people_scores, people_right = _people_outcomes(truth, boxes)
    joints = _joint_outcomes(truth, labels)
    return {
        **{f"box_{name}": box[name] for name in ("AP", "AP50", "AP75")},
        **{f"keypoint_{name}": keypoint[name] for name in ("AP", "AP50", "AP75")},
        "people": sum(map(len, truth)),
        "labelled_people": sum(map(len, labels)),
        "label_precision": float(right.mean()) if len(right) else None,
        "label_recall": float(right.sum() / max(sum(map(len, truth)), 1)),
        "pck": {part: _finite(value) for part, value in plain["pck"].items()},
        "pck_strict": _finite(strict["pck"]["Average"]),
        "mpjpe": {n: _finite(plain["mpjpe"][n]) for n in ("MPJPE", "PA-MPJPE", "matched_people_pct")},
        "mpjpe_strict": {n: _finite(strict["mpjpe"][n]) for n in ("MPJPE", "PA-MPJPE", "matched_people_pct")},
        "boxes": reliability(people_scores, people_right).as_dict(),
        "joints": reliability(joints["score"], joints["right"], joints["error"]).as_dict(),
        "joints_3d": reliability(joints["score"], joints["near"], joints["error_3d_mm"]).as_dict(),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _box_scores(poses: Poses, boxes: Poses) -> Float64Array:
    """Return the box score of each person; poses are in another order than boxes."""
    if not len(poses):
        return np.zeros(0)
    distance = np.abs(poses.boxes_px[:, None].astype(np.float64) - boxes.boxes_px[None]).sum(axis=-1)
    return boxes.person_scores[distance.argmin(axis=1)].astype(np.float64)


def _matches(truth: Poses, found: Poses) -> NDArray[np.int64]:
    """Return the row of the true person of each detection, -1 = none: in order of scores, IoU of 0.5."""
    out = np.full(len(found), -1, np.int64)
    if not len(truth) or not len(found):
        return out
    overlap = box_iou(torch.from_numpy(found.boxes_px), torch.from_numpy(truth.boxes_px)).numpy()
    for row in np.argsort(-found.person_scores, kind="stable"):
        best = int(overlap[row].argmax())
        if overlap[row, best] >= _SAME_PERSON_IOU:
            out[row] = best
            overlap[:, best] = -1.0
    return out


def _people_outcomes(truth: Sequence[Poses], found: Sequence[Poses]) -> tuple[Float64Array, Float64Array]:
    """Return the scores of all detections, and 1 for those on a person, 0 for others."""
    scores, right = [np.zeros(0)], [np.zeros(0)]
    for t, f in zip(truth, found, strict=True):
        scores.append(np.clip(f.person_scores.astype(np.float64), 0, 1))
        right.append((_matches(t, f) >= 0).astype(np.float64))
    return np.concatenate(scores), np.concatenate(right)


def _joint_outcomes(truth: Sequence[Poses], found: Sequence[Poses]) -> dict[str, Float64Array]:
    """Return the results of the 17 joints of detections that are matched with a person.

    ``score``; ``right``: whether the OKS of the joint is at least 0.5 (False for joints outside the image);
    ``error``: distance as a share of the square root of the box's area, NaN = no such joint; ``error_3d_mm``:
    error relative to the root; ``near``: whether it is at most 150 mm.
    """
    out: dict[str, list[Float64Array]] = {n: [] for n in ("score", "right", "error", "error_3d_mm", "near")}
    for t, f in zip(truth, found, strict=True):
        rows = _matches(t, f)
        own, true = f.select(rows >= 0).converted(COCO17), t.select(rows[rows >= 0]).converted(COCO17)
        sides = (true.boxes_px[:, 2:] - true.boxes_px[:, :2]).astype(np.float64)
        distance = np.linalg.norm((own.xy_px - true.xy_px).astype(np.float64), axis=-1)
        error = distance / np.sqrt(sides.prod(axis=1))[:, None]
        similarity = np.exp(-np.square(error) / (2 * np.square(2 * _SIGMAS)))
        error_3d = np.full(error.shape, np.nan)
        if own.xyz_root_m is not None and true.xyz_root_m is not None:
            error_3d = 1000.0 * np.linalg.norm((own.xyz_root_m - true.xyz_root_m).astype(np.float64), axis=-1)
        said = own.scores > 0
        out["score"].append(own.scores[said].astype(np.float64))
        out["right"].append((np.nan_to_num(similarity, nan=0.0) >= _CORRECT_SIMILARITY)[said].astype(float))
        out["error"].append(error[said])
        out["error_3d_mm"].append(error_3d[said])
        out["near"].append((np.nan_to_num(error_3d, nan=np.inf) <= 150.0)[said].astype(float))
    return {name: np.concatenate([np.zeros(0), *values]) for name, values in out.items()}
