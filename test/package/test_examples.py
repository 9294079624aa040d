"""The example scripts run unchanged on synthetic frames; the test of the node is among those of ROS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orpose_core.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.timeout(2400)


def run(name: str, *arguments: str | Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}  # this checkout, whatever is installed
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_frames_to_poses(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    assert main(["simulate", "--out", str(bag), "--format", "mcap", "--frames", "2", "--workers", "1"]) == 0
    lines = run("frames_to_poses.py", bag).splitlines()
    frames = [line for line in lines if not line.startswith("  ")]
    assert len(frames) == 2 and all(line.endswith("people") for line in frames)
    people = [line for line in lines if line.startswith("  ")]
    assert len(people) == sum(int(line.split()[-2]) for line in frames)
    assert any("m from the camera" in line for line in people)


def test_the_notebook_is_kept_without_outputs() -> None:
    """It is run when the documentation is built."""
    notebook = json.loads((EXAMPLES / "look.ipynb").read_text())
    assert notebook["cells"] and not any(cell.get("outputs") for cell in notebook["cells"])


def test_evaluate_file(tmp_path: Path) -> None:
    folder = tmp_path / "room"
    assert main(["simulate", "--out", str(folder), "--frames", "3", "--workers", "1"]) == 0
    truth = json.loads((folder / "annotations.json").read_text())
    perfect = [
        {name: person[name] for name in ("image_id", "category_id", "bbox", "keypoints")} | {"score": 0.9}
        for person in truth["annotations"]
    ]
    assert perfect
    (tmp_path / "found.json").write_text(json.dumps(perfect))
    said = run("evaluate_file.py", folder / "annotations.json", tmp_path / "found.json")
    assert f"3 images, {len(perfect)} people, {len(perfect)} detections" in said
    assert "pck_strict   100.0 %" in said and "box_ap       100.0 %" in said
