"""The card of a student's weights, written from what the file says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orpose_core.checkpoints.files import Checkpoint
from orpose_core.files import read_json
from orpose_core.models.student.config import StudentConfig
from orpose_core.reports.stage_card import machine_words
from orpose_core.reports.student_findings import SCALES
from orpose_core.training.student.validation import headline

_FAR_BELOW = 20.0
"""Keypoint AP below which the card says so."""

_FAR = (
    "**Far from trained out**: it shows that the way from labels to poses works, and is a start for "
    "a training of your own. Many detections are nobody, also confident ones, and limbs are often wrong."
)

LIMITS = """\
## Limits

- Trained on synthetic color alone: bodies of simple solids in synthetic rooms, never a recorded image. It has
  not been scored on recorded images.
- The joints in space are relative to the pelvis and come from the joints in the image alone: size and
  distance are guesses. With a depth image people are placed in space by their torso.
- At 53x40 wrists and faces cover less than a pixel; their places are guesses from the body.
- People of whom little is seen, who touch, or who lie under drapes are missed or merged.
- Not a medical device; never use it where a missed or invented person can do harm.
"""


def student_card(checkpoint: Checkpoint, scores: Path | None = None) -> str:
    """Return the card, Markdown.

    Args:
        checkpoint: weights that `orpose train student` wrote.
        scores: folder with ``8x/scores.json`` and so on of `orpose evaluate`, of the same weights.

    Raises:
        ValueError: the file does not say how it was trained, or the scores are of other weights.
    """
    config = checkpoint.config
    if "training" not in checkpoint.metadata or not isinstance(config, StudentConfig):
        raise ValueError(f"{checkpoint.name}: this file does not say how it was trained")
    facts = json.loads(checkpoint.metadata["training"])
    parameters = sum(p.numel() for p in checkpoint.model.parameters()) / 1e6
    (height, width), (full_height, full_width) = config.input_hw, config.full_hw
    ranges = ", ".join(f"{a:g} to {b:g}" if a != b else f"{a:g}" for a, b in facts["scale_ranges"])
    lines = [
        f"# {checkpoint.name}",
        "",
        "<!-- written by `orpose report card`; do not edit -->",
        "",
        f"2D and root-relative 3D poses of everyone in a color image of at most {width}x{height} (larger "
        f"ones are shrunk to it): the student of ORPose, {config.trunk} of {config.trunk_width:g} times the "
        f"usual width, {parameters:.2f} M parameters. It sees the image enlarged to "
        f"{full_width}x{full_height}.",
        "",
        f"sha256 `{checkpoint.sha256}`, licence {checkpoint.licence}.",
        "",
        "## Training",
        "",
        f"Row `{facts['row']}`: {facts['images']} images of {facts['data']}, {facts['steps']} steps, "
        f"{facts['minutes']:g} minutes{machine_words(facts)}; "
        f"images shrunk {ranges} times"
        + (", starting from a student trained before" if facts.get("started_from") else "")
        + ". The recipe is in `training/`, the comparison with the others in `docs/results_student.md`.",
        *([] if scores is None else _scores(scores, checkpoint)),
        "",
        LIMITS.rstrip(),
    ]
    return "\n".join(lines) + "\n"


def _scores(folder: Path, checkpoint: Checkpoint) -> list[str]:
    rows, frames, best = [], 0, 0.0
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
        rows.append(f"| {scale}x | {' | '.join(numbers)} | {s['mpjpe_mm']:.0f} |")
    if not rows:
        raise ValueError(f"{folder}: expected 12x/scores.json or another scale's, got none")
    return [
        "",
        "## Scores",
        "",
        f"{frames} frames of the synthetic `or-val-v1`, which training never sees, without flip test:",
        "",
        *([_FAR, ""] if best < _FAR_BELOW else []),
        "| scale of 640x480 | Box AP | Keypoint AP | PCK@0.2 | MPJPE, mm |",
        "|---|---|---|---|---|",
        *rows,
    ]
