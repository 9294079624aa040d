"""Scores of a student on a fixed part of a simulated benchmark, at several resolutions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.estimators import EstimatorConfig, PoseEstimator
from orpose_core.evaluation.evaluation_sets import SyntheticSet
from orpose_core.evaluation.run import shrunk
from orpose_core.models.student.network import Student
from orpose_core.simulation import SPLITS
from orpose_core.types import Resize, RgbdFrame


@dataclass(frozen=True)
class StudentValidationConfig:
    """Settings of the validation.

    Attributes:
        split: name of the simulated benchmark.
        frames: number of its frames, in whole rooms, that are used during training; 0 = no validation.
        final_frames: number of frames at the end of the run; 0 = none.
        scales: factors by which the images are shrunk.
        flip_test: whether to average with the mirrored image.
        batch: number of images in a batch.
    """

    split: str = "or-val-v1"
    frames: int = 60
    final_frames: int = 200
    scales: tuple[int, ...] = (1, 12)
    flip_test: bool = False
    batch: int = 8

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"validation.split: expected one of {sorted(SPLITS)}, got {self.split!r}")
        if min(self.frames, self.final_frames) < 0 or self.batch < 1:
            raise ValueError("validation: frames and final_frames must not be negative, batch at least 1")
        if not self.scales or min(self.scales) < 1:
            raise ValueError(f"validation.scales: expected numbers from 1 on, got {self.scales}")


class StudentBenchmark:
    """Frames of a split, rendered once, at 640x480.

    Args:
        config: the split.
        frames: number of its frames, in whole rooms; always the same ones.
    """

    def __init__(self, config: StudentValidationConfig, frames: int) -> None:
        self.dataset = SyntheticSet(config.split, frames)
        self.frames: list[RgbdFrame] = []
        self.records: list[dict[str, Any]] = []
        for index in range(len(self.dataset)):
            frame, record = self.dataset.frame(index, "color")
            self.frames.append(frame)
            self.records.append(record)


def validate_student(
    model: Student, benchmark: StudentBenchmark, config: StudentValidationConfig, half: bool
) -> dict[str, float]:
    """Return box AP, keypoint AP, PCK (percent) and MPJPE (mm) at each scale, ``keypoint_ap_12x`` and so on.

    Args:
        model: the student in evaluation mode.
        benchmark: the frames.
        config: scales and flip test.
        half: whether to compute in bf16 on devices that support it.
    """
    device = next(model.parameters()).device
    checkpoint = Checkpoint(model, model.config, "training", "", "", True, {})
    settings = EstimatorConfig(
        device=str(device), flip_test=config.flip_test, half_precision=half, metric_3d=False
    )
    estimator = PoseEstimator(checkpoint, settings)
    scores: dict[str, float] = {}
    for scale in config.scales:
        found = []
        for start in range(0, len(benchmark.frames), config.batch):
            sources = benchmark.frames[start : start + config.batch]
            small = shrunk(sources, scale)
            found += [
                poses.resized(Resize(frame.size_hw, source.size_hw))
                for poses, source, frame in zip(estimator.estimate(small), sources, small, strict=True)
            ]
        result = benchmark.dataset.evaluate(found, benchmark.records).scores
        scores |= {f"{name}_{scale}x": value for name, value in headline(result).items()}
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def headline(scores: dict[str, Any]) -> dict[str, float]:
    """Return the scores in the units of the tables: APs and PCK in percent, MPJPE in mm."""
    return {
        "box_ap": 100.0 * float(scores["box_ap"]["AP"]),
        "keypoint_ap": 100.0 * float(scores["keypoint_ap"]["AP"]),
        "pck": float(scores["pck"]["Average"]),
        "mpjpe_mm": float(scores["mpjpe"]["MPJPE"]) if "mpjpe" in scores else float("nan"),
        "keypoint_ap50": 100.0 * float(scores["keypoint_ap"]["AP50"]),
    }
