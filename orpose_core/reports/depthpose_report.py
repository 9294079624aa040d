"""Table 1 and the page of a release's networks, from saved results; only the paper's numbers are typed in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.estimators import EstimatorConfig, load_estimator
from orpose_core.files import write_text
from orpose_core.metrics.pck_interval import FrameCounts, difference_interval
from orpose_core.models import ModelConfig
from orpose_core.models.inference import bf16_is_fast
from orpose_core.reports.pages import number, page, table, unlike, verdict
from orpose_core.training.depthpose.recipe import gflops
from orpose_core.training.depthpose.release import SplitScores, render_split, score_split
from orpose_core.training.depthpose.validation import milliseconds
from orpose_core.training.engine.run_folder import RunFolder

PARTS = ("head", "shoulder", "hip", "elbow", "wrist", "average")

PUBLISHED: dict[str, tuple[float, ...]] = {
    "RTPose_640x480": (82.9, 82.2, 57.0, 68.5, 42.8, 66.7),
    "RTPose_80x60": (81.1, 80.0, 54.7, 65.3, 37.3, 63.7),
    "RTPose_64x48": (77.8, 76.4, 52.9, 60.7, 32.0, 60.0),
    "DepthPose_80x60": (84.3, 83.8, 55.3, 69.9, 43.3, 67.3),
    "DepthPose_64x48": (84.1, 83.4, 54.3, 69.0, 41.4, 66.5),
    "SR+RTPose_80x60": (83.5, 82.7, 54.1, 68.1, 40.5, 65.8),
    "SR+RTPose_64x48": (82.5, 81.3, 51.0, 66.3, 37.8, 63.8),
}
"""Table 1 of the paper: PCK@0.2 on MVOR, trained on 77,000 recorded images, in the order of the table."""


FINDINGS: tuple[tuple[str, str, float], ...] = (
    ("DepthPose_64x48", "RTPose_640x480", -1.0),
    ("DepthPose_64x48", "RTPose_64x48", 4.0),
    ("DepthPose_64x48", "SR+RTPose_64x48", 1.0),
    ("DepthPose_80x60", "RTPose_640x480", 0.0),
    ("DepthPose_80x60", "RTPose_80x60", 2.0),
    ("DepthPose_80x60", "SR+RTPose_80x60", 0.0),
    ("SR+RTPose_64x48", "RTPose_64x48", 0.0),
    ("SR+RTPose_80x60", "RTPose_80x60", 0.0),
    ("RTPose_640x480", "RTPose_80x60", 0.0),
    ("RTPose_80x60", "RTPose_64x48", 0.0),
)
"""The findings of Table 1: by how many points the average of the first row must exceed that of the second.

0 = only the direction is compared.
"""


@dataclass(frozen=True)
class Row:
    """A run in the table.

    Attributes:
        name: name of the row in Table 1.
        results: results of the run.
        parameters: number of parameters of the network.
        gflops: cost of one image, 1 MAC = 2 FLOPs.
        milliseconds: duration of one forward pass, measured now, ms.
    """

    name: str
    results: dict[str, Any]
    parameters: int
    gflops: float
    milliseconds: float


def read_run(folder: Path, threads: int) -> Row:
    """Read a finished run and measure its network; a ValueError names what is missing."""
    run = RunFolder(folder)
    try:
        results = json.loads(run.results.read_text())
        name, scores = results["row"], results["scores"]
        missing = [part for part in PARTS if f"pck_{part}" not in scores]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder}: expected the results of a finished run, got {type(error).__name__}: {error}"
        ) from error
    if name not in PUBLISHED:
        raise ValueError(f"{run.results}: expected a row of {', '.join(PUBLISHED)}, got {name!r}")
    if missing:
        raise ValueError(f"{run.results}: the scores lack {missing}")
    checkpoint = load_checkpoint(run.weights)
    assert isinstance(checkpoint.config, ModelConfig)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        spent = milliseconds(checkpoint.model, checkpoint.config, bf16_is_fast(torch.device("cpu")))
    finally:
        torch.set_num_threads(before)
    parameters = sum(p.numel() for p in checkpoint.model.parameters())
    return Row(name, results, parameters, gflops(checkpoint.config), spent)


def _window_share(row: Row) -> str:
    """Return the size of the windows of a training, as shares of the image's height and width."""
    window, size = row.results.get("window_hw"), row.results["recipe"]["model"]["input_hw"]
    return "" if window is None else " x ".join(f"{c / n:.3f}" for c, n in zip(window, size, strict=True))


