"""Table 1 from what runs wrote: nothing in it is typed by hand but the paper's own numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.files import write_text
from orpose_core.metrics.pck_interval import FrameCounts, difference_interval
from orpose_core.models import ModelConfig
from orpose_core.models.inference import bf16_is_fast
from orpose_core.reports.stage_card import earlier_words, norm_words, shown_words
from orpose_core.training.depthpose.recipe import gflops
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
"""Table 1 of the paper: PCK@0.2 on MVOR, trained on 77,000 recorded images. The order is the table's."""


FINDINGS: tuple[tuple[str, str, float], ...] = (
    ("DepthPose_64x48", "RTPose_640x480", -1.0),
    ("DepthPose_64x48", "RTPose_64x48", 4.0),
    ("DepthPose_64x48", "SR+RTPose_64x48", 1.0),
    ("DepthPose_80x60", "RTPose_80x60", 2.0),
)
"""What Table 1 is there to show: by how many points of the average the first row is above the second."""


@dataclass(frozen=True)
class Row:
    """One run as the table shows it.

    Attributes:
        name: of the row in Table 1.
        results: what the run wrote.
        parameters: of its weights.
        gflops: of one image, 1 MAC = 2 FLOPs.
        milliseconds: of one forward pass, measured now.
    """

    name: str
    results: dict[str, Any]
    parameters: int
    gflops: float
    milliseconds: float


def read_run(folder: Path, threads: int) -> Row:
    """Read a finished run and measure its network; ValueError says what is missing."""
    run = RunFolder(folder)
    try:
        results = json.loads(run.results.read_text())
        name, scores = results["row"], results["scores"]
        missing = [part for part in PARTS if f"pck_{part}" not in scores]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{folder}: expected the results of a finished run, got: {error!r}") from error
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
    """Return how large the windows of a training were, as shares of the image's height and width."""
    window, size = row.results.get("window_hw"), row.results["recipe"]["model"]["input_hw"]
    return "" if window is None else " x ".join(f"{c / n:.3f}" for c, n in zip(window, size, strict=True))


def _unlike(rows: Sequence[Row]) -> list[str]:
    """Return in what the runs differ that should be alike for a fair table."""
    of_interest = {
        "steps": lambda r: r.results["steps"],
        "images": lambda r: r.results["images"],
        "width": lambda r: r.results["recipe"]["model"]["width"],
        "optimiser": lambda r: json.dumps(r.results["recipe"]["optim"], sort_keys=True),
        "windows": _window_share,
        "batch normalisation": lambda r: r.results.get("batch_norm", False),
        "domains": lambda r: r.results["domains"],
        "earlier trainings": lambda r: r.results.get("earlier", []),
        "benchmark frames": lambda r: r.results["scores"]["frames"],
        "benchmark": lambda r: r.results["recipe"]["validation"]["split"],
        "shrink method": lambda r: r.results["recipe"]["validation"]["shrink_method"],
    }
    return [name for name, of in of_interest.items() if len({str(of(row)) for row in rows}) > 1]


def _setting(rows: Sequence[Row]) -> list[str]:
    recipe, scores = rows[0].results["recipe"], rows[0].results["scores"]
    validation = recipe["validation"]
    flip = "with" if validation["flip_test"] else "without"
    lines = [
        f"PCK@0.2 in percent on {scores['frames']} frames of `{validation['split']}`, shrunk from 640x480 by "
        f"`{validation['shrink_method']}`, {flip} flip test, by the protocol of MVOR's authors "
        "(without its lookup of detections by score); the average without its other flaws (strict) beside "
        "it. Small figures: the paper's row, on MVOR itself, trained on 77,000 recorded images from "
        "pre-trained weights. Ours and theirs are different data sets: compare the rows, not the numbers.",
    ]
    unlike = _unlike(rows)
    if len(rows) == 1:
        lines.append("One run only: no comparison between architectures can be read from this table yet.")
    elif unlike:
        lines.append(f"**These runs are not alike in: {', '.join(unlike)}.** Their rows cannot be compared.")
    else:
        lines.append("All rows were trained alike: same width, optimiser, schedule, images and steps.")
    absent = [name for name in PUBLISHED if name not in {row.name for row in rows}]
    if absent:
        lines.append(f"Not run: {', '.join(absent)}.")
    return lines


