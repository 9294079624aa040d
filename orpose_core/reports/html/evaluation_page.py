"""A page about an evaluation: scores, curves, failures, and the calibration of scores and sigmas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.evaluation.plots import evaluation_figures
from orpose_core.evaluation.scores import Evaluation
from orpose_core.evaluation.scoring import Scored
from orpose_core.metrics.calibration import reliability
from orpose_core.reports.html.charts import reliability_picture, sigma_picture
from orpose_core.reports.html.page import Section, Table, figure_picture, write_html
from orpose_core.reports.pages import number
from orpose_core.skeleton import MVOR10, body_part

_WORDS = {
    "pck_curves": ("Correct joints", "The share of joints that lie within a share of the person's size."),
    "pck_by_distance": ("Distance", "Correct joints, and the error of found ones, against the distance."),
    "pck_by_occlusion": ("Occlusion", "Correct joints of visible, occluded and unannotated ones."),
    "worst_frames": ("Worst frames", "The images with the most wrong joints: annotated white, found red."),
    "error_3d_by_distance": ("3D error", "Root-relative error against the distance."),
}
_PCK = ("Head", "Shoulder", "Hip", "Elbow", "Wrist", "Average")
_AP = ("AP", "AP50", "AP75", "AR")
_MPJPE = ("Shoulder", "Hip", "Elbow", "Wrist", "MPJPE", "PA-MPJPE")


def write_evaluation_page(scored: Scored, path: Path) -> Path:
    """Write the page about an evaluation and return its file."""
    evaluation, scores = scored.evaluation, scored.evaluation.scores
    facts = [f"{scores['images']} images, {scores['people']} people, {scores['detections']} detections"]
    if scored.scale is not None:
        facts.append(f"images shrunk {scored.scale} times before the model saw them")
    sections = [Section("Scores", tables=list(_score_tables(scores)))]
    figures = evaluation_figures(evaluation, scored.picture, scored.sizes_hw, scored.names)
    for name, figure in figures:
        title, text = _WORDS[name]
        sections.append(Section(title, text, pictures=[figure_picture(figure)]))
    sections += [section for section in (_sides(evaluation), _calibration(scored)) if section is not None]
    return write_html(path, scored.title, facts, sections)


def _score_tables(scores: dict[str, Any]) -> Iterator[Table]:
    for key, title in (("pck", "PCK, %"), ("pck_strict", "PCK, %, strict protocol")):
        if key in scores:
            cells = [number(_known(scores[key].get(c))) for c in _PCK]
            yield Table(_PCK, [cells], f"{title}, threshold {scores[key]['threshold']:g}")
    for key, title in (("box_ap", "Boxes, AP"), ("keypoint_ap", "Keypoints, AP")):
        if key in scores:
            columns = [c for c in _AP if c in scores[key]]
            yield Table(columns, [[number(_known(scores[key][c]), 3) for c in columns]], title)
    if "mpjpe" in scores:
        cells = [number(_known(scores["mpjpe"].get(c))) for c in _MPJPE]
        yield Table(_MPJPE, [cells], "3D error, mm")


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def swapped_sides(evaluation: Evaluation) -> dict[str, tuple[int, int]]:
    """Return for each pair of joints the number on the wrong side, and the number that can be judged.

    A detected joint is on the wrong side if its distance to the annotated joint of the other side is within
    the threshold of PCK and smaller than that to its own. It can be judged if both sides are annotated, the
    joint was detected, and the two sides are farther apart than the threshold.
    """
    result, gt, dt = evaluation.pck, evaluation.gt, evaluation.dt
    if result is None or gt is None or dt is None:
        return {}
    rows = np.flatnonzero(result.matched >= 0)
    truth = gt.xy_px[result.persons[rows]]
    found = dt.converted(MVOR10).xy_px[result.matched[rows]]
    reach = (result.thresholds[0] * result.size_px[rows])[:, None]
    order = list(MVOR10.flip_permutation)
    own = np.linalg.norm(found - truth, axis=-1)
    other = np.linalg.norm(found - truth[:, order], axis=-1)
    apart = np.linalg.norm(truth - truth[:, order], axis=-1)
    told = np.isfinite(own) & np.isfinite(other) & (apart > reach)
    wrong = told & (other < own) & (other <= reach)
    counts: dict[str, tuple[int, int]] = {}
    for left, right in MVOR10.flip_pairs:
        both = [left, right]
        counts[body_part(MVOR10.joints[left])] = int(wrong[:, both].sum()), int(told[:, both].sum())
    return counts


def _sides(evaluation: Evaluation) -> Section | None:
    counts = swapped_sides(evaluation)
    if not any(told for _, told in counts.values()):
        return None
    rows = [
        [part, str(told), str(wrong), number(100 * wrong / told if told else None)]
        for part, (wrong, told) in counts.items()
    ]
    text = (
        "Joints that were found at the place of the same joint of the other side. Only people whose two "
        "joints are farther apart than the threshold of PCK are counted."
    )
    return Section("Left and right", text, [Table(("joint", "counted", "on the wrong side", "%"), rows)])


def _calibration(scored: Scored) -> Section | None:
    """Return the section on the calibration of the joints' scores and sigmas."""
    result = scored.evaluation.pck
    if result is None or scored.detections is None or not sum(map(len, scored.detections)):
        return None
    rows = np.flatnonzero(result.matched >= 0)
    converted = [poses.converted(MVOR10) for poses in scored.detections]
    confidence = np.concatenate([p.scores for p in converted])[result.matched[rows]].astype(np.float64)
    distance = result.distance_px[rows]
    known = np.isfinite(distance) & (confidence > 0)
    if not known.any():
        return None
    correct = distance <= (result.thresholds[0] * result.size_px[rows])[:, None]
    groups = reliability(confidence[known], correct[known].astype(float), distance[known])
    pictures = [reliability_picture({"": groups})]
    if all(p.sigma_px is not None or not len(p) for p in converted):
        empty = np.zeros((0, len(MVOR10)), np.float32)
        sigma = np.concatenate([empty if p.sigma_px is None else p.sigma_px for p in converted])
        sigma = sigma[result.matched[rows]].astype(np.float64)
        sure = known & (sigma > 0)
        if sure.any():
            pictures.append(sigma_picture(distance[sure] / sigma[sure]))
    text = (
        "Joints of matched people. Scores are calibrated if they equal the share of joints that are correct. "
        "Sigmas are calibrated if the errors, divided by them, follow the line."
    )
    return Section("Calibration", text, pictures=pictures)
