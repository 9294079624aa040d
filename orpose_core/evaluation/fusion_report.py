"""`orpose evaluate --dataset mvor-fusion`, `room-fusion` and `room-calibration`: their scores as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orpose_core.estimators import PoseEstimator
from orpose_core.evaluation.fusion_errors import PARTS
from orpose_core.evaluation.mvor_fusion import evaluate_mvor_fusion
from orpose_core.evaluation.room_calibration import (
    CalibrationOptions,
    CalibrationScore,
    score_walk,
    walk_about,
)
from orpose_core.evaluation.room_fusion import FUSED, RoomOptions, camera_moments, evaluate_rooms
from orpose_core.files import write_json

_ANNOTATIONS = ("annotations/camma_mvor_2018.json", "camma_mvor_2018.json")
_GROUPS = {
    "two_or_three": "two views or three", "three": "three views", "two": "two views", "one": "one view",
}  # fmt: skip
_BOUNDS = {
    "annotated": "annotators' 2D joints",
    "annotated_visible": "those marked as visible",
    "assigned": "these detections",
    "best_views": "these, views chosen, too",
}


def score_mvor_fusion(
    gt: str | None, dt: str | None, root: str | None, limit: int | None = None, json_path: str | None = None
) -> str:
    """Fuse a results file on MVOR's three cameras and score it; return the tables."""
    if not dt:
        raise ValueError("expected --dt FILE, the 2D detections to fuse, with --dataset mvor-fusion")
    if not gt:
        candidates = [Path(root) / name for name in _ANNOTATIONS] if root else []
        gt = next((str(path) for path in candidates if path.is_file()), None)
    if not gt:
        raise ValueError("expected --gt FILE, MVOR's annotations, or --root DIR, the folder that has them")
    scores = evaluate_mvor_fusion(gt, dt, limit=limit)
    if json_path:
        write_json(json_path, {"gt": gt, "dt": dt, **scores})
    return mvor_fusion_report(scores)


def mvor_fusion_report(scores: Mapping[str, Any]) -> str:
    """Return the tables of :func:`~orpose_core.evaluation.mvor_fusion.evaluate_mvor_fusion`."""
    found = scores["found_by_views"]
    several = found["2"] + found["3"]
    head = (
        f"{scores['frames']} frames of three cameras, {scores['people']} people with a 3D pose\n"
        f"found by two views or three: {several} (three: {found['3']}); by one view: {found['1']}; "
        f"people where nobody was annotated: {scores['false_people']}"
    )
    columns = (*(part.capitalize() for part in PARTS), "Mean", "Median", "Joints")
    blocks = [head]
    for key, title in (
        ("room", "Error in the room, cm, hips fitted on day 1, days 2 to 4"),
        ("room_joints_of_two_views", "The same, joints that two cameras saw alone"),
        ("root_relative", "Relative to the mean of the hips, cm"),
    ):
        rows = []
        for group, name in _GROUPS.items():
            if key == "room_joints_of_two_views" and group == "one":
                continue
            values = scores["errors"][group][key]
            label = f"{name} ({values['people']})"
            rows.append((label, [*(values[part] for part in PARTS), values["mean"], values["median"],
                                 values["joints"]]))  # fmt: skip
        blocks.append(_rows(title, columns, rows))
    blocks.append(_bounds_table(scores["bounds"]))
    covered = [f"{name} {scores['errors'][group]['coverage_pct']:.0f} %" for group, name in _GROUPS.items()]
    blocks.append(f"coordinates within one sigma (68 % is right): {', '.join(covered)}")
    return "\n\n".join(blocks)


def _bounds_table(bounds: Mapping[str, Any]) -> str:
    """Return the table of triangulation with identities from the ground truth."""
    rows = [
        (f"{name}, {_GROUPS[group]} ({values['people']})",
         [*(values[part] for part in PARTS), values["mean"], values["median"], values["joints"]])
        for key, name in _BOUNDS.items()
        for group, values in bounds[key].items()
    ]  # fmt: skip
    columns = (*(part.capitalize() for part in PARTS), "Mean", "Median", "Joints")
    return _rows(
        "Triangulated where the truth says who is who and which side is left, cm, days 2 to 4", columns, rows
    )


