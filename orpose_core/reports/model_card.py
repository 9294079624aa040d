"""The model card of a weights file, made from the file's header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators.map_settings import Calibration, MapSettings
from orpose_core.files import write_text
from orpose_core.models import MapConfig, ModelConfig, network_of
from orpose_core.reports.adaptation_words import NETWORKS, gain_words, outcome_words
from orpose_core.reports.pages import number, page, table
from orpose_core.reports.stage_card import is_stage_file, stage_card
from orpose_core.reports.student_card import student_card
from orpose_core.skeleton import by_name
from orpose_core.training.depthpose.recipe import gflops

_COVERED = {
    "px": "`sigma_px`",
    "px_visible": "`sigma_px`, joints called visible",
    "px_hidden": "`sigma_px`, joints called hidden",
    "m": "`sigma_m`",
    "m_visible": "`sigma_m`, joints called visible",
    "m_hidden": "`sigma_m`, joints called hidden",
}
_LABELLED = {"teacher": "the teacher", "truth": "labels by hand"}
_PARTS = ("head", "shoulder", "hip", "elbow", "wrist", "average")


def model_card(checkpoint: Checkpoint, real: dict[str, Any] | None = None) -> str:
    """Return the card in Markdown.

    Args:
        checkpoint: weights written by :func:`orpose_core.training.engine.recipe_run.write_weights`.
        real: scores of ``benchmarks/real_depth_people.py``, if it was run.

    Raises:
        ValueError: the header does not describe the training.
    """
    if "training" not in checkpoint.metadata or not isinstance(checkpoint.config, MapConfig):
        raise ValueError(f"{checkpoint.name}: this file does not say how it was trained")
    facts = json.loads(checkpoint.metadata["training"])
    config, scores, width, sr_width = checkpoint.config, facts.get("scores") or {}, None, None
    if isinstance(config, ModelConfig):  # of the paper, whose width is 1
        width, sr_width = config.width, config.width if config.sr_width is None else config.sr_width
    cells = [format(scores[f"pck_{part}"], ".1f") for part in _PARTS] if scores else []
    settings = MapSettings.from_header(checkpoint.name, checkpoint.metadata)
    adapted = "site" in facts
    return page(
        "adapted_card" if adapted else "depth_card",
        name=checkpoint.name,
        sha256=checkpoint.sha256,
        licence=checkpoint.licence,
        config=config,
        width=width,
        sr_width=sr_width,
        skeleton=by_name(config.skeleton),
        parameters=sum(p.numel() for p in checkpoint.model.parameters()) / 1e6,
        gflops=gflops(config),
        facts=facts,
        scores=scores,
        score_table=table([part.capitalize() for part in _PARTS], [cells]),
        real=real,
        decoder=None if settings.decoder == PafDecoderConfig() and not adapted else settings.decoder,
        calibration=settings.calibration,
        coverage_table=_coverage_table(settings.calibration),
        site_table=site_table(facts["site"]) if adapted else "",
        site_outcome=outcome_words(facts["site"], facts["site"]["start"]) if adapted else "",
        site_gains=_gains(facts["site"]) if adapted else [],
    )


def site_table(site: dict[str, Any]) -> str:
    """Return the table of a network's scores at a site before and after its adaptation."""
    rows = [
        [
            f"{NETWORKS[name]}, against {_LABELLED[kind]}",
            *(number(scores["pck"].get(part)) for part in _PARTS),
            f"{scores['found']} of {scores['people']}",
            format(scores["extra_per_frame"], ".2f"),
            number(scores.get("joint_f1")),
        ]
        for kind in ("truth", "teacher")
        for name in NETWORKS
        if (scores := (site.get(name) or {}).get(kind)) is not None
    ]
    parts = (part.capitalize() for part in _PARTS)
    return table(["", *parts, "people found", "other detections per frame", "F1 of joints"], rows)


def _gains(site: dict[str, Any]) -> list[str]:
    """Return the sentences about the gain, against labels by hand first."""
    return [words for kind in ("truth", "teacher") if (words := gain_words(site, kind))]


def _coverage_table(calibration: Calibration | None) -> str:
    """Return the table of the shares of joints within the radii of 68 % and 95 %."""
    shares = {} if calibration is None else calibration.coverage
    rows = [
        [words, *(format(100 * shares[f"{name}_{share}"], ".0f") for share in (68, 95))]
        for name, words in _COVERED.items()
        if f"{name}_68" in shares
    ]
    return table(["", "68 %", "95 %"], rows)


def write_card(
    name_or_path: str, out: Path | None = None, real: Path | None = None, scores: Path | None = None
) -> Path:
    """Write the card of a weights file, by default beside it; return its path."""
    path = out or Path(name_or_path).with_suffix(".md")
    write_text(path, card_text(name_or_path, real, scores))
    return path


def card_text(name_or_path: str, real: Path | None = None, scores: Path | None = None) -> str:
    """Return the card of a weights file of any kind in Markdown.

    Args:
        name_or_path: name or path of the weights.
        real: scores of ``benchmarks/real_depth_people.py``, if it was run.
        scores: folders of `orpose evaluate`, for a student.

    Raises:
        ValueError: the header does not describe the training.
    """
    if is_stage_file(name_or_path):
        return stage_card(name_or_path)
    checkpoint = load_checkpoint(name_or_path)
    if network_of(checkpoint.config).answer == "people":
        return student_card(checkpoint, scores)
    return model_card(checkpoint, None if real is None else json.loads(real.read_text()))
