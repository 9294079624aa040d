"""Tables 1, 2 and 3 of ORPose from saved results; only the paper's numbers are constants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.files import read_json, write_text
from orpose_core.models.student.config import StudentConfig
from orpose_core.reports.pages import page, table, unlike
from orpose_core.reports.student_findings import ABLATION, SCALES, Scores, findings
from orpose_core.training.engine.run_folder import RunFolder
from orpose_core.training.student.validation import headline

TEACHER, UNDISTILLED, ALL, EXACT = "teacher", "undistilled", "all", "exact"
FIXED = tuple(f"fixed_{s}x" for s in SCALES)
ROWS = (TEACHER, UNDISTILLED, *FIXED, ALL, EXACT, *ABLATION)
DISTILLED = (*FIXED, ALL, *ABLATION)

NAMES = {
    TEACHER: "Teacher",
    UNDISTILLED: "Student, undistilled",
    **{row: f"ORPose_{row}" for row in (*FIXED, ALL)},
    EXACT: "as ORPose_all, from the truth instead of the teacher's labels",
    "single_hard": "single branch (hard)",
    "single_soft": "single branch (soft)",
    "single_hard_soft": "single branch (hard + soft)",
}

PUBLISHED: dict[str, dict[int, tuple[float, float, float]]] = {
    TEACHER: {
        1: (53.81, 57.78, 134.88), 8: (39.03, 29.28, 170.25),
        10: (31.90, 18.60, 203.89), 12: (24.38, 8.89, 260.83),
    },
    UNDISTILLED: {
        1: (52.77, 46.17, 147.17), 8: (40.21, 27.02, 168.10),
        10: (34.12, 20.06, 181.69), 12: (29.19, 14.42, 194.35),
    },
    "fixed_1x": {1: (50.87, 55.20, 134.23)},
    "fixed_8x": {8: (49.50, 53.50, 137.40)},
    "fixed_10x": {10: (49.01, 51.98, 137.71)},
    "fixed_12x": {12: (48.23, 49.88, 138.83)},
    ALL: {
        1: (50.59, 55.80, 134.13), 8: (49.57, 53.31, 136.45),
        10: (49.25, 52.12, 136.95), 12: (47.54, 49.51, 138.35),
    },
    "single_hard": {1: (50.61, 54.73, 145.77)},
    "single_soft": {1: (51.04, 54.70, 134.20)},
    "single_hard_soft": {1: (50.95, 55.11, 152.28)},
}  # fmt: skip
"""Tables 1 to 3 of the paper: box AP, keypoint AP and MPJPE (mm) on MVOR+."""


_LOW_AP = 20.0
"""Keypoint AP below which the report states that the networks have not converged."""


@dataclass(frozen=True)
class Row:
    """One network and its scores.

    Attributes:
        name: one of :data:`ROWS`.
        scores: scores by scale.
        frames: number of frames of the benchmark.
        dataset: name of the benchmark.
        model: sha256 of the scored model.
        results: results of the training; empty for the teacher.
        parameters: number of parameters, 0 = unknown.
        full_hw: (height, width) of the network's input, px; (0, 0) = unknown.
    """

    name: str
    scores: Mapping[int, Scores]
    frames: int
    dataset: str
    model: str
    results: dict[str, Any] = field(default_factory=dict)
    parameters: int = 0
    full_hw: tuple[int, int] = (0, 0)

    @property
    def title(self) -> str:
        """Name of the row for people."""
        return NAMES[self.name]


def read_row(folder: Path) -> Row | None:
    """Read a scored run; None for a folder with other content.

    Raises:
        ValueError: the scores are not those of a single model and benchmark, or not of the run's weights.
    """
    files = {s: folder / "scores" / f"{s}x" / "scores.json" for s in SCALES}
    found = {s: read_json(path) for s, path in files.items() if path.is_file()}
    if not found:
        return None
    alike = {(c.get("sha256"), c.get("dataset"), c.get("images")) for c in found.values()}
    if len(alike) > 1:
        raise ValueError(f"{folder / 'scores'}: expected one model and benchmark, got {sorted(alike)}")
    sha256, dataset, frames = alike.pop()
    try:
        scores: dict[int, Scores] = {s: headline(content) for s, content in found.items()}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'scores'}: expected all metrics, {error!r} is missing") from None
    run = RunFolder(folder)
    if not run.results.is_file():
        return Row(folder.name, scores, frames, dataset, sha256)
    results = json.loads(run.results.read_text())
    checkpoint = load_checkpoint(run.weights)
    if checkpoint.sha256 != sha256 or not isinstance(checkpoint.config, StudentConfig):
        raise ValueError(f"{folder}: the scores are not those of {run.weights}; score it again")
    parameters = sum(p.numel() for p in checkpoint.model.parameters())
    return Row(
        results["row"],
        scores,
        frames,
        dataset,
        sha256,
        results,
        parameters,
        checkpoint.config.full_hw,
    )


def write_student_report(folders: Sequence[Path], out: Path) -> str:
    """Write the tables of these runs to ``out`` and return them; folders without scores are ignored.

    Raises:
        ValueError: no folder has scores, two have the same row, or a row is not in the paper.
    """
    read = [row for row in map(read_row, folders) if row is not None]
    rows = {row.name: row for row in read}
    if not rows:
        raise ValueError("expected at least one run with scores/*x/scores.json, got none")
    names = [row.name for row in read]
    odd = sorted({n for n in names if names.count(n) > 1 or n not in ROWS})
    if odd:
        raise ValueError(f"expected each row of {', '.join(ROWS)} at most once, got {', '.join(odd)}")
    text = report(rows)
    write_text(out, text)
    return text


def report(rows: dict[str, Row]) -> str:
    """Return the report, Markdown."""
    ablated = {s for name in ABLATION if name in rows for s in rows[name].scores}
    tables = (
        ("Table 1: before anything was learnt from OR images", (TEACHER, UNDISTILLED), set(SCALES)),
        ("Table 2: students that learnt from the teacher's labels", (*FIXED, ALL, EXACT), set(SCALES)),
        ("Table 3: hard and soft labels, one branch or two", (*ABLATION, ALL), ablated),
    )
    return page(
        "student_report",
        frames=next(iter(rows.values())).frames,
        different=sorted({(row.frames, row.dataset) for row in rows.values()}),
        absent=[NAMES[name] for name in ROWS if name not in rows],
        findings=findings({name: row.scores for name, row in rows.items()}),
        unlike=_unlike(rows),
        best=max(s["keypoint_ap"] for row in rows.values() for s in row.scores.values()),
        low_ap=_LOW_AP,
        tables=[(title, _table(rows, wanted, scales)) for title, wanted, scales in tables],
        trained=[rows[name] for name in ROWS if name in rows],
        labels=_labels_of(rows),
    )


def _unlike(rows: dict[str, Row]) -> list[str]:
    """Return the settings that differ between distilled students, but must be equal for a fair comparison."""
    trained = [rows[name] for name in DISTILLED if name in rows]
    recipes = [row.results["recipe"] for row in trained]
    return unlike(
        {
            "steps": [row.results["steps"] for row in trained],
            "images": [row.results["images"] for row in trained],
            "batch": [recipe["engine"]["batch"] for recipe in recipes],
            "optimiser": [json.dumps(recipe["optim"], sort_keys=True) for recipe in recipes],
            "labels": [recipe["data"]["labels"] for recipe in recipes],
            "start": [recipe["init"]["weights"] for recipe in recipes],
            "size of the network's image": [row.full_hw for row in trained],
            "augmentation": [json.dumps(recipe["data"]["augment"], sort_keys=True) for recipe in recipes],
        }
    )


def _table(rows: dict[str, Row], wanted: Sequence[str], scales: set[int]) -> str:
    lines = []
    for name in wanted:
        if name not in rows:
            continue
        for scale in sorted(scales & rows[name].scores.keys()):
            scores = rows[name].scores[scale]
            paper = PUBLISHED.get(name, {}).get(scale)
            lines.append(
                [
                    NAMES[name],
                    f"{scale}x",
                    _cell(scores["box_ap"], ".1f", paper and paper[0]),
                    _cell(scores["keypoint_ap"], ".1f", paper and paper[1]),
                    _cell(scores["keypoint_ap50"], ".1f", None),
                    _cell(scores["pck"], ".1f", None),
                    _cell(scores["mpjpe_mm"], ".0f", paper and paper[2]),
                ]
            )
    return table(["", "scale", "Box AP", "Keypoint AP", "Keypoint AP50", "PCK@0.2", "MPJPE"], lines)


def _cell(ours: float, form: str, paper: float | None) -> str:
    return format(ours, form) + (f" <sub>{format(paper, form)}</sub>" if paper is not None else "")


def _labels_of(rows: dict[str, Row]) -> dict[str, Any] | None:
    """Return a description of the teacher's labels, if the file still exists."""
    row = next((rows[name] for name in DISTILLED if name in rows and rows[name].results), None)
    path = Path(row.results["recipe"]["data"]["labels"] or "") if row else Path()
    if row is None or not path.is_file():
        return None
    content = read_json(path)
    stages = ", ".join(
        f"{kind} `{stage['name']}` (sha256 `{stage['sha256'][:12]}`)"
        for kind, stage in content.get("info", {}).get("teacher", {}).items()
        if isinstance(stage, dict) and {"name", "sha256"} <= stage.keys()
    )
    return {"images": len(content["images"]), "people": len(content["annotations"]), "stages": stages}