def _unlike(rows: Sequence[Row]) -> list[str]:
    """Return the settings that differ between runs, but should be equal for a fair comparison."""
    results = [row.results for row in rows]
    return unlike(
        {
            "steps": [r["steps"] for r in results],
            "images": [r["images"] for r in results],
            "width": [r["recipe"]["model"]["width"] for r in results],
            "optimiser": [json.dumps(r["recipe"]["optim"], sort_keys=True) for r in results],
            "windows": [_window_share(row) for row in rows],
            "batch normalisation": [r.get("batch_norm", False) for r in results],
            "domains": [r["domains"] for r in results],
            "earlier trainings": [r.get("earlier", []) for r in results],
            "benchmark frames": [r["scores"]["frames"] for r in results],
            "benchmark": [r["recipe"]["validation"]["split"] for r in results],
            "shrink method": [r["recipe"]["validation"]["shrink_method"] for r in results],
        }
    )


def report(rows: Sequence[Row], threads: int) -> str:
    """Return the report, Markdown."""
    rows = sorted(rows, key=lambda row: list(PUBLISHED).index(row.name))
    scores = rows[0].results["scores"]
    return page(
        "depthpose_report",
        rows=rows,
        frames=scores["frames"],
        validation=rows[0].results["recipe"]["validation"],
        unlike=_unlike(rows),
        absent=[name for name in PUBLISHED if name not in {row.name for row in rows}],
        table=_table(rows, threads),
        findings=_findings(rows),
        best=max(_mean(runs, "pck_average") for runs in _by_name(rows).values()),
        runs=sorted({len(runs) for runs in _by_name(rows).values()}),
        paper_width=ModelConfig().width,
    )


def _table(rows: Sequence[Row], threads: int) -> str:
    header = ["", *(part.capitalize() for part in PARTS), "strict", "GFLOPs", f"ms on {threads} threads"]
    lines = []
    for name, runs in _by_name(rows).items():
        parts = [
            f"{_mean(runs, f'pck_{part}'):.1f} <sub>{paper:.1f}</sub>"
            for part, paper in zip(PARTS, PUBLISHED[name], strict=True)
        ]
        row = runs[0]
        cost = [f"{row.gflops:.1f}", f"{row.milliseconds:.0f}", f"{row.parameters / 1e6:.2f} M"]
        minutes = np.mean([run.results["minutes"] for run in runs])
        training = [f"{row.results['images']}", f"{minutes:.0f}", _spread(runs)]
        lines.append([name, *parts, f"{_mean(runs, 'strict_pck_average'):.1f}", *cost, *training])
    return table([*header, "parameters", "images", "minutes", "average of each seed"], lines)


