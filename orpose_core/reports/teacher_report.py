"""The page about the quality of a teacher's labels, from the saved scores of the evaluation."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from orpose_core.files import replacing, write_text
from orpose_core.reports.pages import number, page, table
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
    """Read the scores that :func:`judge` saved; a ValueError names what is missing."""
    path = folder / RESULTS
    try:
        results = json.loads(path.read_text())
        if not results["looks"]:
            raise ValueError("nothing was judged")
        return results
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected the scores of a teacher, got {type(error).__name__}: {error}"
        ) from error


def write_teacher_report(folder: Path, out: Path) -> str:
    """Write the page about a teacher, and its plot to ``images/`` beside it; return the text."""
    results = read_results(folder)
    picture = out.parent / "images" / f"{out.stem}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(results, picture)
    text = teacher_page(results, f"images/{picture.name}")
    write_text(out, text)
    return text


_NAMES = {"detector": "detector", "keypoints": "keypoint network", "lifter": "lifter"}


def teacher_page(results: dict[str, Any], picture: str) -> str:
    """Return the page in Markdown."""
    looks = results["looks"]
    name = list(looks)[-1]
    return page(
        "teacher_report",
        results=results,
        picture=picture,
        people=next(iter(looks.values()))["people"],
        trained=[(_NAMES[part], _listed(domains)) for part, domains in results["domains"].items()],
        scores=_table(looks),
        own=", ".join(f"{look} {number(of['box_AP_tuning'], 1, 100)}" for look, of in looks.items()),
        calibration=_calibration(looks),
        name=name,
        last=looks[name],
        joints=_joints(looks[name]),
        boxes=_boxes(looks[name]["boxes"]),
    )


def _listed(domains: Sequence[str]) -> str:
    names = [f"`{domain}`" for domain in domains]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _table(looks: dict[str, Any]) -> str:
    header = ["", "box AP", "AP50", "keypoint AP", "AP50", "AP with true boxes", "box score from"]
    header += ["precision", "recall", "PCK@0.2 (strict)", "MPJPE mm (strict)", "PA-MPJPE mm"]
    shares = ("box_AP", "box_AP50", "keypoint_AP", "keypoint_AP50", "keypoint_AP_true_boxes")
    rows = []
    for name, look in looks.items():
        cells = [name, *(number(look[share], 1, 100) for share in shares)]
        cells += [number(look[key], 2) for key in ("box_score", "label_precision", "label_recall")]
        cells += [
            f"{number(look['pck']['Average'])} ({number(look['pck_strict'])})",
            f"{number(look['mpjpe']['MPJPE'], 0)} ({number(look['mpjpe_strict']['MPJPE'], 0)})",
            number(look["mpjpe_strict"]["PA-MPJPE"], 0),
        ]
        rows.append(cells)
    return table(header, rows)


def _calibration(looks: dict[str, Any]) -> str:
    rows = [
        [name, *(number(look[part][key], 3) for part in ("boxes", "joints") for key in ("ece", "overall"))]
        for name, look in looks.items()
    ]
    return table(["", "ECE of boxes", "right boxes", "ECE of joints", "right joints"], rows)


def _joints(look: dict[str, Any]) -> str:
    flat, space = look["joints"], look["joints_3d"]
    header = ["tenth", "joints", "mean confidence", "right"]
    header += ["median 2D error, share of size", "median 3D error, mm"]
    rows = [[*_tenth(flat, k), number(flat["error"][k], 3), number(space["error"][k], 0)]
            for k in range(len(flat["count"]))]  # fmt: skip
    return table(header, rows)


def _boxes(boxes: dict[str, Any]) -> str:
    rows = [_tenth(boxes, k) for k in range(len(boxes["count"]))]
    return table(["tenth", "boxes", "mean score", "right"], rows)


def _tenth(values: dict[str, Any], k: int) -> list[str]:
    said, right = number(values["confidence"][k], 2), number(values["correct"][k], 2)
    return [f"{k + 1}", f"{values['count'][k]:.0f}", said, right]


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
