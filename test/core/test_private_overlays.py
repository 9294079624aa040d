"""Pictures that `orpose estimate` draws: nobody in them can be recognised, whatever size the model reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orpose_core.demo import DemoOptions, SimulatedRecording
from orpose_core.estimation import estimate
from orpose_core.estimation.options import RunOptions
from orpose_core.estimators import EstimatorConfig, load_estimator
from orpose_core.image_ops import MAX_PRIVATE_PIXELS, private_frame
from orpose_core.types import RgbdFrame


def test_overlays_are_held_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []
    overlay = estimate.overlay

    def noted(frame: RgbdFrame, *arguments: object):
        drawn.append(frame.size_hw)
        return overlay(frame, *arguments)

    monkeypatch.setattr(estimate, "overlay", noted)
    estimator = load_estimator("untrained:depthpose_64x48@0.0625", EstimatorConfig(device="cpu", threads=1))
    recording = SimulatedRecording(DemoOptions(seconds=0.1, rate_hz=10))
    options = RunOptions(overlays=1, limit=1, low_resolution_hw=(120, 160))
    estimate.estimate_recording(recording, estimator, tmp_path, options)
    assert drawn == [(60, 80)]


@pytest.mark.parametrize("size_hw", [(480, 640), (61, 80), (1080, 1920)])
def test_a_frame_is_shrunk_until_nobody_can_be_recognised(size_hw: tuple[int, int]) -> None:
    frame = private_frame(RgbdFrame(None, np.ones(size_hw, np.float32), None))
    height, width = frame.size_hw
    assert 0.8 * MAX_PRIVATE_PIXELS < height * width <= MAX_PRIVATE_PIXELS
    small = RgbdFrame(None, np.ones((60, 80), np.float32), None)
    assert private_frame(small) is small
