"""How fast things are on this machine; what `orpose benchmark` prints."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from orpose_core.data.simulated import write_dataset
from orpose_core.data.targets import render_targets
from orpose_core.decoding.paf import decode_paf
from orpose_core.models.checkpoints import load_checkpoint
from orpose_core.models.inference import MapPredictor
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import OPENPOSE18
from orpose_core.types import Poses


def simulate(frames: int = 200, workers: int = 1) -> str:
    """Measure the synthetic room: RGB-D frames to disk on several cores, and the depth stream on one.

    Args:
        frames: to measure.
        workers: processes of the first measurement.

    Returns:
        A few lines of text.

    Raises:
        ValueError: if an argument is below 1.
    """
    if frames < 1 or workers < 1:
        raise ValueError(f"expected at least 1 frame and 1 worker, got {frames} and {workers}")
    lines = [f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before the measurement"]
    for domain in ("or", "general"):
        config = StreamConfig(domain, (480, 640), "rgbd", seed=1, frames_per_sequence=25)
        simulate_frame(config, 0)  # compiled or loaded before the clock runs
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            write_dataset(config, frames, folder, workers)
            rate = frames / (time.perf_counter() - start)
        lines.append(
            f"{domain:8s} 640x480 RGB-D with ground truth, written, {workers} processes: {rate:.1f} frames/s"
        )
    for domain in ("or", "general"):
        config = StreamConfig(domain, (192, 256), "depth", seed=1)
        simulate_frame(config, 0)
        start = time.perf_counter()
        for index in range(1, frames + 1):
            simulate_frame(config, index)
        rate = frames / (time.perf_counter() - start)
        lines.append(
            f"{domain:8s} 256x192 depth with joints, each its own room, 1 process: {rate:.1f} frames/s"
        )
    return "\n".join(lines)


def decode(people: int = 8, repeats: int = 300) -> str:
    """Measure decoding alone, maps given: people apart from each other, 64x48 maps, one core.

    Args:
        people: drawn into the maps, at random places of a grid.
        repeats: of the same maps.
    """
    rng = np.random.default_rng(0)
    columns = math.ceil(math.sqrt(people))
    cell_px = np.array([640 / columns, 480 / columns])
    corners = np.array([[i % columns, i // columns] for i in range(people)]) * cell_px
    joints = len(OPENPOSE18)
    xy_px = corners[:, None] + rng.uniform(0.1, 0.9, size=(people, joints, 2)) * cell_px
    poses = Poses(
        OPENPOSE18,
        xy_px.astype(np.float32),
        np.ones((people, joints), np.float32),
        np.ones(people, np.float32),
        np.zeros((people, 4), np.float32),
    )
    targets = render_targets(poses, (480, 640), (48, 64))
    found = decode_paf(targets.keypoint_maps, targets.paf_maps, (480, 640))  # compiled before the clock runs
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        decode_paf(targets.keypoint_maps, targets.paf_maps, (480, 640))
        seconds.append(time.perf_counter() - start)
    return f"decoding {len(found)} of {people} people: {_milliseconds(seconds)}"


def forward(
    name: str = "untrained:depthpose_64x48@0.25/0.125", repeats: int = 20, threads: int = 2, batch: int = 1
) -> str:
    """Measure a network alone: channels_last, in float32 and, where this machine has it, in bf16.

    Args:
        name: as for load_checkpoint; random weights (``untrained:``) cost the same.
        repeats: forward passes measured.
        threads: PyTorch threads.
        batch: images at once (2 is one image with its flip test).
    """
    checkpoint = load_checkpoint(name)
    config = checkpoint.config
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    lines = []
    try:
        for half in (False, True):
            predictor = MapPredictor(checkpoint.model, "cpu", half)
            if half and not predictor.bf16:
                lines.append("bf16: not on this processor")
                continue
            predictor.warm_up(batch, config.in_channels, config.input_hw)
            images = torch.rand(batch, config.in_channels, *config.input_hw)
            seconds = []
            for _ in range(repeats):
                start = time.perf_counter()
                predictor(images)
                seconds.append(time.perf_counter() - start)
            lines.append(
                f"{name}, {predictor.backend}, {threads} threads, batch {batch}: {_milliseconds(seconds)}"
            )
    finally:
        torch.set_num_threads(before)
    return "\n".join(lines)


def _milliseconds(seconds: list[float]) -> str:
    low, middle, high = (1e3 * float(q) for q in np.percentile(seconds, [0, 50, 95]))
    return f"{low:.2f} ms at best, {middle:.2f} median, {high:.2f} at the 95th percentile"


_WARM_UP_STEPS = 8


def train(config: str, steps: int = 30, threads: int | None = None, workers: int | None = None) -> str:
    """Measure a recipe's training: images per second, and the share of the time spent waiting for data.

    Real steps on real data, in a folder that is thrown away; the first steps, in which the workers start and
    PyTorch finds its kernels, do not count.

    Args:
        config: the recipe's file.
        steps: to measure.
        threads: of PyTorch, None = the recipe's.
        workers: processes that prepare data, None = the recipe's.

    Returns:
        A few lines of text.

    Raises:
        ValueError: if there is nothing to measure, or the recipe is not understood.
    """
    from orpose_core.training.commands import parse
    from orpose_core.training.depthpose import DepthPoseRecipe, trainer_of
    from orpose_core.training.distributed import processes
    from orpose_core.training.processor import prepare_processor
    from orpose_core.training.run_folder import RunFolder

    prepare_processor()
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    options = ["--config", config, f"--engine.steps={steps + _WARM_UP_STEPS}", "--engine.validate_steps=0"]
    options += ["--validation.frames=0", "--engine.max_minutes=0", "--engine.progress=steps"]
    options += [] if threads is None else [f"--engine.threads={threads}"]
    options += [] if workers is None else [f"--engine.workers={workers}"]
    recipe = parse("orpose benchmark train", DepthPoseRecipe, options).recipe
    with tempfile.TemporaryDirectory() as folder, processes(recipe.engine.device) as mine:
        trainer = trainer_of(recipe, RunFolder(folder), mine)
        marks: list[tuple[float, float]] = []
        losses = trainer.task.losses

        def marked(model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
            marks.append((trainer.state.seconds, trainer.state.waited_s))
            return losses(model, batch)

        trainer.task.losses = marked  # type: ignore[method-assign]
        load = os.getloadavg()[0]
        state = trainer.run()
    spent, waited = state.seconds - marks[_WARM_UP_STEPS][0], state.waited_s - marks[_WARM_UP_STEPS][1]
    engine = recipe.engine
    return (
        f"{config}: batch {engine.batch}, {engine.threads} threads, {engine.workers} workers, "
        f"{mine.device.type}, bf16 {'on' if trainer.half else 'off'}, load {load:.1f} before\n"
        f"{steps * engine.batch / spent:.1f} images/s, {100 * waited / spent:.1f} % of the time waiting"
    )
