"""What a GPU computes, against the processor: skipped, saying so, where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orpose_core.cli import main
from orpose_core.estimators import EstimatorConfig, load_estimator
from orpose_core.image_ops import low_resolution_frame
from orpose_core.reports.model_card import write_card
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.writers.dataset import write_dataset
from orpose_core.teacher.loading import teacher_of
from orpose_core.types import FloatArray, Poses, RgbdFrame

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

RECIPES = Path(__file__).resolve().parents[2] / "training"
SIZES_HW = {"depthpose_64x48": (48, 64), "student_small": (40, 53), "student_small_exact": (40, 53)}
MOVED_PX = 0.5
"""Of the low-resolution image."""


def frames(size_hw: tuple[int, int], count: int = 6) -> list[RgbdFrame]:
    stream = StreamConfig("or", (480, 640), "rgbd", seed=91)
    return [low_resolution_frame(simulate_frame(stream, i).frame, size_hw) for i in range(count)]


def moved_px(ones: Sequence[Poses], others: Sequence[Poses]) -> tuple[FloatArray, int, int]:
    """How far the joints of people whom both found have moved, and how many people there are in each."""
    moved = []
    for one, other in zip(ones, others, strict=True):
        for row in range(len(one)):
            if len(other):
                gaps = np.abs(other.boxes_px - one.boxes_px[row]).max(axis=1)
                if gaps.min() < 1.0:
                    moved.append(np.linalg.norm(other.xy_px[gaps.argmin()] - one.xy_px[row], axis=-1))
    joints = np.concatenate(moved)
    return joints[~np.isnan(joints)], sum(map(len, ones)), sum(map(len, others))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("model", SIZES_HW)
def test_shipped_models_find_what_they_find_on_the_processor(model: str, half: bool) -> None:
    config = EstimatorConfig(device="cpu", half_precision=False)
    on_cpu = load_estimator(model, config)
    on_gpu = load_estimator(model, replace(config, device="cuda", half_precision=half))
    assert on_gpu.info.device.startswith("cuda") and ("bf16" in on_gpu.info.backend) == half
    small = frames(SIZES_HW[model])
    joints, wanted, found = moved_px(on_cpu.estimate(small), on_gpu.estimate(small))
    assert abs(wanted - found) <= 0.1 * wanted and len(joints) >= 8 * wanted * 0.9
    assert np.median(joints) < 0.1 and np.mean(joints < MOVED_PX) > 0.95


def test_a_batch_on_a_gpu_gives_what_single_frames_give() -> None:
    estimator = load_estimator("depthpose_64x48", EstimatorConfig(device="cuda", half_precision=False))
    small = frames((48, 64))
    singles = [estimator.estimate([frame])[0] for frame in small]
    joints, wanted, found = moved_px(singles, estimator.estimate(small))
    assert wanted == found and np.mean(joints < MOVED_PX) > 0.99


def test_a_teacher_on_a_gpu_gives_the_labels_of_the_processor() -> None:
    stages = ("movenet_multipose", None, "movenet_thunder", "lifter_synthetic")
    stream = StreamConfig("general", (240, 320), "color", seed=92)
    images = [simulate_frame(stream, i).frame.rgb for i in range(6)]
    pictures = [i for i in images if i is not None]
    ones, others = (
        [
            labels.soft
            for labels in teacher_of(*stages, min_score=0.2, device=device).label(pictures, range(6))
        ]
        for device in ("cpu", "cuda")
    )
    joints, wanted, found = moved_px(ones, others)
    assert wanted == found > 3 and np.median(joints) < 0.1 and np.mean(joints < 4 * MOVED_PX) > 0.95


TRAININGS = {
    "student": "student_all_small.yaml",
    "depthpose": "depthpose_64x48_small.yaml",
    "detector": "detector_small.yaml",
    "keypoints": "keypoints_small.yaml",
}


@pytest.mark.parametrize("kind", TRAININGS)
def test_a_training_on_a_gpu_runs_is_resumed_and_is_read_on_the_processor(kind: str, tmp_path: Path) -> None:
    words = ["train", kind, "--config", str(RECIPES / TRAININGS[kind]), "--out", str(tmp_path / "run")]
    words += ["--engine.device", "cuda", "--engine.workers", "0", "--engine.steps", "6"]
    words += ["--engine.validate_steps", "0", "--validation.frames", "0", "--validation.final_frames", "0"]
    if kind == "student":
        stream = StreamConfig("or", (240, 320), "color", seed=93)
        words += ["--data.labels", str(write_dataset(stream, 8, tmp_path / "or"))]
        words += ["--init.weights", "student_small"]
    assert main([*words, "--engine.max_minutes", "0.0001"]) == 0
    begun = json.loads((tmp_path / "run" / "results.json").read_text())["steps"]
    assert 1 <= begun < 6
    assert main(["train", kind, "--resume", str(tmp_path / "run"), "--engine.max_minutes", "0"]) == 0
    assert json.loads((tmp_path / "run" / "results.json").read_text())["steps"] == 6
    out = tmp_path / "exported.safetensors"
    assert main(["train", kind, "--resume", str(tmp_path / "run"), "--export", str(out)]) == 0
    assert f" on {torch.cuda.get_device_name()}" in write_card(str(out)).read_text()
