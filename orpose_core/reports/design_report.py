"""A table of networks that differ in one setting each, from saved results: what the setting is worth."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.estimators import EstimatorConfig, PoseEstimator
from orpose_core.files import write_text
from orpose_core.metrics.pck_interval import FrameCounts, average_interval, difference_interval
from orpose_core.models.inference import processor_name
from orpose_core.reports.pages import page, table, unlike
from orpose_core.training.depthpose.recipe import gflops
from orpose_core.training.engine.run_folder import RunFolder

_SEEDS = ("engine.seed", "data.seed")
_NOT_DESIGN = {*_SEEDS, "row", "data.cache.folder", "model.paf_channels", "model.keypoint_channels"}
"""Settings that do not make another row of the table, or follow from others."""

_ARCHITECTURE = "model.architecture"

_WARM_UPS, _REPEATS = 5, 20


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: name of its folder.
        results: its results.
        settings: settings of its recipe by name, ``model.stages`` and so on.
        counts: counts of PCK per frame.
        parameters: number of parameters of the network.
        gflops: cost of one image, 1 MAC = 2 FLOPs.
        milliseconds: median duration of one image without the flip test, ms.
        backend: what ran the network for that.
    """

    name: str
    results: dict[str, Any]
    settings: dict[str, Any]
    counts: FrameCounts
    parameters: int
    gflops: float
    milliseconds: float
    backend: str


def read_run(folder: Path, threads: int, backend: str = "auto") -> Run:
    """Read a finished run and measure its network.

    Args:
        folder: folder of the run.
        threads: number of threads of the network.
        backend: see :class:`~orpose_core.estimators.EstimatorConfig`.

    Raises:
        ValueError: something is missing; the message names the folder.
    """
    run = RunFolder(folder)
    try:
        results = json.loads(run.results.read_text())
        counts = FrameCounts.from_values(results["per_frame"])
        settings, _ = flat(results["recipe"]), results["scores"]["pck_average"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}: expected the scored results of a finished run, got: {error!r}"
        ) from error
    checkpoint = load_checkpoint(run.weights)
    config = EstimatorConfig("cpu", backend, flip_test=False, threads=threads)
    estimator = PoseEstimator(checkpoint, config)
    return Run(
        folder.resolve().name,
        results,
        settings,
        counts,
        sum(p.numel() for p in checkpoint.model.parameters()),
        gflops(checkpoint.config),
        _milliseconds(estimator, checkpoint.config.in_channels),
        estimator.info.backend,
    )


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their dotted names."""
    named: dict[str, Any] = {}
    for key, value in values.items():
        named |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return named


def _milliseconds(estimator: PoseEstimator, channels: int) -> float:
    images, spent = torch.rand(1, channels, *estimator.info.input_hw), []
    before = torch.get_num_threads()
    try:
        for _ in range(_WARM_UPS + _REPEATS):
            start = time.perf_counter()
            estimator.run(images)
            spent.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    return 1000.0 * float(np.median(spent[_WARM_UPS:]))


def _changes(run: Run, first: Run) -> dict[str, Any]:
    """Return the settings of a run that differ from those of the first one."""
    mine, theirs = run.settings, first.settings
    names = [n for n in mine if n not in _NOT_DESIGN and (n not in theirs or mine[n] != theirs[n])]
    if _ARCHITECTURE in names:  # the settings of two architectures cannot be compared
        names = [_ARCHITECTURE, *(n for n in names if not n.startswith("model."))]
    return {name: mine[name] for name in names}


def _rows(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs grouped by their settings; runs of one group differ in their seeds."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_changes(run, runs[0])), []).append(run)
    return list(groups.values())


def report(runs: Sequence[Run], threads: int) -> str:
    """Return the page, Markdown; the first run is the one that the others are compared with."""
    groups = _rows(runs)
    settings = [run.settings for run in runs]
    recipes: dict[str, Iterable[Any]] = {
        name: [s.get(name) for s in settings]
        for name in ("engine.max_minutes", "engine.clock", "engine.threads", "validation.split",
                     "data.render_hw", "data.cache.seed")
    }  # fmt: skip
    recipes["frames"] = [str(run.counts.counted.tolist()) for run in runs]
    return page(
        "design_report",
        first=_name(groups[0]),
        settings=settings[0],
        frames=len(runs[0].counts.room),
        rooms=len(np.unique(runs[0].counts.room)),
        unlike=unlike(recipes),
        seeds=sorted({len(group) for group in groups}),
        table=_table(groups),
        machine=processor_name(),
        backends=sorted({run.backend for run in runs}),
        threads=threads,
    )


def _name(group: Sequence[Run]) -> str:
    return re.sub(r"_1$", "", group[0].name) if len(group) > 1 else group[0].name


def _table(groups: Sequence[Sequence[Run]]) -> str:
    first = groups[0]
    lines = []
    for group in groups:
        changes = _changes(group[0], first[0])
        what = ", ".join(f"`{name}` {json.dumps(value)}" for name, value in changes.items())
        run, minutes = group[0], np.mean([r.results["minutes"] for r in group])
        lines.append(
            [
                _name(group),
                what,
                _with_interval(_mean(group, "pck_average"), average_interval(_counts(group)), ".1f"),
                _gained(group, first),
                f"{_mean(group, 'strict_pck_average'):.1f}",
                f"{_mean(group, 'pck_wrist'):.1f}",
                f"{run.parameters / 1e6:.2f} M",
                f"{run.gflops:.1f}",
                f"{run.milliseconds:.1f}",
                f"{np.mean([r.results['images'] for r in group]):.0f}",
                f"{minutes:.1f}",
            ]
        )
    header = ["", "what is different", "PCK@0.2", "difference", "strict", "wrists", "parameters", "GFLOPs"]
    return table([*header, "ms", "images", "minutes"], lines)


def _counts(group: Sequence[Run]) -> list[FrameCounts]:
    return [run.counts for run in group]


def _mean(group: Sequence[Run], score: str) -> float:
    return float(np.mean([run.results["scores"].get(score, np.nan) for run in group]))


def _gained(group: Sequence[Run], first: Sequence[Run]) -> str:
    if group is first:
        return ""
    interval = difference_interval(_counts(group), _counts(first))
    return _with_interval(_mean(group, "pck_average") - _mean(first, "pck_average"), interval, "+.1f")


def _with_interval(value: float, interval: tuple[float, float], form: str) -> str:
    low, high = (format(end, form) for end in interval)
    return f"{value:{form}} ({low} to {high})"


def write_design_report(folders: Sequence[Path], out: Path, threads: int = 2, backend: str = "auto") -> str:
    """Write the table of these runs to ``out`` and return the page.

    Args:
        folders: finished runs of `orpose train depthpose`; the others are compared with the first one.
        out: file of the page, in Markdown.
        threads: number of threads with which the networks are timed.
        backend: see :func:`read_run`.

    Raises:
        ValueError: a folder has no finished run, or the runs were not scored on the same frames.
    """
    if not folders:
        raise ValueError("expected at least one run")
    text = report([read_run(folder, threads, backend) for folder in folders], threads)
    write_text(out, text)
    return text
