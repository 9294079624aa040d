"""Scores as the papers' tables, in plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_PCK_COLUMNS = ("Head", "Shoulder", "Hip", "Elbow", "Wrist", "Average")
_BOX_COLUMNS = ("AP", "AP50", "AP75", "AR1", "AR10", "AR100", "recall50_max1", "recall50_max10")
_KEYPOINT_COLUMNS = ("AP", "AP50", "AP75", "APm", "APl", "AR")
_MPJPE_COLUMNS = ("Shoulder", "Hip", "Elbow", "Wrist", "MPJPE", "PA-MPJPE", "3D-PCK", "3D-AUC")


def report(scores: dict[str, Any], scale: int | None = None) -> str:
    """Return the tables of one evaluation.

    Args:
        scores: scores of an :class:`orpose_core.evaluation.Evaluation`.
        scale: factor by which the images were shrunk, for ORPose's table.
    """
    blocks = [f"{scores['images']} images, {scores['people']} people, {scores['detections']} detections"]
    if "pck" in scores:
        pck = scores["pck"]
        title = f"PCK@{pck['threshold']:g} [%] of {pck['people']} people (DepthPose Table 1)"
        blocks.append(_table(title, _PCK_COLUMNS, [pck.get(c) for c in _PCK_COLUMNS], 1))
    if "pck_strict" in scores:
        pck = scores["pck_strict"]
        title = f"PCK@{pck['threshold']:g} [%], strict: a detection per person, annotated joints only"
        blocks.append(_table(title, _PCK_COLUMNS, [pck.get(c) for c in _PCK_COLUMNS], 1))
    if "box_ap" in scores:
        blocks.append(_table("Boxes", _BOX_COLUMNS, [scores["box_ap"].get(c) for c in _BOX_COLUMNS], 3))
    if "keypoint_ap" in scores:
        values = [scores["keypoint_ap"].get(c) for c in _KEYPOINT_COLUMNS]
        blocks.append(_table("Keypoints", _KEYPOINT_COLUMNS, values, 3))
    if "mpjpe" in scores:
        mpjpe = scores["mpjpe"]
        found = f"{_number(mpjpe['matched_people_pct'], 1)} % matched, "
        found += f"{_number(mpjpe['predicted_joints_pct'], 1)} % of their joints predicted"
        title = f"3D errors [mm; PCK and AUC in %] of {mpjpe['n_people']:.0f} people, {found}"
        blocks.append(_table(title, _MPJPE_COLUMNS, [mpjpe.get(c) for c in _MPJPE_COLUMNS], 1))
    if scale is not None:
        blocks.append(_orpose_row(scores, scale))
    return "\n\n".join(blocks)


def _orpose_row(scores: dict[str, Any], scale: int) -> str:
    """Return the row of ORPose's tables: AP in percent, MPJPE in mm."""
    values = [
        100.0 * scores["box_ap"]["AP"] if "box_ap" in scores else None,
        100.0 * scores["keypoint_ap"]["AP"] if "keypoint_ap" in scores else None,
        scores["mpjpe"]["MPJPE"] if "mpjpe" in scores else None,
    ]
    columns = ("Box-AP", "Keypoint2D-AP", "Keypoint3D-MPJPE")
    return _table(f"Scale {scale}x (ORPose Table 2)", columns, values, 2)


def _table(title: str, columns: Sequence[str], values: Sequence[float | None], digits: int) -> str:
    widths = [max(9, len(c) + 2) for c in columns]
    head = "".join(f"{c:>{w}}" for c, w in zip(columns, widths, strict=True))
    row = "".join(f"{_number(v, digits):>{w}}" for v, w in zip(values, widths, strict=True))
    return f"{title}\n{head}\n{row}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"
