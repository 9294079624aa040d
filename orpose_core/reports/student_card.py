"""The model card of a student's weights, made from the file's header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.decoding.roi import RoiDecoderConfig
from orpose_core.estimators.roi_settings import roi_decoder_of
from orpose_core.files import read_json
from orpose_core.models.student.config import StudentConfig
from orpose_core.reports.pages import page, table
from orpose_core.reports.student_findings import SCALES
from orpose_core.training.student.threshold_choice import StudentReadingConfig
from orpose_core.training.student.validation import headline

_FAR_BELOW = 20.0
"""Keypoint AP below which the card contains a warning."""


def student_card(checkpoint: Checkpoint, scores: Path | None = None) -> str:
    """Return the card in Markdown.

    Args:
        checkpoint: weights written by `orpose train student`.
        scores: folder of `orpose evaluate` with ``8x/scores.json`` and so on, for the same weights.

    Raises:
        ValueError: the header does not describe the training, or the scores are those of other weights.
    """
    config = checkpoint.config
    if "training" not in checkpoint.metadata or not isinstance(config, StudentConfig):
        raise ValueError(f"{checkpoint.name}: this file does not say how it was trained")
    facts = json.loads(checkpoint.metadata["training"])
    decoder, reading = roi_decoder_of(checkpoint.name, checkpoint.metadata), StudentReadingConfig()
    height, width = reading.low_hw
    rows, frames, best = ([], 0, 0.0) if scores is None else _scores(scores, checkpoint)
    header = ["scale of 640x480", "Box AP", "Keypoint AP", "PCK@0.2", "MPJPE, mm"]
    return page(
        "student_card",
        name=checkpoint.name,
        sha256=checkpoint.sha256,
        licence=checkpoint.licence,
        config=config,
        parameters=sum(p.numel() for p in checkpoint.model.parameters()) / 1e6,
        facts=facts,
        scores=None if scores is None else table(header, rows),
        frames=frames,
        is_far=best < _FAR_BELOW,
        decoder=None if decoder == RoiDecoderConfig() else decoder,
        chosen_on=f"{reading.frames} frames of the synthetic `{reading.split}` at {width}x{height}",
    )


def _scores(folder: Path, checkpoint: Checkpoint) -> tuple[list[list[str]], int, float]:
    """Return the rows of the table, the number of frames and the best keypoint AP."""
    rows: list[list[str]] = []
    frames, best = 0, 0.0
    for scale in SCALES:
        path = folder / f"{scale}x" / "scores.json"
        if not path.is_file():
            continue
        content: dict[str, Any] = read_json(path)
        if content.get("sha256") != checkpoint.sha256:
            raise ValueError(f"{path}: expected scores of {checkpoint.name}, got those of other weights")
        s, frames = headline(content), content["images"]
        best = max(best, s["keypoint_ap"])
        numbers = [format(s[name], ".1f") for name in ("box_ap", "keypoint_ap", "pck")]
        rows.append([f"{scale}x", *numbers, f"{s['mpjpe_mm']:.0f}"])
    if not rows:
        raise ValueError(f"{folder}: expected 12x/scores.json or another scale's, got none")
    return rows, frames, best
