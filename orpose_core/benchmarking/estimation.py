"""How long a frame spends in each stage of the way from message to skeletons, in every engine."""

from __future__ import annotations

import itertools
import logging
import math
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from threading import Lock
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from orpose_core.benchmarking.machine_rate import matrix_gflops_per_s
from orpose_core.data.image_messages import decode_color, decode_depth, encode_color, encode_depth
from orpose_core.engines import AUTO, installed_backends, is_exported
from orpose_core.estimators import EstimatorConfig, PoseEstimator, load_estimator
from orpose_core.estimators.batch_size import BatchSize
from orpose_core.image_ops import low_resolution_frame
from orpose_core.models import MapConfig
from orpose_core.models.inference import bf16_is_fast
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.training.depthpose.recipe import gflops
from orpose_core.types import RgbdFrame

logger = logging.getLogger(__name__)

STAGES = ("message", "normalise", "network", "decode", "3D")
"""Stages of the way of a frame in ``pose_node``, as they are measured."""

CAMERAS = (1, 2, 4)
"""How many cameras the rates are measured for."""

_Result = TypeVar("_Result")

_WARM_UP_RUNS = 1
_LEAST_RUNS = 2
_MOST_S = 10.0  # for the runs of one batch size


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        model: name or file.
        backend: engine.
        half_precision: bf16 where that is fast.
        flip_test: average with the mirrored image.
        device: see :class:`~orpose_core.estimators.EstimatorConfig`.
        threads: of the CPU; None = as PyTorch has it.
        lanes: of several cameras, as ``pose_node``'s parameter: 0 = one per camera.
        repeats: measured runs of each number of cameras, fewer where they take long.
    """

    model: str
    backend: str = AUTO
    half_precision: bool = True
    flip_test: bool = True
    device: str = "auto"
    threads: int | None = None
    lanes: int = 1
    repeats: int = 30


@dataclass(frozen=True)
class Timing:
    """What was measured of one case; times are medians.

    Attributes:
        model: its name.
        backend: what really ran.
        flip_test: as it was asked for.
        people: who were found in the frame.
        stages_ms: of a frame at the network's resolution, for each of :data:`STAGES`.
        cpu_ms: processor time of a frame, all stages and threads together: other programs that run meanwhile
            hardly change it.
        shrink_ms: from a 640x480 message to that resolution: the work of ``lowres_gateway``.
        frames_per_s: of all cameras together, by the number of cameras: one frame of each at a time, in
            batches and lanes as ``pose_node`` has them.
        gflops: of one frame, flip test included; None where it is not known.
        floor_ms: ``gflops`` at the rate of this machine's matrix products in the same number format.
        peak_mib: of the process, with everything that was imported.
    """

    model: str
    backend: str
    flip_test: bool
    people: int
    stages_ms: dict[str, float]
    cpu_ms: float
    shrink_ms: float
    frames_per_s: dict[str, float]
    gflops: float | None
    floor_ms: float | None
    peak_mib: float

    @property
    def sum_ms(self) -> float:
        """From the low-resolution message to skeletons in space."""
        return sum(self.stages_ms.values())


def cases_of(
    models: Sequence[str], backends: Sequence[str] | None = None, *, compare: bool = False, **settings: Any
) -> list[Case]:
    """Return what there is to measure: each model in each engine and number format that it can run in.

    Args:
        models: names or files.
        backends: names of engines; None = all that are installed.
        compare: with and without flip test.
        settings: other fields of :class:`Case`.
    """
    flips = (True, False) if compare else (settings.pop("flip_test", True),)
    halves = (True, False) if bf16_is_fast(torch.device("cpu")) else (False,)
    cases = []
    for model in models:
        engines = (AUTO,) if is_exported(model) else backends or installed_backends()
        for backend, half, flip in itertools.product(engines, halves, flips):
            if half and (backend == "onnxruntime" or is_exported(model)):
                continue  # one number format only
            cases.append(Case(model, backend, half, flip, **settings))
    return cases


def measure(cases: Sequence[Case]) -> tuple[list[Timing], list[str]]:
    """Measure each case in a process of its own, one after the other.

    Returns:
        The timings, and one line for each case that cannot be: a student outside PyTorch, say.
    """
    timings, refused = [], []
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for case, answer in zip(cases, pool.imap(_measured, cases), strict=True):
            logger.info("%s", answer)
            if isinstance(answer, Timing):
                timings.append(answer)
            else:
                refused.append(f"{case.model}, {case.backend}: {answer}")
    return timings, refused


def _measured(case: Case) -> Timing | str:
    """Measure a case, or say why it cannot be; runs in its own process."""
    config = EstimatorConfig(
        case.device,
        case.backend,
        flip_test=case.flip_test,
        half_precision=case.half_precision,
        threads=case.threads,
    )
    try:
        estimator = load_estimator(case.model, config)
    except ValueError as error:
        return str(error)
    if case.threads is not None:
        torch.set_num_threads(case.threads)
    messages, shrink_ms = _messages(estimator, max(CAMERAS))
    estimator.warm_up()
    runs = _repeated(partial(_run, estimator, messages[:1]), case.repeats)
    *stages_ms, cpu_ms = (1000 * np.median([run.seconds for run in runs], axis=0)).tolist()
    rates = {}
    for cameras in CAMERAS:
        if cameras > 1 and case.lanes != 1:
            estimator = load_estimator(case.model, replace(config, lanes=case.lanes or cameras))
        rates[str(cameras)] = _frames_per_s(estimator, messages[:cameras], case.repeats)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    work, floor_ms = _work(estimator, case)
    return Timing(
        estimator.info.name,
        estimator.info.backend,
        case.flip_test,
        runs[-1].people,
        dict(zip(STAGES, stages_ms, strict=True)),
        cpu_ms,
        shrink_ms,
        rates,
        work,
        floor_ms,
        peak_mib,
    )


def _messages(estimator: PoseEstimator, count: int) -> tuple[list[tuple[Any, ...]], float]:
    """Return low-resolution messages of a synthetic room, and how many ms a large one takes to become one."""
    color = estimator.info.modality == "color"
    stream = StreamConfig("or", (480, 640), "rgbd" if color else "depth", seed=3)
    messages, seconds = [], []
    for i in range(count):
        frame = simulate_frame(stream, i).frame
        large = _encoded(frame, color)
        for _ in range(5):
            start_s = time.perf_counter()
            small = low_resolution_frame(_decoded(large), estimator.info.input_hw)
            seconds.append(time.perf_counter() - start_s)
        messages.append(_encoded(small, color))
    return messages, 1000 * float(np.median(seconds))


def _encoded(frame: RgbdFrame, color: bool) -> tuple[Any, ...]:
    assert frame.depth_m is not None
    rgb = SimpleNamespace(**encode_color(frame.rgb)) if color and frame.rgb is not None else None
    return rgb, SimpleNamespace(**encode_depth(frame.depth_m, "16UC1")), frame.intrinsics


def _decoded(message: tuple[Any, ...]) -> RgbdFrame:
    rgb, depth, intrinsics = message
    return RgbdFrame(None if rgb is None else decode_color(rgb), decode_depth(depth), intrinsics)


class _Run(NamedTuple):
    """A batch on its way.

    Attributes:
        seconds: of each of :data:`STAGES`, and processor time of all of them.
        people: who were found.
    """

    seconds: list[float]
    people: int


def _run(estimator: PoseEstimator, messages: Sequence[tuple[Any, ...]]) -> _Run:
    """Take a batch of messages all the way."""
    marks, began_cpu_s = [time.perf_counter()], time.process_time()
    frames = [_decoded(message) for message in messages]
    marks.append(time.perf_counter())
    seen = estimator.prepare(frames)
    marks.append(time.perf_counter())
    answer = estimator.run(seen.images)
    if torch.device(estimator.info.device).type == "cuda":
        torch.cuda.synchronize()  # else the next stage would wait for this one
    marks.append(time.perf_counter())
    found = estimator.decode(answer, frames)
    marks.append(time.perf_counter())
    placed = [estimator.place(*each) for each in zip(found, frames, seen.depths_m, strict=True)]
    marks.append(time.perf_counter())
    cpu_s = time.process_time() - began_cpu_s
    return _Run([*(b - a for a, b in itertools.pairwise(marks)), cpu_s], sum(map(len, placed)))


def _repeated(once: Callable[[], _Result], repeats: int) -> list[_Result]:
    """Return what ``once`` gives each time, after runs that do not count; fewer where they take long."""
    results: list[_Result] = []
    end_s = time.perf_counter() + _MOST_S
    while len(results) < repeats + _WARM_UP_RUNS and (
        time.perf_counter() < end_s or len(results) < _LEAST_RUNS + _WARM_UP_RUNS
    ):
        results.append(once())
    return results[_WARM_UP_RUNS:]


def _frames_per_s(estimator: PoseEstimator, messages: Sequence[tuple[Any, ...]], repeats: int) -> float:
    """Return frames/s of all cameras together, with one message of each at a time.

    As in ``pose_node``, each lane takes its share of the waiting messages, in batches as large as is
    efficient. Runs that only find the size of batches do not count.
    """
    estimator.warm_up(math.ceil(len(messages) / estimator.lanes))
    sizes, lock = BatchSize(), Lock()

    def serve(waiting: list[tuple[Any, ...]], _: int) -> None:
        while True:
            with lock:
                if not waiting:
                    return
                size = sizes.next(math.ceil(len(waiting) / estimator.lanes))
                batch = [waiting.pop() for _ in range(size)]
            began_s = time.perf_counter()
            _run(estimator, batch)
            with lock:
                sizes.took(size, time.perf_counter() - began_s)

    with ThreadPoolExecutor(estimator.lanes) as lanes:

        def once() -> float:
            began_s = time.perf_counter()
            for _ in lanes.map(partial(serve, list(messages)), range(estimator.lanes)):
                pass
            return time.perf_counter() - began_s

        _repeated(once, len(messages) if len(messages) > 1 else 0)
        return len(messages) / float(np.median(_repeated(once, repeats)))


def _work(estimator: PoseEstimator, case: Case) -> tuple[float | None, float | None]:
    """Return GFLOPs of a frame, and the ms that they take at this machine's rate, where both are known."""
    config: Any = estimator.network
    if not isinstance(config, MapConfig):
        return None, None
    work = gflops(config) * (2 if case.flip_test else 1)
    number_format = estimator.info.backend.rsplit(" ", 1)[-1]
    types = {"float32": torch.float32, "bf16": torch.bfloat16}
    if number_format not in types or estimator.info.device != "cpu":
        return work, None
    return work, 1000 * work / matrix_gflops_per_s(types[number_format])
