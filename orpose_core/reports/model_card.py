"""The card of a weights file, written from what the file says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint
from orpose_core.files import write_text
from orpose_core.models import MapConfig, ModelConfig, network_of
from orpose_core.reports.stage_card import (
    domain_words,
    earlier_words,
    is_stage_file,
    machine_words,
    norm_words,
    shown_words,
    stage_card,
)
from orpose_core.reports.student_card import student_card
from orpose_core.skeleton import by_name
from orpose_core.training.depthpose.recipe import gflops

LIMITS = """\
## Limits

- Trained on synthetic depth alone: bodies of simple solids in synthetic rooms, never a recorded image.
- At this resolution wrists and faces cover less than a pixel; their places are guesses from the body.
- People of whom little is seen, who touch, or who lie under drapes are missed or merged. Clutter of a
  person's size can be taken for one, most of all where the background has no depth in patches.
- Left and right are confused most often for people seen from behind.
- Not a medical device; never use it where a missed or invented person can do harm.
"""


def model_card(checkpoint: Checkpoint, real: dict[str, Any] | None = None) -> str:
    """Return the card, Markdown.

    Args:
        checkpoint: weights that :func:`orpose_core.training.engine.recipe_run.write_weights` wrote.
        real: scores of ``benchmarks/real_depth_people.py``, if it was run.

    Raises:
        ValueError: if the file does not say how it was trained.
    """
    if "training" not in checkpoint.metadata or not isinstance(checkpoint.config, MapConfig):
        raise ValueError(f"{checkpoint.name}: this file does not say how it was trained")
    facts = json.loads(checkpoint.metadata["training"])
    config = checkpoint.config
    parameters = sum(p.numel() for p in checkpoint.model.parameters()) / 1e6
    skeleton = by_name(config.skeleton)
    height, width = config.input_hw
    lines = [
        f"# {checkpoint.name}",
        "",
        "<!-- written by `orpose report card`; do not edit -->",
        "",
        f"2D poses of everyone in a {width}x{height} {config.modality} image: {config.architecture}, "
        f"{parameters:.2f} M parameters, {gflops(config):.1f} GFLOPs per image (1 MAC = 2 FLOPs)"
        f"{_width_words(config)}.",
        "",
        f"Input: depth clipped to {config.depth_range_m:g} m, divided by it; no return = 0. Output: "
        f"{config.paf_channels} part affinity and {config.keypoint_channels} keypoint maps "
        f"(the {len(skeleton)} joints of {skeleton.name} and the background).",
        "",
        f"sha256 `{checkpoint.sha256}`, licence {checkpoint.licence}.",
        "",
        "## Training",
        "",
        f"{shown_words(facts['images'], facts.get('window_hw'))} of {facts['data']}"
        + domain_words(facts["domains"])
        + f", {facts['steps']} steps, {facts['minutes']:g} minutes{machine_words(facts)}"
        f"{norm_words(facts)}{earlier_words(facts)}. "
        "The recipe is in `training/`.",
        *_scores(facts.get("scores") or {}, facts.get("split", "")),
        *_real(real),
        "",
        LIMITS.rstrip(),
    ]
    return "\n".join(lines) + "\n"


def _width_words(config: MapConfig) -> str:
    """Return how wide a network of the paper is; nothing of other networks."""
    if not isinstance(config, ModelConfig):
        return ""
    sr_width = config.width if config.sr_width is None else config.sr_width
    return (
        f"; the pose part has {config.width:g} times the paper's width, the super-resolution part "
        f"{sr_width:g} times"
    )


def _scores(scores: dict[str, Any], split: str) -> list[str]:
    if not scores:
        return ["", "Not scored."]
    parts = ("head", "shoulder", "hip", "elbow", "wrist", "average")
    frames = f"{scores['frames']} frames of " if "frames" in scores else "a part of "
    return [
        "",
        "## Scores",
        "",
        f"PCK@0.2 on {frames}the synthetic `{split}`, which training never sees, with flip test:",
        "",
        f"| {' | '.join(part.capitalize() for part in parts)} |",
        "|" + "---|" * len(parts),
        "| " + " | ".join(format(scores[f"pck_{part}"], ".1f") for part in parts) + " |",
        "",
        f"Average by the strict protocol: {scores['strict_pck_average']:.1f}. Detections per person there: "
        f"{scores['found_per_person']:.2f}.",
    ]


def _real(real: dict[str, Any] | None) -> list[str]:
    if real is None:
        return []
    return [
        "",
        f"On four real depth frames with {real['people']} people, never used in training or tuning: "
        f"{real['found']} found, PCK@0.2 {real['pck_strict']:.0f} strictly and "
        f"{real['pck_swap_allowed']:.0f} with left and right exchangeable, at most "
        f"{real['most_extra_in_a_frame']} extra detection(s) in a frame besides "
        f"{real['extra_in_background']} in the background of all of them. So few people tell that it works, "
        "not how well.",
    ]


def write_card(
    name_or_path: str, out: Path | None = None, real: Path | None = None, scores: Path | None = None
) -> Path:
    """Write the card of a weights file, beside it by default; return where it is."""
    path = out or Path(name_or_path).with_suffix(".md")
    if is_stage_file(name_or_path):
        write_text(path, stage_card(name_or_path))
        return path
    checkpoint = load_checkpoint(name_or_path)
    if network_of(checkpoint.config).answer == "people":
        write_text(path, student_card(checkpoint, scores))
        return path
    found = None if real is None else json.loads(real.read_text())
    write_text(path, model_card(checkpoint, found))
    return path
