"""Scores of a network on a fixed part of a simulated benchmark, while it trains and at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from orpose_core.decoding.flip import merged, with_mirror
from orpose_core.decoding.paf import PafDecoderConfig, decode_paf
from orpose_core.evaluation.datasets import as_mvor_annotates
from orpose_core.evaluation.scores import BENCHMARK, STRICT, evaluate_poses
from orpose_core.metrics.pck import PARTS
from orpose_core.metrics.pck_interval import frame_counts
from orpose_core.models import ModelConfig, StageMaps
from orpose_core.simulation import SPLITS, simulate_frame, split_config
from orpose_core.training.depthpose.samples import network_input
from orpose_core.types import Poses


@dataclass(frozen=True)
class ValidationConfig:
    """What is scored, and how.

    Attributes:
        split: name of the simulated benchmark.
        frames: how many of its frames, in whole rooms, are used during training; 0 = no validation.
        final_frames: how many at the end of the run.
        shrink_method: how the 640x480 frames become low-resolution (the paper: bicubic).
        flip_test: whether the mirrored image is averaged in.
        decoder: the decoder's settings.
    """

    split: str = "or-val-v1"
    frames: int = 100
    final_frames: int = 400
    shrink_method: str = "median"
    flip_test: bool = True
    decoder: PafDecoderConfig = field(default_factory=PafDecoderConfig)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"validation.split: expected one of {sorted(SPLITS)}, got {self.split!r}")
        if min(self.frames, self.final_frames) < 0:
            raise ValueError("validation: frames and final_frames must not be negative")


@dataclass(frozen=True)
class Benchmark:
    """Frames of a split as one network sees them, and their true people.

    Attributes:
        images: float32 (n, 1, h, w) in [0, 1].
        truth: n of them, in px of the 640x480 image, with poses for those to whom MVOR's annotators give one.
        source_hw: size of that image.
        indices: of the frames in the split.
    """

    images: Tensor
    truth: tuple[Poses, ...]
    source_hw: tuple[int, int]
    indices: tuple[int, ...]


def benchmark_of(config: ValidationConfig, model: ModelConfig, frames: int) -> Benchmark:
    """Simulate rooms of the split that have ``frames`` frames together; always the same ones."""
    stream = split_config(config.split, modality="depth")
    indices = tuple(int(i) for i in SPLITS[config.split].subset(frames))
    images, truth = [], []
    for index in indices:
        simulated = simulate_frame(stream, index)
        assert simulated.frame.depth_m is not None
        images.append(network_input(simulated.frame.depth_m, model, config.shrink_method))
        truth.append(as_mvor_annotates(simulated.poses, simulated.roles))
    return Benchmark(torch.from_numpy(np.stack(images)), tuple(truth), stream.size_hw, indices)


def maps_of(model: nn.Module, images: Tensor, flip_test: bool, half: bool) -> StageMaps:
    """Return the last stage's maps of images (B, 1, h, w), flip test included, float32 on the CPU."""
    device = next(model.parameters()).device
    batch = with_mirror(images) if flip_test else images
    batch = batch.to(device, memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        stage = model(batch).stages[-1]
    keypoint_maps, paf_maps = stage.keypoint_maps.float().cpu(), stage.paf_maps.float().cpu()
    if flip_test:
        keypoint_maps, paf_maps = merged(keypoint_maps, paf_maps)
    return StageMaps(paf_maps.contiguous(), keypoint_maps.contiguous())


def detect(
    model: nn.Module, images: Tensor, source_hw: tuple[int, int], config: ValidationConfig, half: bool
) -> list[Poses]:
    """Return the people found in each image, in px of an image of ``source_hw``."""
    found = []
    for image in images.split(1):
        maps = maps_of(model, image, config.flip_test, half)
        found.append(
            decode_paf(maps.keypoint_maps[0].numpy(), maps.paf_maps[0].numpy(), source_hw, config.decoder)
        )
    return found


def scores_of(truth: Sequence[Poses], found: Sequence[Poses]) -> dict[str, float]:
    """Return PCK@0.2 per part, in percent, of the benchmark's protocol and of the strict one, and counts."""
    scores: dict[str, float] = {}
    for name, protocol in (("pck", BENCHMARK), ("strict_pck", STRICT)):
        row = evaluate_poses(truth, found, ["pck"], protocol)["pck"]
        scores |= {f"{name}_{part.lower()}": float(row[part]) for part in (*PARTS, "Average")}
    people = sum(len(poses) for poses in truth)
    scores["found_per_person"] = sum(len(poses) for poses in found) / max(people, 1)
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def validate(
    model: nn.Module, benchmark: Benchmark, config: ValidationConfig, half: bool
) -> dict[str, float]:
    """Return the scores of a model in evaluation mode."""
    found = detect(model, benchmark.images, benchmark.source_hw, config, half)
    return scores_of(benchmark.truth, found)


def validate_per_frame(
    model: nn.Module, benchmark: Benchmark, config: ValidationConfig, half: bool
) -> dict[str, Any]:
    """Return the same, and under ``per_frame`` what PCK counted in each frame."""
    found = detect(model, benchmark.images, benchmark.source_hw, config, half)
    counts = frame_counts(benchmark.truth, found, BENCHMARK.pck)
    return {**scores_of(benchmark.truth, found), "per_frame": counts.values()}


def milliseconds(model: nn.Module, config: ModelConfig, half: bool, repeats: int = 10) -> float:
    """Return the median time of one image's forward pass, warmed up, with PyTorch's present threads."""
    image = torch.rand(1, config.in_channels, *config.input_hw).contiguous(memory_format=torch.channels_last)
    device = next(model.parameters()).device
    times = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        for _ in range(repeats + 3):
            start = time.perf_counter()
            model(image.to(device))
            times.append(time.perf_counter() - start)
    return 1000.0 * float(np.median(times[3:]))
