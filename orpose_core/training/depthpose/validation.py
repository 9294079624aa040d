"""Scores of a network on a fixed part of a simulated benchmark, during training and at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import EstimatorConfig, PoseEstimator, estimate_all
from orpose_core.evaluation.annotators import as_mvor_annotates
from orpose_core.evaluation.scores import BENCHMARK, STRICT, evaluate_poses
from orpose_core.image_ops import ColorMethod, DepthMethod, low_resolution_frame
from orpose_core.metrics.pck import PARTS
from orpose_core.metrics.pck_interval import frame_counts
from orpose_core.models import NetworkConfig
from orpose_core.simulation import SPLITS, simulate_frame, split_config
from orpose_core.types import Poses, Resize, RgbdFrame


@dataclass(frozen=True)
class ValidationConfig:
    """Settings of the validation.

    Attributes:
        split: name of the simulated benchmark.
        frames: number of its frames, in whole rooms, that are used during training; 0 = no validation.
        final_frames: number of frames at the end of the run.
        shrink_method: method of shrinking the 640x480 depth images (the paper: bicubic).
        color_method: method of shrinking color images.
        flip_test: whether to average with the mirrored image.
        decoder: settings of the decoder.
    """

    split: str = "or-val-v1"
    frames: int = 100
    final_frames: int = 400
    shrink_method: str = "median"
    color_method: ColorMethod = "bilinear"
    flip_test: bool = True
    decoder: PafDecoderConfig = field(default_factory=PafDecoderConfig)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"validation.split: expected one of {sorted(SPLITS)}, got {self.split!r}")
        if min(self.frames, self.final_frames) < 0:
            raise ValueError("validation: frames and final_frames must not be negative")


@dataclass(frozen=True)
class Benchmark:
    """Frames of a split at the resolution of a network, and their ground truth.

    Attributes:
        frames: n frames of depth at the network's input size.
        truth: n ground truths in px of the 640x480 image, with poses of the people to whom MVOR's annotators
            would give one.
        source_hw: (height, width) of the 640x480 image.
        indices: indices of the frames in the split.
        rooms: int64 (n,), the room that each frame shows.
    """

    frames: tuple[RgbdFrame, ...]
    truth: tuple[Poses, ...]
    source_hw: tuple[int, int]
    indices: tuple[int, ...]
    rooms: NDArray[np.int64]


def benchmark_of(config: ValidationConfig, model: NetworkConfig, frames: int) -> Benchmark:
    """Simulate rooms of the split with ``frames`` frames in total; always the same ones."""
    split, stream = SPLITS[config.split], split_config(config.split, modality=model.modality)
    indices = split.subset(frames)
    methods = cast(DepthMethod, config.shrink_method), config.color_method
    small, truth = [], []
    for index in indices.tolist():
        simulated = simulate_frame(stream, index)
        small.append(low_resolution_frame(simulated.frame, model.input_hw, *methods))
        truth.append(as_mvor_annotates(simulated.poses, simulated.roles))
    return Benchmark(
        tuple(small), tuple(truth), stream.size_hw, tuple(indices.tolist()), split.rooms_of(indices)
    )


def detect(
    model: nn.Module, model_config: NetworkConfig, benchmark: Benchmark, config: ValidationConfig, half: bool
) -> list[Poses]:
    """Return the people found in each frame, in px of an image of ``benchmark.source_hw``.

    Args:
        model: the network in evaluation mode; it stays on its device.
        model_config: config of the network.
        benchmark: the frames.
        config: flip test and decoder.
        half: whether to compute in bf16 on devices that support it.
    """
    device = next(model.parameters()).device
    settings = EstimatorConfig(
        str(device), "torch", config.flip_test, half, decoder=config.decoder, metric_3d=False
    )
    checkpoint = Checkpoint(model, model_config, "training", "", "", True, {})
    estimator = PoseEstimator(checkpoint, settings)
    found = estimate_all(estimator, benchmark.frames)
    to_source = Resize(model_config.input_hw, benchmark.source_hw)
    return [poses.resized(to_source) for poses in found]


def scores_of(truth: Sequence[Poses], found: Sequence[Poses]) -> dict[str, float]:
    """Return PCK@0.2 per part, percent, by the benchmark's and by the strict protocol, and the counts."""
    scores: dict[str, float] = {}
    for name, protocol in (("pck", BENCHMARK), ("strict_pck", STRICT)):
        row = evaluate_poses(truth, found, ["pck"], protocol)["pck"]
        scores |= {f"{name}_{part.lower()}": float(row[part]) for part in (*PARTS, "Average")}
    people = sum(len(poses) for poses in truth)
    scores["found_per_person"] = sum(len(poses) for poses in found) / max(people, 1)
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def validate(
    model: nn.Module, model_config: NetworkConfig, benchmark: Benchmark, config: ValidationConfig, half: bool
) -> dict[str, float]:
    """Return the scores of a model in evaluation mode."""
    return scores_of(benchmark.truth, detect(model, model_config, benchmark, config, half))


def validate_per_frame(
    model: nn.Module, model_config: NetworkConfig, benchmark: Benchmark, config: ValidationConfig, half: bool
) -> dict[str, Any]:
    """Return the same, and under ``per_frame`` the counts of PCK and the room of each frame."""
    found = detect(model, model_config, benchmark, config, half)
    counts = frame_counts(benchmark.truth, found, BENCHMARK.pck, benchmark.rooms)
    return {**scores_of(benchmark.truth, found), "per_frame": counts.values()}


def final_scores(
    model: nn.Module, model_config: NetworkConfig, config: ValidationConfig, half: bool
) -> dict[str, Any]:
    """Return the number of ``final_frames`` and what :func:`validate_per_frame` gives for them; {} = none."""
    if not config.final_frames:
        return {}
    benchmark = benchmark_of(config, model_config, config.final_frames)
    return {
        "frames": len(benchmark.truth),
        **validate_per_frame(model, model_config, benchmark, config, half),
    }


def milliseconds(model: nn.Module, config: NetworkConfig, half: bool, repeats: int = 10) -> float:
    """Return the median time of one image's forward pass after a warm-up, with PyTorch's current threads."""
    image = torch.rand(1, config.in_channels, *config.input_hw).contiguous(memory_format=torch.channels_last)
    device = next(model.parameters()).device
    times = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        for _ in range(repeats + 3):
            start = time.perf_counter()
            model(image.to(device))
            times.append(time.perf_counter() - start)
    return 1000.0 * float(np.median(times[3:]))
