"""Model cards of the teacher's stages that were trained with orpose, made from the headers of their files."""

from __future__ import annotations

from typing import Any

from torch import nn

from orpose_core.checkpoints.history import training_facts
from orpose_core.checkpoints.keypoint_networks import load_keypoint_network
from orpose_core.checkpoints.small_detectors import load_small_detector
from orpose_core.checkpoints.weights_file import SUFFIX, WeightsFile, find_weights, read_header, read_weights
from orpose_core.reports.pages import page, table
from orpose_core.teacher.lifting import read_lifting_model

_STAGES = ("detector", "keypoints", "lifter")

_SCORES = {
    "detector": {"box_AP": "box AP", "box_AP50": "AP50", "box_AP75": "AP75"},
    "keypoints": {
        "keypoint_AP": "keypoint AP",
        "keypoint_AP50": "AP50",
        "keypoint_AP75": "AP75",
        "pck": "PCK@0.2",
    },
}


def is_stage_file(name_or_path: str) -> bool:
    """Return whether a file contains a stage of a teacher, according to its header."""
    path = find_weights(name_or_path)
    return path.suffix == SUFFIX and read_header(path).kind in _STAGES


def stage_card(name_or_path: str) -> str:
    """Return the card of a stage in Markdown; raise ValueError if its header lacks the training."""
    path = find_weights(name_or_path)
    file = read_weights(path)
    facts, kind, model = training_facts(file), file.kind, _network(file)
    if not facts:
        raise ValueError(f"{path}: this file does not say how it was trained")
    scores = facts.get("scores") or {}
    return page(
        "stage_card",
        name=path.stem,
        kind=kind,
        sha256=file.sha256,
        licence=file.licence,
        parameters=sum(p.numel() for p in model.parameters()) / 1e6,
        facts=facts,
        scores=scores,
        score_table=_table(kind, scores, facts) if scores else "",
    )


def _network(file: WeightsFile) -> nn.Module:
    if file.kind == "lifter":
        return read_lifting_model(file.path)[0]
    if file.kind == "detector":
        return load_small_detector(file.path)[0]
    return load_keypoint_network(file.path).model


def _table(kind: str, scores: dict[str, Any], facts: dict[str, Any]) -> str:
    if kind == "lifter":
        return _lifter_table(scores, facts["splits"])
    names = _SCORES[kind]
    return table(
        list(names.values()), [[f"{scores[n] if n == 'pck' else 100 * scores[n]:.1f}" for n in names]]
    )


def _lifter_table(scores: dict[str, Any], splits: list[str]) -> str:
    rows = []
    for split in splits:
        name = split.split("-")[0]
        cells = [f"`{split}`", f"{scores[f'{name}_people']:.0f}"]
        cells += [
            f"{scores[f'{name}_{kind}_mpjpe']:.0f} ({scores[f'{name}_{kind}_mean_pose_mpjpe']:.0f})"
            for kind in ("true", "noisy")
        ]
        rows.append(cells + [f"{scores[f'{name}_{kind}_upper_mpjpe']:.0f}" for kind in ("true", "noisy")])
    header = ["split", "people", "true 2D", "noisy 2D", "upper body, true 2D", "upper body, noisy 2D"]
    return table(header, rows)
