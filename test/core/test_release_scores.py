"""What the report of a release counts, with people who are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from orpose_core.cli import main
from orpose_core.reports.depthpose_report import networks_page
from orpose_core.skeleton import OPENPOSE18
from orpose_core.training.depthpose.release import SplitFrames, render_split, score_split
from orpose_core.types import Poses


@pytest.fixture(scope="module")
def shown() -> SplitFrames:
    return render_split("facing-val-v1", 24)


class Told:
    """Gives what it is told, frame by frame, as a network would."""

    def __init__(self, name: str, answers: list[Poses]) -> None:
        self.info, self.answers = SimpleNamespace(name=name, skeleton=OPENPOSE18), list(answers)

    def estimate(self, frames: list) -> list[Poses]:
        given, self.answers = self.answers[: len(frames)], self.answers[len(frames) :]
        return given


def as_found(poses: Poses) -> Poses:
    poses = poses.converted(OPENPOSE18)
    sigma = np.full(poses.scores.shape, 0.05, np.float32)
    return replace(poses, sigma_px=sigma, sigma_m=sigma)


def mirrored_names(poses: Poses) -> Poses:
    """Give every joint the place of its twin."""
    names = poses.skeleton.joints
    sides = {"left": "right", "right": "left"}
    twin = [names.index("_".join(sides.get(word, word) for word in name.split("_"))) for name in names]
    return replace(poses, xy_px=poses.xy_px[:, twin], scores=poses.scores[:, twin])


def test_the_truth_scores_full_marks_and_its_mirror_shows_as_exchanged(shown: SplitFrames) -> None:
    right = [as_found(poses) for poses in shown.everybody]
    best = score_split(Told("truth", right), shown)
    assert best.found == 1.0 and best.parts["Average"] == pytest.approx(100.0) and best.exchanged == 0.0
    assert best.visible == best.hidden == 100.0 and best.false_per_frame == 0.0 and best.error_m < 1e-6
    assert best.coverage["m_68"] == 1.0 and best.people > 10
    turned = score_split(Told("mirror", [mirrored_names(poses) for poses in right]), shown)
    assert turned.exchanged == 1.0 and turned.parts["Shoulder"] < 50.0 and turned.parts["Head"] > 90.0

    aside = [
        replace(p, xy_px=p.xy_px + np.float32(2000), boxes_px=p.boxes_px + np.float32(2000)) for p in right
    ]
    away = score_split(Told("aside", aside), shown)
    assert away.false_per_frame == pytest.approx(np.mean([len(p) for p in right]))
    text = networks_page([best, turned])
    assert "| truth | 100.0 |" in text and "average of truth minus that of mirror: +" in text


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "networks.md"
    words = ["--splits", "general-val-v1", "--frames", "3", "--out", str(out)]
    assert main(["report", "networks", "fastpose_64x48", *words]) == 0
    assert "## `general-val-v1`" in out.read_text() and "3 frames of 3 rooms" in out.read_text()
    assert main(["report", "networks", "fastpose_64x48", "--splits", "street-val", "--out", str(out)]) == 2
    assert "expected one of the splits" in capsys.readouterr().err
    assert main(["report", "networks", "student_small", "--out", str(out)]) == 2
    assert "reads depth, got color" in capsys.readouterr().err
