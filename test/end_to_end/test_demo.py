"""The demo as a user runs it: real nodes in processes of their own, and files at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy", reason="the demo drives real nodes")


def demo(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orpose_ros.demo", "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)


def test_the_demo_drives_the_nodes_and_writes_picture_video_and_json(tmp_path: Path) -> None:
    result = demo(tmp_path, "--model", "untrained:depthpose_64x48@0.0625", "--frames", "12")
    assert result.returncode == 0, result.stdout + result.stderr
    for words in ("UNTRAINED", "published at 640x480", "at 64x48", "median", "markers", "moments fused"):
        assert words in result.stdout
    picture = cv2.imread(str(tmp_path / "demo.png"))
    assert picture is not None and picture.shape[1] > 640
    video = cv2.VideoCapture(str(tmp_path / "demo.mp4"))
    frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    skeletons = json.loads((tmp_path / "skeletons_3d.json").read_text())
    room = json.loads((tmp_path / "room.json").read_text())
    assert frames == len(room) > 0 and len(skeletons) == 2 * frames
    assert [entry["camera"] for entry in skeletons[:2]] == ["ceiling_1", "ceiling_2"]
    assert [entry["stamp_ns"] for entry in room] == [entry["stamp_ns"] for entry in skeletons[::2]]
    stamps = [entry["stamp_ns"] for entry in skeletons]
    assert stamps == sorted(stamps)
    assert isinstance(json.loads((tmp_path / "results.json").read_text()), list)


def test_a_stage_that_cannot_start_makes_the_demo_fail_and_says_which(tmp_path: Path) -> None:
    result = demo(tmp_path, "--model", "nonsense", "--frames", "2")
    assert result.returncode == 1
    assert "pose_node ended" in result.stderr and "nonsense" in result.stderr
    assert not (tmp_path / "demo.mp4").exists()
