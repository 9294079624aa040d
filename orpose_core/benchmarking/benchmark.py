"""How fast things are on this machine; what `orpose benchmark` prints."""

from __future__ import annotations

import itertools
import math
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.data.image_messages import decode_color, decode_depth, encode_color, encode_depth
from orpose_core.data.targets import render_targets
from orpose_core.decoding.paf import decode_paf
from orpose_core.estimators import EstimatorConfig, PoseEstimator, load_estimator
from orpose_core.geometry import SURFACE_OFFSETS, metric_3d
from orpose_core.image_ops import low_resolution_depth, low_resolution_frame
from orpose_core.models.inference import MapPredictor
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.writers.dataset import write_dataset
from orpose_core.skeleton import OPENPOSE18
from orpose_core.types import Poses, RgbdFrame, Visibility


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
    from orpose_core.reports.stage_card import shown_words
    from orpose_core.training.depthpose.recipe import DEPTHPOSE, DepthPoseRecipe
    from orpose_core.training.engine.commands import parse
    from orpose_core.training.engine.distributed import processes
    from orpose_core.training.engine.processor import prepare_processor
    from orpose_core.training.engine.run_folder import RunFolder

    prepare_processor()
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got {steps}")
    options = ["--config", config, f"--engine.steps={steps + _WARM_UP_STEPS}", "--engine.validate_steps=0"]
    options += ["--validation.frames=0", "--engine.max_minutes=0", "--engine.progress=steps"]
    options += [] if threads is None else [f"--engine.threads={threads}"]
    options += [] if workers is None else [f"--engine.workers={workers}"]
    recipe = parse("orpose benchmark train", DepthPoseRecipe, options).recipe
    with tempfile.TemporaryDirectory() as folder, processes(recipe.engine.device) as mine:
        trainer = DEPTHPOSE.trainer(recipe, DEPTHPOSE.build(recipe), RunFolder(folder), mine)
        marks: list[tuple[float, float]] = []
        losses = trainer.task.losses

        def marked(model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
            marks.append((trainer.state.seconds, trainer.state.waited_s))
            return losses(model, batch)

        trainer.task.losses = marked  # type: ignore[method-assign]
        load = os.getloadavg()[0]
        state = trainer.run()
    spent, waited = state.seconds - marks[_WARM_UP_STEPS][0], state.waited_s - marks[_WARM_UP_STEPS][1]
    engine, shown = recipe.engine, shown_words(recipe.engine.batch, recipe.data.crop_hw)
    return (
        f"{config}: {shown} a step, {engine.threads} threads, {engine.workers} workers, "
        f"{mine.device.type}, bf16 {'on' if trainer.half else 'off'}, load {load:.1f} before\n"
        f"{steps * engine.batch / spent:.1f} images/s, {100 * waited / spent:.1f} % of the time waiting"
    )


def estimate(
    models: Sequence[str],
    repeats: int = 30,
    threads: int | None = None,
    batch: int = 1,
    compare: bool = False,
    flip_test: bool = True,
    device: str = "auto",
) -> str:
    """Measure every stage of the way of a frame: a 640x480 16UC1 message to skeletons in space, warm.

    Args:
        models: names or files.
        repeats: measured runs; the median counts.
        threads: of PyTorch; None = as it comes.
        batch: frames per run; times are per frame.
        compare: measure each model with and without flip test, and in bf16 and float32.
        flip_test: where ``compare`` is not asked for.
        device: see :class:`estimators.EstimatorConfig`.

    Returns:
        A table of milliseconds per frame.

    Raises:
        ValueError: an argument is below 1, or a model is not there.
    """
    if repeats < 1 or batch < 1:
        raise ValueError(f"expected at least 1 repeat and a batch of at least 1, got {repeats} and {batch}")
    flips = (True, False) if compare else (flip_test,)
    halves = (True, False) if compare else (True,)
    rows: list[tuple[str, ...]] = []
    for model in models:
        for flip, half in itertools.product(flips, halves):
            config = EstimatorConfig(device=device, flip_test=flip, half_precision=half, threads=threads)
            estimator = load_estimator(model, config)
            number_format = estimator.info.backend.rsplit(" ", 1)[-1]
            if half and compare and number_format == "float32":
                continue  # bf16 would be emulated here; the float32 row says it all
            times, people = _stage_times(estimator, repeats, batch)
            row = [estimator.info.name, "yes" if flip else "no", number_format]
            rows.append((*row, *(f"{t:.2f}" for t in times), f"{sum(times):.2f}", str(people)))
    header = ("model", "flip", "format", *ESTIMATE_STAGES, "sum", "people")
    load = os.getloadavg()[0]
    title = (
        f"ms per frame of 640x480, batch {batch}, median of {repeats}, {torch.get_num_threads()} threads, "
        f"{os.cpu_count()} processors, load {load:.1f}"
    )
    return "\n".join([title, *_aligned([header, *rows])])


ESTIMATE_STAGES = ("message", "shrink", "normalise", "network", "decode", "3D")
"""Stages of the way of a frame, as :func:`estimate` measures them."""


def _stage_times(estimator: PoseEstimator, repeats: int, batch: int) -> tuple[list[float], int]:
    """Return the median ms per frame of each stage, and how many people were found in the batch."""
    stream = StreamConfig("or", (480, 640), "rgbd", seed=3)
    simulated = [simulate_frame(stream, i).frame for i in range(batch)]
    color = estimator.info.modality == "color"
    messages = []
    for frame in simulated:
        assert frame.rgb is not None and frame.depth_m is not None
        color_fields = encode_color(frame.rgb) if color else None
        depth_fields = encode_depth(frame.depth_m, "16UC1")
        messages.append((color_fields, depth_fields, frame.intrinsics))
    estimator.warm_up(batch)
    on_gpu = torch.device(estimator.info.device).type == "cuda"
    samples: list[list[float]] = []
    people = 0
    for run in range(repeats + 2):
        marks = [time.perf_counter()]
        frames = []
        for color_fields, depth_fields, intrinsics in messages:
            rgb = None if color_fields is None else decode_color(SimpleNamespace(**color_fields))
            frames.append(RgbdFrame(rgb, decode_depth(SimpleNamespace(**depth_fields)), intrinsics))
        marks.append(time.perf_counter())
        small = [low_resolution_frame(frame, estimator.info.input_hw) for frame in frames]
        marks.append(time.perf_counter())
        images = estimator.prepare(small)
        marks.append(time.perf_counter())
        answer = estimator.run(images)
        if on_gpu:
            torch.cuda.synchronize()  # else the next stage would wait for this one
        marks.append(time.perf_counter())
        found = estimator.decode(answer, small)
        marks.append(time.perf_counter())
        placed = [estimator.place(poses, frame) for poses, frame in zip(found, small, strict=True)]
        marks.append(time.perf_counter())
        people = sum(map(len, placed))
        if run >= 2:  # the first ones load compiled code
            samples.append([1000 * (b - a) / batch for a, b in itertools.pairwise(marks)])
    return np.median(np.array(samples), axis=0).tolist(), people


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def surface_offsets(frames: int = 300, seed: int = 77, sigma_px: float = 0.35) -> str:
    """Measure how far joints lie behind the surface that a 64x48 depth image shows of them.

    The table in :mod:`geometry` comes from here. Synthetic rooms of both domains, joints that are in view,
    their 2D position disturbed as a network's would be.

    Args:
        frames: of each domain.
        seed: of the rooms and the disturbance.
        sigma_px: standard deviation of the disturbance, px of the 64x48 image.

    Returns:
        A table, per part: median and spread (half of the middle 68 %), metres; how many joints were found,
        and how well :func:`geometry.metric_3d` does: median error, and the share within sqrt(3) sigma_m.
    """
    generator = np.random.default_rng(seed)
    measured: dict[str, list[tuple[float, float, float]]] = {}
    wanted: dict[str, int] = {}
    for domain, index in itertools.product(("or", "general"), range(frames)):
        simulated = simulate_frame(StreamConfig(domain, (480, 640), "depth", seed), index)
        truth = simulated.poses.converted(OPENPOSE18)
        if not len(truth):
            continue
        assert truth.xyz_cam_m is not None and truth.visibility is not None
        assert simulated.frame.depth_m is not None and simulated.frame.intrinsics is not None
        noise = generator.normal(0, 10 * sigma_px, truth.xy_px.shape)
        sigma = np.where(truth.scores > 0, np.float32(10 * sigma_px), np.float32(np.nan))
        poses = replace(
            truth, xy_px=(truth.xy_px + noise).astype(np.float32), sigma_px=sigma, visibility=None
        )
        small = low_resolution_depth(simulated.frame.depth_m, (48, 64))
        found = metric_3d(poses, small, simulated.frame.intrinsics)
        assert found.xyz_cam_m is not None and found.sigma_m is not None
        distance = np.linalg.norm(found.xyz_cam_m, axis=-1)
        along = (truth.xyz_cam_m * found.xyz_cam_m).sum(axis=-1) / distance  # the truth, along the ray
        error = np.linalg.norm(found.xyz_cam_m - truth.xyz_cam_m, axis=-1)
        for m, j in zip(*np.nonzero(truth.visibility == Visibility.VISIBLE), strict=True):
            part = OPENPOSE18.joints[j].removeprefix("left_").removeprefix("right_")
            wanted[part] = wanted.get(part, 0) + 1
            if np.isfinite(distance[m, j]):
                offset = along[m, j] - distance[m, j] + SURFACE_OFFSETS[part].mean_m
                measured.setdefault(part, []).append((offset, error[m, j], found.sigma_m[m, j]))
    rows: list[tuple[str, ...]] = [("part", "mean m", "spread m", "found", "error m", "within")]
    for part, values in sorted(measured.items()):
        offset, error, sigma = np.array(values).T
        low, middle, high = np.quantile(offset, (0.16, 0.5, 0.84))
        within = (error < math.sqrt(3) * sigma).mean()
        share = len(offset) / wanted[part]
        numbers = f"{middle:.3f}", f"{(high - low) / 2:.3f}", f"{share:.3f}", f"{np.median(error):.3f}"
        rows.append((part, *numbers, f"{within:.3f}"))
    return "\n".join(_aligned(rows))
