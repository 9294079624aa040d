"""Choice of a student's thresholds on synthetic color, for its weights file.

The default threshold is for AP, which ranks detections by score and hardly penalizes false detections with
low scores. In use, every false detection counts.
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
    """The thresholds to try, and the frames to try them on.

    Attributes:
        split: name of a development split.
        frames: number of its frames, in whole rooms.
        low_hw: (height, width) of the images, px.
        min_person_scores: lowest scores of a box to try.
        min_mean_keypoint_scores: lowest mean scores of a person's keypoints to try.
        oks_nms: similarities (OKS) to try above which two detections are one person; None = no limit.
    """

    split: str = "or-val-v1"
    frames: int = 60
    low_hw: tuple[int, int] = (40, 53)
    min_person_scores: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    min_mean_keypoint_scores: tuple[float, ...] = (0.0, 0.01, 0.015, 0.02, 0.025, 0.03)
    oks_nms: tuple[float | None, ...] = (None, 0.7, 0.5, 0.3)


def student_frames(config: StudentReadingConfig) -> tuple[list[RgbdFrame], list[Poses]]:
    """Return color frames of the split, and all people who are partly visible in each, px of the frame."""
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
        estimator: the student; its settings are changed temporarily.
        config: the thresholds to try.
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

    Of settings that find equally many joints, the one with the highest F1 is returned.
    """
    return max(alike_best(counts), key=lambda decoder: (counts[decoder].correct, counts[decoder].f1))