def table(rows: Sequence[Row], threads: int) -> str:
    """Return the report, Markdown."""
    order = list(PUBLISHED)
    rows = sorted(rows, key=lambda row: order.index(row.name))
    head = [part.capitalize() for part in PARTS]
    lines = [
        "# Results of DepthPose",
        "",
        "<!-- written by `orpose report depthpose`; do not edit -->",
        "",
        "\n\n".join(_setting(rows)),
        "",
        f"| | {' | '.join(head)} | strict | GFLOPs | ms on {threads} threads | parameters | images | "
        "minutes |",
        "|---|" + "---|" * (len(head) + 6),
    ]
    for row in rows:
        scores = row.results["scores"]
        cells = [
            f"{scores[f'pck_{part}']:.1f} <sub>{paper:.1f}</sub>"
            for part, paper in zip(PARTS, PUBLISHED[row.name], strict=True)
        ]
        cells += [
            f"{scores['strict_pck_average']:.1f}",
            f"{row.gflops:.1f}",
            f"{row.milliseconds:.0f}",
            f"{row.parameters / 1e6:.2f} M",
            f"{row.results['images']}",
            f"{row.results['minutes']:.0f}",
        ]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_findings(rows), *_differences(rows)]) + "\n"


def _findings(rows: Sequence[Row]) -> list[str]:
    """Return which of the paper's comparisons show, of those whose two rows were run alike."""
    if len(rows) < 2 or _unlike(rows):
        return []
    average = {row.name: row.results["scores"]["pck_average"] for row in rows}
    results = {row.name: row.results for row in rows}
    lines = []
    for name, other, least in FINDINGS:
        if name not in average or other not in average:
            continue
        gained, paper = average[name] - average[other], PUBLISHED[name][-1] - PUBLISHED[other][-1]
        verdict = "shows" if gained >= least else "does not show"
        lines.append(
            f"- **{verdict}**: {name} is {gained:+.1f} points above {other}"
            f"{_interval(results[name], results[other])} (wanted {least:+.0f} or more; "
            f"the paper has {paper:+.1f})."
        )
    if not lines:
        return []
    best = max(average.values())
    lines += [
        "",
        f"Each row was trained once, and the best average is {best:.1f}: how much another seed would change "
        "was not measured, and a difference of a point or two should not be read as a finding.",
    ]
    if any("over the rooms" in line for line in lines):
        lines[-1] += (
            " Intervals hold 95 % of the paired bootstrap over the benchmark's rooms: what other rooms of "
            "the same kind might have shown."
        )
    return ["## What shows of the paper's findings", "", *lines, ""]


def _interval(of: dict[str, Any], other: dict[str, Any]) -> str:
    """Return between what the difference of two runs lies, "" where they do not say what they counted.

    Runs that did not record the rooms have none: frames of one room are not independent evidence.
    """
    if any("room" not in run.get("per_frame", {}) for run in (of, other)):
        return ""
    low, high = difference_interval(
        FrameCounts.from_values(of["per_frame"]), FrameCounts.from_values(other["per_frame"])
    )
    return f", between {low:+.1f} and {high:+.1f} over the rooms"


def _differences(rows: Sequence[Row]) -> list[str]:
    """Return how each run was trained, from its recipe."""
    lines = ["## How they were trained", ""]
    for row in rows:
        r = row.results["recipe"]
        model, optim, engine = r["model"], r["optim"], r["engine"]
        shown = shown_words(row.results["images"], row.results.get("window_hw"))
        sr = model["width"] if model["sr_width"] is None else model["sr_width"]
        lines.append(
            f"- **{row.name}**: width {model['width']:g} (super-resolution part {sr:g}), {optim['name']}, "
            f"learning rate {optim['lr']:g} ({optim['schedule']}), batch {engine['batch']} x "
            f"{row.results['processes']}, {shown} in {row.results['steps']} steps"
            f"{norm_words(row.results)}{earlier_words(row.results)}, "
            f"foreground weight {r['loss']['foreground']:g}, L_HR weight {r['loss']['hr_weight']:g}, "
            f"{row.results['data']} ({', '.join(row.results['domains'])}), shrink methods "
            f"{', '.join(r['data']['shrink_methods'])}, {r['data'].get('crowd', 0)} people more than usual; "
            f"{row.results['images_per_s']:g} images/s, "
            f"{100 * row.results['share_waiting_for_data']:.1f} % of the time waiting for data."
        )
    paper = asdict(ModelConfig())
    lines += [
        "",
        f"The paper: width {paper['width']:g}, SGD with momentum 0.9, learning rate 0.001 divided by 10 "
        "after 12,000 of 32,000 steps, batch 12, bicubic shrinking, no foreground weight, pose part from "
        "COCO weights.",
    ]
    return lines


def write_report(folders: Sequence[Path], out: Path, threads: int = 2) -> str:
    """Write the table of these runs to ``out`` and return it.

    Raises:
        ValueError: if a folder has no finished run, or two have the same row.
    """
    if not folders:
        raise ValueError("expected at least one run")
    rows = [read_run(folder, threads) for folder in folders]
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected each row once, got {', '.join(twice)} more than once")
    text = table(rows, threads)
    write_text(out, text)
    return text
