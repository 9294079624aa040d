"""What `orpose benchmark estimate` prints and writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from orpose_core.benchmarking.estimation import CAMERAS, STAGES, Timing, cases_of, measure
from orpose_core.benchmarking.text import aligned
from orpose_core.checkpoints.weights_file import find_weights, read_header, weights_names
from orpose_core.files import write_json, write_text
from orpose_core.models.inference import processor_name
from orpose_core.reports.pages import number, page, table

_HEADER = (
    "model", "backend", "flip", *STAGES, "sum", "CPU", "shrink", *(f"{n} cam" for n in CAMERAS),
    "GFLOP", "floor", "MiB", "people",
)  # fmt: skip


def shipped_networks() -> list[str]:
    """Return the names of the shipped weights that give poses."""
    return [name for name in weights_names() if read_header(find_weights(name)).kind == "network"]


def estimate(
    models: Sequence[str] = (),
    backends: Sequence[str] | None = None,
    *,
    json_path: str | None = None,
    page_path: str | None = None,
    **settings: Any,
) -> str:
    """Measure every stage of the way of a frame, from a message to skeletons in space.

    Args:
        models: names or files; none = every shipped network.
        backends: names of engines; None = all that are installed.
        json_path: where all numbers are written, if anywhere.
        page_path: where a page for the documentation is written, if anywhere.
        settings: see :func:`~orpose_core.benchmarking.estimation.cases_of`.

    Returns:
        A table. Times are ms per frame, rates are frames/s of all cameras together.

    Raises:
        ValueError: fewer than one repeat.
    """
    if settings.get("repeats", 1) < 1:
        raise ValueError(f"expected at least 1 repeat, got {settings['repeats']}")
    before = os.getloadavg()[0]
    cases = cases_of(models or shipped_networks(), backends, **settings)
    words = [Path(model).name for model in models] + (["--backend", *backends] if backends else [])
    words += [f"--{name} {settings[name]}" for name in ("threads", "repeats") if settings.get(name)]
    words += [f"--lanes {settings['lanes']}"] if settings.get("lanes", 1) != 1 else []
    timings, refused = measure(cases)
    after = os.getloadavg()[0]
    threads = settings.get("threads") or torch.get_num_threads()
    machine = (
        f"{processor_name()}, {os.cpu_count()} processors, {threads} threads, "
        f"load {before:.1f} before and {after:.1f} after"
    )
    rows = [_row(timing) for timing in timings]
    if json_path:
        write_json(json_path, {"machine": machine, "timings": [asdict(timing) for timing in timings]})
    if page_path:
        write_text(
            Path(page_path),
            page("performance", command=" ".join(words), machine=machine, table=table(_HEADER, rows)),
        )
    lines = [f"ms per frame at the network's resolution; {machine}", *aligned([_HEADER, *rows])]
    return "\n".join([*lines, *(f"not measured: {line}" for line in refused)])


def _row(timing: Timing) -> tuple[str, ...]:
    return (
        timing.model,
        timing.backend,
        "yes" if timing.flip_test else "no",
        *(f"{timing.stages_ms[stage]:.2f}" for stage in STAGES),
        f"{timing.sum_ms:.1f}",
        f"{timing.cpu_ms:.1f}",
        f"{timing.shrink_ms:.1f}",
        *(f"{timing.frames_per_s[str(n)]:.1f}" for n in CAMERAS),
        number(timing.gflops),
        number(timing.floor_ms),
        f"{timing.peak_mib:.0f}",
        str(timing.people),
    )