def _by_name(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the runs of each row, in the table's order."""
    groups = {name: [row for row in rows if row.name == name] for name in PUBLISHED}
    return {name: runs for name, runs in groups.items() if runs}


def _mean(runs: Sequence[Row], score: str) -> float:
    return float(np.mean([run.results["scores"][score] for run in runs]))


def _spread(runs: Sequence[Row]) -> str:
    return ", ".join(f"{run.results['scores']['pck_average']:.1f}" for run in runs)


def _findings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the verdicts on the paper's comparisons, for rows that were trained with the same settings."""
    if len(rows) < 2 or _unlike(rows):
        return []
    runs = _by_name(rows)
    average = {name: _mean(group, "pck_average") for name, group in runs.items()}
    found = []
    for name, other, least in FINDINGS:
        if name not in average or other not in average:
            continue
        gained, paper = average[name] - average[other], PUBLISHED[name][-1] - PUBLISHED[other][-1]
        found.append(
            {
                "name": name,
                "other": other,
                "verdict": verdict(gained >= least),
                "gained": f"{gained:+.1f}",
                "least": f"{least:+.0f}",
                "paper": f"{paper:+.1f}",
                "interval": _interval(runs[name], runs[other]),
            }
        )
    return found


def _interval(of: Sequence[Row], other: Sequence[Row]) -> tuple[str, str] | None:
    """Return the confidence interval of the difference of two rows; None if a run did not save its counts.

    Runs that did not record the rooms have none, because frames of the same room are not independent.
    """
    if any("room" not in run.results.get("per_frame", {}) for run in [*of, *other]):
        return None
    mine, theirs = (
        [FrameCounts.from_values(run.results["per_frame"]) for run in runs] for runs in (of, other)
    )
    low, high = difference_interval(mine, theirs)
    return f"{low:+.1f}", f"{high:+.1f}"


def _seeds(results: Mapping[str, Any]) -> tuple[int, int]:
    """Return the seeds of a run's network and data."""
    recipe = results["recipe"]
    return recipe["engine"]["seed"], recipe["data"]["seed"]


def write_report(folders: Sequence[Path], out: Path, threads: int = 2) -> str:
    """Write the table of these runs to ``out`` and return it.

    Raises:
        ValueError: a folder has no finished run, or two runs have the same row and the same seeds.
    """
    if not folders:
        raise ValueError("expected at least one run")
    rows = [read_run(folder, threads) for folder in folders]
    runs = [(row.name, _seeds(row.results)) for row in rows]
    twice = sorted({name for name, seeds in runs if runs.count((name, seeds)) > 1})
    if twice:
        raise ValueError(f"expected each row once per seed, got {', '.join(twice)} more than once")
    text = report(rows, threads)
    write_text(out, text)
    return text


def networks_page(scores: Sequence[SplitScores]) -> str:
    """Return the page about the depth networks of a release in Markdown.

    Args:
        scores: scores of each network on each split; the first network is compared with the others.
    """
    splits = {name: [s for s in scores if s.split == name] for name in dict.fromkeys(s.split for s in scores)}
    return page(
        "networks",
        splits=splits,
        rooms={name: len(np.unique(group[0].counts.room)) for name, group in splits.items()},
        tables={name: _networks_table(group) for name, group in splits.items()},
        coverages={name: _coverage_table(group) for name, group in splits.items()},
        differences={name: _differences(group) for name, group in splits.items()},
    )


def _networks_table(group: Sequence[SplitScores]) -> str:
    parts = list(group[0].parts)
    header = ["", *parts, "MVOR's", "visible joints", "hidden joints", "found", "false",
              "front and back exchanged", "error in space"]  # fmt: skip
    rows = []
    for s in group:
        cells = [f"{s.parts[part]:.1f}" for part in parts] + [
            f"{v:.1f}" for v in (s.mvor, s.visible, s.hidden)
        ]
        last = [f"{100 * s.found:.1f} %", f"{s.false_per_frame:.2f}", f"{100 * s.exchanged:.1f} %"]
        rows.append([s.network, *cells, *last, f"{100 * s.error_m:.1f} cm"])
    return table(header, rows)


def _coverage_table(group: Sequence[SplitScores]) -> str:
    kinds = {"": "all joints", "_visible": "called visible", "_hidden": "called hidden"}
    header = ["", *(f"`sigma_{axis}`, {words}" for axis in ("px", "m") for words in kinds.values())]
    rows = []
    for s in group:
        pairs = [
            [s.coverage.get(f"{axis}{kind}_{share}") for share in (68, 95)]
            for axis in ("px", "m")
            for kind in kinds
        ]
        rows.append([s.network, *(" / ".join(number(v, 0, 100) for v in pair) for pair in pairs)])
    return table(header, rows)


def _differences(group: Sequence[SplitScores]) -> list[dict[str, str]]:
    first = group[0]
    out = []
    for other in group[1:]:
        low, high = difference_interval([first.counts], [other.counts])
        gained = first.parts["Average"] - other.parts["Average"]
        if math.isnan(gained):  # a split without people
            continue
        shown = {"gained": gained, "low": low, "high": high}
        names = {"name": first.network, "other": other.network}
        out.append(names | {key: f"{value:+.1f}" for key, value in shown.items()})
    return out


def write_networks_page(models: Sequence[str], splits: Sequence[str], frames: int, out: Path) -> str:
    """Score depth networks that predict maps on splits, write the page to ``out``, and return it.

    Args:
        models: names in ``weights/`` or files; the first is compared with the others.
        splits: names of benchmark splits.
        frames: number of frames of each split, in whole rooms.
        out: file of the page, in Markdown.

    Raises:
        ValueError: there is no such split, or a model is not for depth.
    """
    estimators = [load_estimator(name, EstimatorConfig()) for name in models]
    for estimator in estimators:
        if estimator.info.modality != "depth":
            raise ValueError(f"{estimator.info.name}: expected a network that reads depth, got color")
    scores = []
    for name in splits:
        shown = render_split(name, frames)
        scores += [score_split(estimator, shown) for estimator in estimators]
    text = networks_page(scores)
    write_text(out, text)
    return text
