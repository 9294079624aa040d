"""The teacher that the options of `orpose label` describe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from orpose_core.checkpoints.keypoint_networks import (
    keypoint_config,
    load_keypoint_network,
    random_keypoint_network,
)
from orpose_core.checkpoints.weights_file import UNTRAINED
from orpose_core.decoding.top_down import TopDownConfig
from orpose_core.models.inference import choose_device
from orpose_core.teacher.detector import DetectorConfig, load_detector, random_detector
from orpose_core.teacher.keypoint_stage import KeypointStageConfig, TopDownKeypoints
from orpose_core.teacher.lifting import load_lifter, random_lifter
from orpose_core.teacher.teacher import PseudoLabelConfig, Teacher


def teacher_of(
    detector: str,
    detector_weights: str | None,
    keypoints: str,
    lifter: str | None,
    *,
    min_score: float = 0.7,
    scales: Sequence[int] = (),
    decoding: Literal["quarter", "dark"] = "quarter",
    flip: bool = True,
    hard_score: float = 0.35,
    device: str = "auto",
) -> Teacher:
    """Return a teacher; each of the three may be ``untrained:NAME``, which is random, to try the way out.

    Args:
        detector: one of :func:`detector.detector_names`.
        detector_weights: its file; None = the published one, in the current folder.
        keypoints: file whose name tells the network.
        lifter: file; None = 2D alone.
        min_score: of the detector.
        scales: of the detector.
        decoding: of the keypoint maps.
        flip: mirrored images in both stages.
        hard_score: joints above it are in the hard set.
        device: auto, cpu, cuda.

    Raises:
        ValueError: a file is missing, damaged or does not fit; says which.
    """
    device = str(choose_device(device))
    look = DetectorConfig(min_score=min_score, scales=tuple(scales), flip=flip)
    if detector.startswith(UNTRAINED):
        first = random_detector(detector.removeprefix(UNTRAINED), look, device=device)
    else:
        first = load_detector(detector, detector_weights, look, device)
    if keypoints.startswith(UNTRAINED):
        network = random_keypoint_network(keypoint_config(keypoints.removeprefix(UNTRAINED)))
    else:
        network = load_keypoint_network(keypoints)
    # Networks whose maps are 96 cells high were trained with Gaussians of 3 cells, the others with 2.
    decoder = TopDownConfig(decoding=decoding, dark_kernel=17 if network.config.input_hw[0] >= 384 else 11)
    second = TopDownKeypoints(network, KeypointStageConfig(flip=flip, decoder=decoder), device)
    third = None
    if lifter is not None:
        third = random_lifter() if lifter.startswith(UNTRAINED) else load_lifter(lifter)
    return Teacher(first, second, third, PseudoLabelConfig(hard_joint_score=hard_score))
