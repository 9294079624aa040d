"""What an estimator is warmed up with: frames of noise, and settings with which noise gives people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orpose_core.estimators.config import EstimatorConfig
from orpose_core.types import Intrinsics, RgbdFrame

_ANYTHING = {
    "keypoint_threshold": 0.0,
    "paf_threshold": 0.0,
    "min_sample_share": 0.0,
    "min_joints": 1,
    "min_mean_score": 0.0,
    "min_person_score": 0.0,
    "max_people": 4,
    "max_peaks": 8,
}


_ANY_BOX = {"min_person_score": 0.0, "min_keypoint_score": 0.0, "min_mean_keypoint_score": 0.0}


def without_thresholds(config: EstimatorConfig) -> EstimatorConfig:
    """Return settings that call anything a person; at most a few of them."""
    return replace(
        config,
        decoder_changes=_ANYTHING,
        roi_changes={**config.roi_changes, **_ANY_BOX},
    )


def noise_frame(size_hw: tuple[int, int], *, color: bool) -> RgbdFrame:
    """Return a frame of noise: depth around 2.5 m, and color if it is wanted; always the same."""
    height, width = size_hw
    random = np.random.default_rng(0)
    depth_m = random.uniform(2.4, 2.6, size_hw).astype(np.float32)
    rgb = random.integers(0, 256, (*size_hw, 3), np.uint8) if color else None
    focal_px = 0.9 * width
    intrinsics = Intrinsics(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)
    return RgbdFrame(rgb, depth_m, intrinsics)
