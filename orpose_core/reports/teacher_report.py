"""The quality of a teacher's labels as a page, from what the evaluation saved."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from orpose_core.files import replacing, write_text
from orpose_core.reports.teacher_evaluation import TeacherFiles, evaluate_teacher
from orpose_core.simulation import SPLITS
from orpose_core.training.stages.frames import frames_of

matplotlib.use("Agg")
from matplotlib import pyplot as plt

logger = logging.getLogger(__name__)
RESULTS = "teacher_results.json"
_TUNING_FRAMES = 100


def judge(files: TeacherFiles, folder: Path, split: str, tuning_split: str, frames: int) -> Path:
    """Evaluate a teacher and save the scores in a folder; return the file."""
    for name in (split, tuning_split):
        if name not in SPLITS:
            raise ValueError(f"--split: expected one of {sorted(SPLITS)}, got {name!r}")
    results = evaluate_teacher(
        files, frames_of(split, frames), frames_of(tuning_split, _TUNING_FRAMES), progress=logger.info
    )
    results |= {"split": split, "tuning_split": tuning_split, "tuning_frames": _TUNING_FRAMES}
    path = folder / RESULTS
    write_text(path, json.dumps(results, indent=2, allow_nan=False) + "\n")
    return path


def read_results(folder: Path) -> dict[str, Any]:
    """Read what :func:`judge` saved; ValueError says what is missing."""
    path = folder / RESULTS
    try:
        results = json.loads(path.read_text())
        if not results["looks"]:
            raise ValueError("nothing was judged")
        return results
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected the scores of a teacher, got: {error!r}") from error


def write_teacher_report(folder: Path, out: Path) -> str:
    """Write the page of a judged teacher, with its plot beside it in ``images/``; return the text."""
    results = read_results(folder)
    picture = out.parent / "images" / f"{out.stem}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(results, picture)
    text = page(results, f"images/{picture.name}")
    write_text(out, text)
    return text


def _number(value: float | None, digits: int = 1, factor: float = 1.0) -> str:
    return "-" if value is None else f"{factor * value:.{digits}f}"


def page(results: dict[str, Any], picture: str) -> str:
    """Return the page, Markdown."""
    looks = results["looks"]
    last = looks[list(looks)[-1]]
    lines = [
        "# How good the synthetic teacher's labels are",
        "",
        "<!-- written by `orpose report teacher`; do not edit -->",
        "",
        *_setting(results),
        "",
        "## With and without test-time augmentation",
        "",
        *_table(looks),
        "",
        _legend(results),
        "",
        "## Do confidences mean what they say?",
        "",
        *_calibration(looks),
        "",
        "A box is right at an IoU of 0.5 with a person of its own; a joint of a right box is right where "
        "COCO's similarity of that joint is 0.5 or more, wrong where the image has no such joint. Groups are "
        "tenths of all answers.",
        "",
        f"![Confidence against share of right joints, and against their error]({picture})",
        "",
        "## Soft labels carry information",
        "",
        *_information(last),
        "",
        *_details(list(looks)[-1], last),
        "",
        *_box_details(list(looks)[-1], last),
    ]
    return "\n".join(lines) + "\n"


_NAMES = {"detector": "detector", "keypoints": "keypoint network", "lifter": "lifter"}


def _listed(domains: Sequence[str]) -> str:
    names = [f"`{domain}`" for domain in domains]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _legend(results: dict[str, Any]) -> str:
    return (
        "Box and keypoint AP: COCO's, of everything found from a box score of "
        f"{results['lowest_box_score']:g} on. *True boxes*: the joints alone, with perfect boxes. The rest "
        "is of the labels, that is of people whose box scores at least the threshold, which was chosen on "
        f"{results['tuning_frames']} frames of `{results['tuning_split']}` (best F1 at IoU 0.5), never on "
        "the frames that are judged. PCK@0.2 by the benchmark's protocol, (strict) without its flaws; MPJPE "
        "of ORPose's eight joints by the released protocol, (strict) of people who resemble the true one: "
        "OKS 0.3 or more."
    )


def _setting(results: dict[str, Any]) -> list[str]:
    stages, first = results["stages"], next(iter(results["looks"].values()))
    names = ", ".join(
        f"{part} `{stages[part]['name']}` (sha256 `{stages[part]['sha256'][:12]}`)"
        for part in ("detector", "keypoints", "lifter")
    )
    seen = [
        f"The {_NAMES[part]} was trained here, on synthetic people of {_listed(domains)} alone."
        for part, domains in results["domains"].items()
    ]
    if seen:
        seen.append(
            "They were trained for minutes, from random weights: this shows the procedure and its "
            "measurement, and is no match for networks trained on COCO."
        )
    return [
        f"{results['frames']} color frames of `{results['split']}`, spread evenly, with {first['people']} "
        f"people in them. The teacher: {names}. {' '.join(seen)}".rstrip(),
    ]


def _table(looks: dict[str, Any]) -> list[str]:
    lines = [
        "| | box AP | AP50 | keypoint AP | AP50 | AP with true boxes | box score from | precision | recall | "
        "PCK@0.2 (strict) | MPJPE mm (strict) | PA-MPJPE mm |",
        "|---|" + "---|" * 11,
    ]
    for name, look in looks.items():
        cells = [
            _number(look["box_AP"], 1, 100),
            _number(look["box_AP50"], 1, 100),
            _number(look["keypoint_AP"], 1, 100),
            _number(look["keypoint_AP50"], 1, 100),
            _number(look["keypoint_AP_true_boxes"], 1, 100),
            _number(look["box_score"], 2),
            _number(look["label_precision"], 2),
            _number(look["label_recall"], 2),
            f"{_number(look['pck']['Average'])} ({_number(look['pck_strict'])})",
            f"{_number(look['mpjpe']['MPJPE'], 0)} ({_number(look['mpjpe_strict']['MPJPE'], 0)})",
            _number(look["mpjpe_strict"]["PA-MPJPE"], 0),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    own = ", ".join(f"{name} {_number(look['box_AP_tuning'], 1, 100)}" for name, look in looks.items())
    return [*lines, "", f"For comparison, box AP on everyday people at eye level: {own}."]


def _calibration(looks: dict[str, Any]) -> list[str]:
    lines = ["| | ECE of boxes | right boxes | ECE of joints | right joints |", "|---|---|---|---|---|"]
    for name, look in looks.items():
        boxes, joints = look["boxes"], look["joints"]
        cells = [_number(part[key], 3) for part in (boxes, joints) for key in ("ece", "overall")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _information(look: dict[str, Any]) -> list[str]:
    flat, space = look["joints"], look["joints_3d"]
    if not flat["count"]:
        return ["No label is a person's: there is nothing to say."]
    return [
        "Spearman's rank correlation of a joint's confidence and its error (with test-time augmentation): "
        f"**{_number(flat['rank_correlation'], 2)}** in 2D, {_number(space['rank_correlation'], 2)} in 3D. "
        "Below 0, errors fall as confidence rises. The tenth of joints with the lowest confidence has a "
        f"median 2D error of {_number(flat['error'][0], 3)} of the person's size (root of the box's area), "
        f"the highest {_number(flat['error'][-1], 3)}; {_number(flat['correct'][0], 0, 100)} % against "
        f"{_number(flat['correct'][-1], 0, 100)} % are right.",
    ]


def _details(name: str, look: dict[str, Any]) -> list[str]:
    lines = [
        f"Joints by confidence ({name}):",
        "",
        "| tenth | joints | mean confidence | right | median 2D error, share of size | median 3D error, mm |",
        "|---|---|---|---|---|---|",
    ]
    flat, space = look["joints"], look["joints_3d"]
    rows = (
        f"| {k + 1} | {flat['count'][k]:.0f} | {_number(flat['confidence'][k], 2)} | "
        f"{_number(flat['correct'][k], 2)} | {_number(flat['error'][k], 3)} | "
        f"{_number(space['error'][k], 0)} |"
        for k in range(len(flat["count"]))
    )
    return [*lines, *rows]


def _box_details(name: str, look: dict[str, Any]) -> list[str]:
    boxes = look["boxes"]
    lines = [
        f"Boxes by confidence ({name}), those below the threshold of the labels, too:",
        "",
        "| tenth | boxes | mean score | right |",
        "|---|---|---|---|",
    ]
    rows = (
        f"| {k + 1} | {boxes['count'][k]:.0f} | {_number(boxes['confidence'][k], 2)} | "
        f"{_number(boxes['correct'][k], 2)} |"
        for k in range(len(boxes["count"]))
    )
    return [*lines, *rows]


def _values(numbers: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if n is None else n for n in numbers])


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the reliability of joints, and their error by confidence."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, look in results["looks"].items():
        joints = look["joints"]
        confidence = _values(joints["confidence"])
        left.plot(confidence, _values(joints["correct"]), "o-", markersize=4, label=name)
        right.plot(confidence, _values(joints["error"]), "o-", markersize=4, label=name)
    left.set(xlabel="mean confidence of a tenth of the joints", ylabel="share of right joints", xlim=(0, 1))
    left.set_ylim(0, 1)
    left.text(0.02, 0.94, "too modest", fontsize=8, color="0.5")
    left.text(0.98, 0.04, "too sure", fontsize=8, color="0.5", ha="right")
    right.set(xlabel="mean confidence of a tenth of the joints", xlim=(0, 1))
    right.set_ylabel("median 2D error, share of the person's size")
    right.set_ylim(bottom=0)
    right.legend(loc="upper right", fontsize=8, title="looks")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
