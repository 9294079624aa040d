"""The page on an adaptation: scores before and after, and pictures to look at."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from orpose_core.files import write_text
from orpose_core.reports.pages import html_page

_PARTS = ("head", "shoulder", "hip", "elbow", "wrist", "average")
_WORDS = {"teacher": "the teacher's labels", "truth": "labels by hand"}


def write_adaptation_report(path: Path, scores: dict[str, Any], pictures: Path) -> None:
    """Write the page, one file with its pictures inside.

    Args:
        path: of the HTML file.
        scores: of :func:`orpose_core.adaptation.adapt.scores_before_and_after`, and what was trained.
        pictures: folder of them.
    """
    images = [base64.b64encode(file.read_bytes()).decode() for file in sorted(pictures.glob("*.png"))]
    kinds = [kind for kind in ("truth", "teacher") if kind in scores["after"]]
    text = html_page(
        "adaptation_report", scores=scores, tables=[_table(scores, kind) for kind in kinds], images=images,
        truth="truth" in scores["after"],
    )  # fmt: skip
    write_text(path, text)


def _table(scores: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return caption, header and rows of the scores against one kind of labels."""
    before, after = scores["before"][kind], scores["after"][kind]
    rows = []
    for name, own in (("before", before), ("after", after)):
        cells = [_percent(own["pck"].get(part)) for part in _PARTS]
        rows.append([name, *cells, f"{own['found']} of {own['people']}", f"{own['extra_per_frame']:.2f}"])
    gains = [
        f"{after['pck'][part] - before['pck'][part]:+.1f}"
        if part in after["pck"] and part in before["pck"]
        else "-"
        for part in _PARTS
    ]
    more = f"{after['extra_per_frame'] - before['extra_per_frame']:+.2f}"
    rows.append(["change", *gains, f"{after['found'] - before['found']:+d}", more])
    caption = f"Strict PCK@0.2, percent, on {after['frames']} frames, against {_WORDS[kind]}"
    header = ["", *(part.capitalize() for part in _PARTS), "people found", "other detections per frame"]
    return {"caption": caption, "header": header, "rows": rows}


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
