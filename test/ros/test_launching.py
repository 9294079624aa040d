"""What the launch files work out before anything starts; launch itself is not needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from orpose_ros.launching.models import needs_color
from orpose_ros.launching.rviz_file import write_rviz_file

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "rviz" / "or_pose.rviz"


def _topics(file: Path) -> list[str]:
    displays = yaml.safe_load(file.read_text())["Visualization Manager"]["Displays"]
    return [display["Topic"]["Value"] for display in displays if "Topic" in display]


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("cameras", [[""], ["ceiling_1", "or/ceiling_2"]])
def test_rviz_shows_the_topics_of_each_camera(tmp_path: Path, cameras: list[str], color: bool) -> None:
    fused = "room" if len(cameras) > 1 else ""
    file = write_rviz_file(TEMPLATE, tmp_path / "or_pose.rviz", cameras, "map", color=color, fused=fused)
    kinds = ["skeleton_markers", "lowres/depth/image_raw"] + ["lowres/color/image_raw"] * color
    expected = {f"/{camera}/{kind}".replace("//", "/") for camera in cameras for kind in kinds}
    expected |= {"/room/skeleton_markers"} if fused else set()
    assert set(_topics(file)) == expected and len(_topics(file)) == len(expected)
    manager = yaml.safe_load(file.read_text())["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "map"
    names = [display["Name"] for display in manager["Displays"]]
    assert len(set(names)) == len(names) and {"Grid", "TF"} <= set(names)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("student_small", True),
        ("depthpose_64x48", False),
        ("untrained:student_orpose@0.25", True),
        ("untrained:depthpose_64x48@0.25", False),
        ("untrained:depthpose_color", True),
        (str(REPOSITORY / "weights" / "student_small.safetensors"), True),
    ],
)
def test_whether_a_model_needs_color_is_known_before_it_is_loaded(model: str, expected: bool) -> None:
    assert needs_color(model, REPOSITORY / "weights") == expected


def test_the_file_decides_and_not_its_name(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"config": json.dumps({"modality": "depth"})}}).encode()
    file = tmp_path / "student_of_mine.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    assert not needs_color(str(file), tmp_path) and not needs_color("student_of_mine", tmp_path)
    file.write_bytes(b"\xff" * 20)  # damaged: the node will say so
    assert needs_color(str(file), tmp_path)
