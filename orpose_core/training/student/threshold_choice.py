"""How a student's people are read best: thresholds for its weights file, chosen on synthetic color.

The default threshold is for AP, which ranks people by their score and forgives those that are not there. In
use every phantom counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from orpose_core.decoding.oks_nms import suppress_by_oks
from orpose_core.decoding.roi import RoiDecoderConfig
from orpose_core.estimators import PoseEstimator, estimate_all
from orpose_core.image_ops import low_resolution_frame
from orpose_core.simulation import SPLITS, simulate_frame, split_config
from orpose_core.skeleton import COCO17
from orpose_core.training.depthpose.threshold_choice import JointCounts, alike_best, joint_counts
from orpose_core.types import Poses, Resize, RgbdFrame

_SIZE_HW = (240, 320)


@dataclass(frozen=True)
class StudentReadingConfig:
    """What is tried, and on what.

    Attributes:
        split: a development split.
        frames: of it, in whole rooms.
        low_hw: (height, width) of the images, px.
        min_person_scores: see :class:`RoiDecoderConfig`.
        min_mean_keypoint_scores: likewise.
        oks_nms: likewise.
    """

    split: str = "or-val-v1"
    frames: int = 60
    low_hw: tuple[int, int] = (40, 53)
    min_person_scores: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    min_mean_keypoint_scores: tuple[float, ...] = (0.0, 0.01, 0.015, 0.02, 0.025, 0.03)
    oks_nms: tuple[float | None, ...] = (None, 0.7, 0.5, 0.3)


def student_frames(config: StudentReadingConfig) -> tuple[list[RgbdFrame], list[Poses]]:
    """Return color frames of the split, and everybody of whom something is seen in each, px of the frame."""
    stream = split_config(config.split, _SIZE_HW, "color")
    frames, truth = [], []
    for index in SPLITS[config.split].subset(config.frames).tolist():
        simulated = simulate_frame(stream, index)
        small = low_resolution_frame(simulated.frame, config.low_hw)
        frames.append(small)
        truth.append(simulated.poses.resized(Resize(_SIZE_HW, config.low_hw)))
    return frames, truth


def choose_roi_decoder(
    estimator: PoseEstimator, config: StudentReadingConfig
) -> tuple[RoiDecoderConfig, dict[RoiDecoderConfig, JointCounts]]:
    """Return the thresholds with the highest F1 of joints (within a hundredth those that find most), and all.

    Args:
        estimator: with the student; its settings change meanwhile.
        config: what is tried.
    """
    frames, truth = student_frames(config)
    before = estimator.config
    lowest = RoiDecoderConfig(min_person_score=min(config.min_person_scores))
    estimator.config = replace(before, roi_decoder=lowest, metric_3d=False)
    found = estimate_all(estimator, frames)
    estimator.config = before
    counts = {}
    means = [poses.converted(COCO17).scores.mean(axis=1) for poses in found]
    for score, mean in product(config.min_person_scores, config.min_mean_keypoint_scores):
        sure = [p.select((p.person_scores >= score) & (m >= mean)) for p, m in zip(found, means, strict=True)]
        for nms in config.oks_nms:
            kept = [p if nms is None else suppress_by_oks(p, nms) for p in sure]
            tried = RoiDecoderConfig(min_person_score=score, min_mean_keypoint_score=mean, oks_nms=nms)
            counts[tried] = joint_counts(truth, kept)
    return best_of(counts), counts


def best_of(counts: dict[RoiDecoderConfig, JointCounts]) -> RoiDecoderConfig:
    """Return the settings that find most among those whose F1 is within a hundredth of the highest.

    Of those that find equally many, the one with the highest F1.
    """
    return max(alike_best(counts), key=lambda decoder: (counts[decoder].correct, counts[decoder].f1))