def score_rooms(
    estimator: PoseEstimator,
    options: RoomOptions,
    json_path: str | None = None,
    progress: Callable[[], object] | None = None,
) -> str:
    """Fuse and score the detections of a network in simulated rooms; return the table."""
    rooms = (camera_moments(estimator, options, room) for room in range(options.rooms))
    scores = evaluate_rooms(rooms, progress=progress)
    if json_path:
        write_json(json_path, {"model": estimator.info.name, "options": asdict(options), "scores": scores})
    head = (
        f"{options.rooms} rooms of three cameras, {options.moments} moments each at {options.rate_hz:g} Hz, "
        f"{estimator.info.name}"
    )
    return f"{head}\n{room_fusion_report(scores)}"


def room_fusion_report(scores: Mapping[str, Any]) -> str:
    """Return the table of :func:`~orpose_core.evaluation.room_fusion.evaluate_rooms`."""
    lines = [
        f"{'':12}{'seen':>8}{'found %':>9}{'strangers':>11}{'switches':>10}{'IDF1 %':>8}{'error cm':>10}"
    ]
    for name, s in scores.items():
        share = 100 * s["found"] / s["seen"] if s["seen"] else float("nan")
        lines.append(
            f"{name:12}{s['seen']:8d}{share:9.1f}{s['strangers']:11d}{s['switches']:10d}"
            f"{100 * s['idf1']:8.1f}{s['error_cm']:10.1f}"
        )
    lines.append("error of the joints that the camera and the fusion both have, cm:")
    for name, s in scores.items():
        if name != FUSED:
            both = s["same_joints_cm"]
            lines.append(
                f"{name:12}{both['own']:8.1f}{FUSED:>9}{both['fused']:8.1f}  ({both['joints']} joints)"
            )
    return "\n".join(lines)


def score_calibrations(
    estimator: PoseEstimator,
    options: CalibrationOptions,
    json_path: str | None = None,
    progress: Callable[[], object] | None = None,
) -> str:
    """Calibrate the cameras of simulated rooms with the detections of a network; return the errors."""
    scores: list[CalibrationScore] = []
    for room in range(options.rooms):
        scores += score_walk(walk_about(estimator, options, room, progress), room)
    if json_path:
        found = [asdict(score) for score in scores]
        write_json(json_path, {"model": estimator.info.name, "options": asdict(options), "scores": found})
    minutes = options.moments / options.rate_hz / 60
    head = (
        f"{options.rooms} rooms, {minutes:g} minutes at {options.rate_hz:g} Hz, {options.people} people "
        f"at most walk about; {estimator.info.name}, without a guess"
    )
    return f"{head}\n{calibration_table(scores)}"


def calibration_table(scores: Sequence[CalibrationScore]) -> str:
    """Return the errors of each room's cameras, and the largest."""
    lines = [
        f"{'room':>4}{'cameras':>9}{'people':>8}{'floor by':>10}{'distance, cm':>22}{'angle, degrees':>22}"
    ]
    for s in scores:
        distances = " ".join(f"{100 * d:.1f}" for d in s.distance_m)
        angles = " ".join(f"{math.degrees(a):.2f}" for a in s.angle_rad)
        lines.append(f"{s.room + 1:4d}{s.cameras:9d}{s.people:8d}{s.floor:>10}{distances:>22}{angles:>22}")
    worst_cm = max(100 * d for s in scores for d in s.distance_m)
    worst = max(math.degrees(a) for s in scores for a in s.angle_rad)
    return "\n".join([*lines, f"farthest {worst_cm:.1f} cm, {worst:.2f} degrees"])


def _rows(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]]) -> str:
    width = max(len(name) for name, _ in rows) + 1
    lines = [title, " " * width + "".join(f"{column:>10}" for column in columns)]
    for name, values in rows:
        numbers = "".join(
            f"{'-' if v != v else f'{v:.0f}' if isinstance(v, int) else f'{v:.1f}':>10}" for v in values
        )
        lines.append(f"{name:{width}}{numbers}")
    return "\n".join(lines)
