"""Thresholds are chosen by what is found and what is made up, on frames that nothing else uses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.data.targets import render_targets
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import EstimatorConfig, PoseEstimator, estimate_all
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.models import FastPoseConfig, PoseMaps, StageMaps
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import OPENPOSE18
from orpose_core.training.depthpose.threshold_choice import (
    THRESHOLD_SEED,
    JointCounts,
    ReadingConfig,
    choose_thresholds,
    joint_counts,
    synthetic_frames,
)
from orpose_core.types import Poses

NETWORK = FastPoseConfig(input_hw=(48, 64))
TRIED = ReadingConfig(
    domains=("or",),
    frames=6,
    keypoint_thresholds=(0.07,),
    paf_thresholds=(0.05,),
    min_mean_scores=(0.2,),
    min_person_scores=(0.08, 0.3),
)


def everybody(count: int = 6) -> list[Poses]:
    stream = StreamConfig("or", TRIED.size_hw, "depth", THRESHOLD_SEED)
    return [simulate_frame(stream, i).poses for i in range(count)]


class Drawn(nn.Module):
    """Answers with the true maps of all frames, as sure of them as is said, and with those of a phantom."""

    def __init__(self, sure: float, phantom: float) -> None:
        super().__init__()
        self.sure, self.phantom = sure, phantom
        self.runs = 0

    def forward(self, images: Tensor) -> PoseMaps:
        self.runs += 1
        answers = [self.answer(poses) for poses in everybody()]
        paf, keypoints = (torch.from_numpy(np.stack(maps)) for maps in zip(*answers, strict=True))
        return PoseMaps((StageMaps(paf, keypoints),))

    def answer(self, poses: Poses) -> tuple[np.ndarray, np.ndarray]:
        drawn = render_targets(poses, TRIED.size_hw, (48, 64))
        ghost = render_targets(replace_xy(everybody()[0].select([0])), TRIED.size_hw, (48, 64))
        paf = self.sure * drawn.paf_maps + self.phantom * ghost.paf_maps
        keypoints = np.maximum(self.sure * drawn.keypoint_maps, self.phantom * ghost.keypoint_maps)
        return paf, keypoints


def replace_xy(poses: Poses) -> Poses:
    """Put a person into the upper left corner, where nobody is."""
    xy = poses.xy_px - np.nanmin(poses.xy_px, axis=1, keepdims=True) + np.float32(2)
    return replace(poses, xy_px=xy)


@pytest.mark.parametrize(("sure", "phantom", "wanted"), [(0.3, 0.0, 0.08), (1.0, 0.25, 0.3)])
def test_a_network_that_is_unsure_gets_a_low_threshold_and_one_with_phantoms_a_high_one(
    sure: float, phantom: float, wanted: float
) -> None:
    checkpoint = Checkpoint(Drawn(sure, phantom), NETWORK, "drawn", "", "", True, {})
    settings = EstimatorConfig("cpu", "torch", flip_test=False, half_precision=False)
    estimator, usual = PoseEstimator(checkpoint, settings), PafDecoderConfig()
    frames, _ = synthetic_frames(TRIED, THRESHOLD_SEED)
    best, counts = choose_thresholds(estimator, TRIED, compared=usual)
    assert len(counts) == 3 and checkpoint.model.runs == 1
    assert counts[usual] == joint_counts(everybody(), estimate_all(estimator, frames))
    del counts[usual]
    assert best.min_person_score == wanted
    assert counts[best].f1 == max(c.f1 for c in counts.values()) > 0.8


def test_counts_know_misses_and_phantoms() -> None:
    truth = everybody()
    perfect = [poses.converted(OPENPOSE18) for poses in truth]
    nobody = [Poses.nobody(OPENPOSE18)] * len(truth)
    right = joint_counts(truth, perfect)
    assert right.correct == right.true and right.f1 > 0.99
    assert joint_counts(truth, nobody).correct == joint_counts(truth, nobody).given == 0
    assert joint_counts([poses.select([]) for poses in truth], perfect).f1 == 0
    assert JointCounts(0, 0, 0, 0).f1 == 1.0 and JointCounts(0, 0, 0, 3).f1 == 0.0
    assert JointCounts(6, 8, 10, 20).f1 == pytest.approx(0.6)


def test_who_is_hidden_may_be_found_and_need_not() -> None:
    truth = everybody(30)
    asked = [as_mvor_annotates(poses) for poses in truth]
    must = [~np.isnan(a.xy_px).all(axis=(1, 2)) for a in asked]
    assert any((~m).any() for m in must), "somebody is hidden in these frames"
    everyone = joint_counts(truth, [p.converted(OPENPOSE18) for p in truth])
    alone = joint_counts(truth, [p.select(m).converted(OPENPOSE18) for p, m in zip(truth, must, strict=True)])
    assert everyone.true == alone.true and abs(everyone.f1 - alone.f1) < 0.03


def test_what_cannot_be_tried_is_refused() -> None:
    with pytest.raises(ValueError, match="frames: expected 0 or more, got -1"):
        ReadingConfig(frames=-1)
    with pytest.raises(ValueError, match="paf_thresholds: expected at least one"):
        ReadingConfig(paf_thresholds=())
