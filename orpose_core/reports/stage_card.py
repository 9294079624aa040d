"""Cards of the teacher's stages that were trained here, written from what their files say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from orpose_core.checkpoints.history import training_facts
from orpose_core.checkpoints.keypoint_networks import load_keypoint_network
from orpose_core.checkpoints.small_detectors import load_small_detector
from orpose_core.checkpoints.weights_file import SUFFIX, WeightsFile, find_weights, read_header, read_weights
from orpose_core.teacher.lifting import read_lifting_model

_LIMITS = {
    "detector": """\
- Trained on synthetic people only, in everyday rooms and clothes: bodies of simple solids, never a
  recorded image. On real recordings use a detector that was trained on COCO.
- Its scores are low: FCOS multiplies class and centreness. Take the threshold that
  `docs/results_teacher.md` says, not the 0.7 of detectors with two stages.
- People of whom little is seen, and those who stand close together, are missed or merged.""",
    "keypoints": """\
- Trained on synthetic people only, in everyday rooms and clothes: bodies of simple solids, never a
  recorded image. On real recordings use a network that was trained on COCO.
- Crops of 96x128: small joints (eyes, ears, wrists) are less exact than in the published networks.
- After a short training left and right are confused often. Look at the contact sheet of `orpose label` before
  a student is trained on such labels.""",
    "lifter": """\
- Trained on synthetic bodies only: simple activities of the operating room and of everyday life.
- What a joint's depth is cannot be seen in 2D: errors are largest along the line of sight, and for wrists.
- It answers for a camera of about 60 degrees across 640x480; other lenses shift its answers.
- What absent joints are is filled in from the mean pose, not seen.""",
}
_PURPOSE = {
    "detector": "The teacher's first stage: boxes of people in a color image.",
    "keypoints": "The teacher's second stage: the 17 COCO joints of one person in a crop.",
    "lifter": "The teacher's third stage: 2D joints to 3D, relative to the pelvis (Martinez et al. 2017).",
}
_USE = {"detector": "--detector", "keypoints": "--keypoints", "lifter": "--lifter"}


def is_stage_file(name_or_path: str) -> bool:
    """Return whether a file is one of the teacher's stages, by its header."""
    path = find_weights(name_or_path)
    return path.suffix == SUFFIX and read_header(path).kind in _PURPOSE


def stage_card(name_or_path: str) -> str:
    """Return the card of a stage's file, Markdown; ValueError if it does not say how it was trained."""
    path = find_weights(name_or_path)
    file = read_weights(path)
    facts, kind, model = training_facts(file), file.kind, _network(file)
    if not facts:
        raise ValueError(f"{path}: this file does not say how it was trained")
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    lines = [
        f"# {path.stem}",
        "",
        "<!-- written by `orpose report card`; do not edit -->",
        "",
        f"{_PURPOSE[kind]} {parameters:.2f} M parameters. "
        f"Use it by name: `orpose label {_USE[kind]} {path.stem}`.",
        "",
        f"sha256 `{file.sha256}`, licence {file.licence}.",
        "",
        "## Training",
        "",
        _training(kind, facts),
        "",
        "## Scores",
        "",
        *_scores(kind, facts),
        "",
        "## Limits",
        "",
        _LIMITS[kind],
        "- Not a medical device; never use it where a missed or invented person can do harm.",
    ]
    return "\n".join(lines) + "\n"


def _network(file: WeightsFile) -> nn.Module:
    if file.kind == "lifter":
        return read_lifting_model(file.path)[0]
    if file.kind == "detector":
        return load_small_detector(file.path)[0]
    return load_keypoint_network(file.path).model


def earlier_words(facts: dict[str, Any]) -> str:
    """Return a clause on the trainings before the last one, "" where there was none."""
    return "".join(
        f", after {shown_words(e['images'], e.get('window_hw'))}{domain_words(e.get('domains'))} in "
        f"{e['steps']} steps and {e['minutes']:g} minutes{_on_gpu(e)} before that"
        for e in facts.get("earlier", [])
    )


def shown_words(count: int, window_hw: Sequence[int] | None) -> str:
    """Return "12 images", or "12 windows of 40x32 px" where windows of images were shown."""
    return f"{count} images" if window_hw is None else f"{count} windows of {window_hw[1]}x{window_hw[0]} px"


