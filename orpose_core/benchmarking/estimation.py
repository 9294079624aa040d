"""How long a frame spends in each stage of the way from message to skeletons."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import torch

from orpose_core.benchmarking.text import aligned
from orpose_core.data.image_messages import decode_color, decode_depth, encode_color, encode_depth
from orpose_core.estimators import EstimatorConfig, PoseEstimator, load_estimator
from orpose_core.image_ops import low_resolution_frame
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.types import RgbdFrame

ESTIMATE_STAGES = ("message", "shrink", "normalise", "network", "decode", "3D")
"""Stages of the way of a frame, as :func:`estimate` measures them."""


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
    return "\n".join([title, *aligned([header, *rows])])


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
        seen = estimator.prepare(small)
        marks.append(time.perf_counter())
        answer = estimator.run(seen.images)
        if on_gpu:
            torch.cuda.synchronize()  # else the next stage would wait for this one
        marks.append(time.perf_counter())
        found = estimator.decode(answer, small)
        marks.append(time.perf_counter())
        placed = [estimator.place(*each) for each in zip(found, small, seen.depths_m, strict=True)]
        marks.append(time.perf_counter())
        people = sum(map(len, placed))
        if run >= 2:  # the first ones load compiled code
            samples.append([1000 * (b - a) / batch for a, b in itertools.pairwise(marks)])
    return np.median(np.array(samples), axis=0).tolist(), people
