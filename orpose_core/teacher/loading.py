"""The teacher that the options of `orpose label` describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from orpose_core.checkpoints.keypoint_networks import (
    keypoint_config,
    load_keypoint_network,
    random_keypoint_network,
)
from orpose_core.checkpoints.weights_file import UNTRAINED
from orpose_core.decoding.top_down import TopDownConfig
from orpose_core.models.inference import choose_device
from orpose_core.models.movenet import MULTIPOSE, THUNDER, random_movenet
from orpose_core.teacher.detector import DetectorConfig, load_detector, random_detector
from orpose_core.teacher.keypoint_stage import KeypointStageConfig, TopDownKeypoints
from orpose_core.teacher.lifting import load_lifter, random_lifter
from orpose_core.teacher.movenet import (
    MultiPoseConfig,
    MultiPoseDetector,
    ThunderConfig,
    ThunderKeypoints,
    load_multipose,
    load_thunder,
)
from orpose_core.teacher.stages import KeypointEstimator, PersonDetector
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher

MOVENET = ("movenet_multipose", "movenet_thunder")
"""Detector and keypoint network of the teacher that needs no download."""


def teacher_of(
    detector: str = MOVENET[0],
    detector_weights: str | None = None,
    keypoints: str = MOVENET[1],
    lifter: str | None = None,
    *,
    min_score: float | None = None,
    scales: Sequence[int] = (),
    decoding: Literal["quarter", "dark"] = "quarter",
    flip: bool = True,
    hard_score: float = 0.35,
    device: str = "auto",
) -> Teacher:
    """Return a teacher. Each of its three networks may be ``untrained:NAME``, with random weights, for tests.

    Args:
        detector: ``movenet_multipose``, or one of :func:`detector.detector_names`.
        detector_weights: its file; None = the shipped or published one.
        keypoints: ``movenet_thunder``, or a file whose name tells the network.
        lifter: file; None = labels in 2D alone.
        min_score: boxes of this score or more are people; None = the detector's own threshold (0.25 of
            MoveNet, 0.7 of the others).
        scales: sizes at which the detector looks, px: the longer side for MoveNet, the shorter for the
            others. Empty = its own.
        decoding: of keypoint maps of HRNet and Simple Baselines.
        flip: mirrored images, too; MoveNet mirrors only in its second stage.
        hard_score: joints above it are in the hard set.
        device: auto, cpu, cuda.

    Raises:
        ValueError: a file is missing, damaged or does not fit; says which.
    """
    device = str(choose_device(device))
    first = _detector(detector, detector_weights, min_score, tuple(scales), flip, device)
    second = _keypoints(keypoints, decoding, flip, device)
    third = None
    if lifter is not None:
        third = random_lifter() if lifter.startswith(UNTRAINED) else load_lifter(lifter)
    return Teacher(first, second, third, PseudoLabelConfig(hard_joint_score=hard_score))


def _detector(
    name: str, weights: str | None, min_score: float | None, scales: tuple[int, ...], flip: bool, device: str
) -> PersonDetector:
    bare = name.removeprefix(UNTRAINED)
    if bare == MOVENET[0]:
        look = MultiPoseConfig(sides=scales or MultiPoseConfig().sides)
        if min_score is not None:
            look = replace(look, sure_score=min_score, min_score=min(look.min_score, min_score))
        if bare != name:
            return MultiPoseDetector(random_movenet(MULTIPOSE), "random", False, look, device)
        return load_multipose(weights or bare, look, device)
    config = DetectorConfig(scales=scales, flip=flip)
    if min_score is not None:
        config = replace(config, min_score=min_score)
    if bare != name:
        return random_detector(bare, config, device=device)
    return load_detector(name, weights, config, device)


def _keypoints(name: str, decoding: Literal["quarter", "dark"], flip: bool, device: str) -> KeypointEstimator:
    bare = name.removeprefix(UNTRAINED)
    if bare == MOVENET[1]:
        look = ThunderConfig(flip=flip)
        if bare != name:
            return ThunderKeypoints(random_movenet(THUNDER), "random", False, look, device)
        return load_thunder(bare, look, device)
    network = random_keypoint_network(keypoint_config(bare)) if bare != name else load_keypoint_network(name)
    # Networks whose maps are 96 cells high were trained with Gaussians of 3 cells, the others with 2.
    decoder = TopDownConfig(decoding=decoding, dark_kernel=17 if network.config.input_hw[0] >= 384 else 11)
    return TopDownKeypoints(network, KeypointStageConfig(flip=flip, decoder=decoder), device)