def domain_words(domains: Sequence[str] | None) -> str:
    """Return " (domains or, general)", "" where they are unknown or none."""
    if not domains:
        return ""
    return f" (domain{'s' if len(domains) > 1 else ''} {', '.join(domains)})"


def _on_gpu(facts: dict[str, Any]) -> str:
    """Return " on 2 x Some GPU", "" of a processor; of an earlier training the number of GPUs is unknown."""
    if not facts.get("device"):
        return ""
    count = facts.get("processes", 1)
    return f" on {f'{count} x ' if count > 1 else ''}{facts['device']}"


def machine_words(facts: dict[str, Any]) -> str:
    """Return where a training ran, after a space: on what GPU, or in how many processes and threads."""
    return _on_gpu(facts) or f" in {facts['processes']} process(es) of {facts['threads']} thread(s)"


def norm_words(facts: dict[str, Any]) -> str:
    """Return a clause on norms that were there only while the network trained, "" where there were none."""
    return ", batch-normalised while training" if facts.get("batch_norm") else ""


def _training(kind: str, facts: dict[str, Any]) -> str:
    domains = domain_words(facts["domains"])
    seen = {
        "detector": f"{facts['images']} rendered images, each changed {facts.get('views')} times,",
        "keypoints": f"{facts['images']} rendered images, {facts.get('crops')} crops of each,",
        "lifter": f"{facts['images']} rooms, up to {facts.get('views')} views of people in each,",
    }[kind]
    source = facts.get("source", "the synthetic room")
    return (
        f"From random weights, on synthetic people only: {seen} of {source}{domains}; {facts['steps']} "
        f"steps, {facts['minutes']:g} minutes{machine_words(facts)}"
        f"{earlier_words(facts)}. The recipe is in `training/`."
    )


def _scores(kind: str, facts: dict[str, Any]) -> list[str]:
    scores = facts.get("scores") or {}
    if not scores:
        return ["Not scored."]
    if kind == "lifter":
        return _lifter_scores(scores, facts["splits"])
    frames = f"{scores['frames']} frames of" if "frames" in scores else "a part of"
    where = (
        f"On {frames} the synthetic `{facts['split']}` (everyday people at eye level), which training never"
    )
    names = (
        {"box_AP": "box AP", "box_AP50": "AP50", "box_AP75": "AP75"}
        if kind == "detector"
        else {
            "keypoint_AP": "keypoint AP",
            "keypoint_AP50": "AP50",
            "keypoint_AP75": "AP75",
            "pck": "PCK@0.2",
        }
    )
    values = [scores[n] if n == "pck" else 100 * scores[n] for n in names]
    how = "seen once" if kind == "detector" else "with true boxes and the flip test"
    return [
        f"{where} sees; {how}:",
        "",
        f"| {' | '.join(names.values())} |",
        "|" + "---|" * len(names),
        "| " + " | ".join(f"{value:.1f}" for value in values) + " |",
        "",
        "On operating rooms, which it has never seen: `docs/results_teacher.md`.",
    ]


def _lifter_scores(scores: dict[str, Any], splits: list[str]) -> list[str]:
    frames = f"{scores['frames']} frames" if "frames" in scores else "frames"
    lines = [
        f"MPJPE in mm, relative to the root, on people of {frames} of each synthetic benchmark, whom "
        "training never meets; nothing is rendered, so nobody is hidden. *Noisy*: joints moved, exchanged "
        "and absent as a detector's are; what is absent is not counted. In brackets: always answering the "
        "mean pose.",
        "",
        "| split | people | true 2D | noisy 2D | upper body, true 2D | upper body, noisy 2D |",
        "|---|---|---|---|---|---|",
    ]
    for split in splits:
        name = split.split("-")[0]
        cells = [f"`{split}`", f"{scores[f'{name}_people']:.0f}"]
        cells += [
            f"{scores[f'{name}_{kind}_mpjpe']:.0f} ({scores[f'{name}_{kind}_mean_pose_mpjpe']:.0f})"
            for kind in ("true", "noisy")
        ]
        cells += [f"{scores[f'{name}_{kind}_upper_mpjpe']:.0f}" for kind in ("true", "noisy")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
