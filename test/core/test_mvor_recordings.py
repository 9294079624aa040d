"""MVOR's folders and its list of images as a recording, on a made-up folder in that layout."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from orpose_core.data.recordings.mvor import MvorRecording
from orpose_core.data.recordings.opening import open_recording

SIZE_HW = (48, 64)


def _matrix(x_mm: float) -> list[float]:
    return [1, 0, 0, x_mm, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def _content(names: list[str]) -> dict[str, Any]:
    """Return what a file of MVOR holds, as far as images go; each image has a person."""
    joints = ["head", "neck", "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_elbow",
              "right_elbow", "left_wrist", "right_wrist"]  # fmt: skip
    camera = {"focallength": [50.0, 51.0], "principalpoint": [31.5, 23.5], "imagesize": [64, 48]}
    images = []
    for name in names:
        day, cam, number = (int(n) for n in re.findall(r"\d+", name))
        images.append(
            {"id": day * 10**10 + cam * 10**7 + number, "file_name": name, "cam_id": cam, "day_id": day,
             "height": 48, "width": 64, "date_captured": f"2015-04-0{day} 07:08:{number:02d}.250000"}
        )  # fmt: skip
    people = [
        {"id": k + 1, "image_id": i["id"], "category_id": "1", "bbox": [1, 2, 3, 4], "keypoints": [0] * 30,
         "num_keypoints": 0, "iscrowd": 0, "person_id": 0}
        for k, i in enumerate(images)
    ]  # fmt: skip
    parameters = {
        "intrinsics": [camera] * 3,
        "extrinsics": [_matrix(1000.0 * k) for k in range(3)],
        "firstCamToRoomRef": _matrix(0),
    }
    category = {"id": "1", "name": "person", "keypoints": joints, "skeleton": [[1, 2]]}
    return {
        "images": images, "annotations": people, "categories": [category],
        "cameras_info": {"camParams": parameters},
    }  # fmt: skip


@pytest.fixture
def mvor(tmp_path: Path) -> Path:
    """Write two cameras; of the five images one has no depth, one is no image, one is not there."""
    names = [f"day1/cam2/color/{k:06d}.png" for k in (7, 3)]
    names += [f"day2/cam1/color/{k:06d}.png" for k in (1, 2, 4)]
    data = tmp_path / "camma_mvor_dataset"
    for k, name in enumerate(names[:-1]):
        for kind in ("color", "depth"):
            (data / name.replace("color", kind)).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(data / name), np.full((*SIZE_HW, 3), 10 * k, np.uint8))
        cv2.imwrite(str(data / name.replace("color", "depth")), np.full(SIZE_HW, 1000 + k, np.uint16))
    (data / names[1].replace("color", "depth")).unlink()
    (data / names[2]).write_bytes(b"no image")
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations" / "camma_mvor_2018.json"
    path.write_text(json.dumps(_content(names)))
    return path


def test_the_list_gives_cameras_times_and_depth(mvor: Path) -> None:
    recording = open_recording(mvor, "color")
    assert isinstance(recording, MvorRecording)
    with recording:
        assert recording.frame_count() == 5
        frames = list(recording.frames())
    assert [f.name for f in frames] == ["day1_cam2_000003", "day1_cam2_000007", "day2_cam1_000002"]
    assert [f.camera for f in frames] == ["day1/cam2", "day1/cam2", "day2/cam1"]
    first, second, third = (f.frame for f in frames)
    assert second.stamp_ns - first.stamp_ns == 4_000_000_000
    assert first.stamp_ns == 1_427_872_083_250_000_000  # 2015-04-01 07:08:03.25 UTC
    assert first.depth_m is None and second.depth_m is not None and third.depth_m is not None
    assert second.depth_m[0, 0] == pytest.approx(1.0) and third.depth_m[0, 0] == pytest.approx(1.003)
    assert (
        second.rgb is not None
        and second.rgb.max() == 0
        and third.rgb is not None
        and third.rgb[0, 0, 0] == 30
    )
    assert first.intrinsics is not None and first.intrinsics.fy == 51.0
    said = recording.skipped.sentences()
    assert any("no depth image is there (2 times)" in s for s in said), said
    assert any("no color image is there" in s for s in said)
    assert any("000001.png" in s and "no image or is damaged" in s for s in said)
    assert not any(str(mvor.parent.parent) in s for s in said)


def test_only_what_has_what_is_wanted_comes(mvor: Path) -> None:
    with open_recording(mvor, "rgbd") as recording:
        assert [f.name for f in recording.frames()] == ["day1_cam2_000007", "day2_cam1_000002"]
    with open_recording(mvor, "depth") as recording:
        assert [f.name for f in recording.frames()] == [
            "day1_cam2_000007", "day2_cam1_000001", "day2_cam1_000002"
        ]  # fmt: skip


def test_the_folder_alone_gives_the_same_pictures(mvor: Path) -> None:
    with open_recording(mvor.parent.parent, "color") as recording:
        frames = list(recording.frames())
    assert [f.name.split("day")[1] for f in frames] == ["1_cam2_000003", "1_cam2_000007", "2_cam1_000002"]
    assert frames[1].frame.depth_m is not None


def test_a_file_without_images_is_refused(mvor: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    (other / "list.json").write_text(mvor.read_text())
    with pytest.raises(
        ValueError, match=r"expected the 5 images that it lists, such as day1/cam2/color/000003\.png"
    ):
        open_recording(other / "list.json")
    (other / "none.json").write_text("{}")
    with pytest.raises(ValueError, match="expected a JSON file with a list of images"):
        open_recording(other / "none.json")


def test_a_simulated_folder_gives_its_cameras_and_times(tmp_path: Path) -> None:
    """The folder itself can be given, not only its JSON file: metric 3D needs the intrinsics in it."""
    name = "room00001/cam1/color/000000.png"
    for kind, image in (
        ("color", np.zeros((*SIZE_HW, 3), np.uint8)),
        ("depth", np.full(SIZE_HW, 2000, np.uint16)),
    ):
        file = tmp_path / name.replace("color", kind)
        file.parent.mkdir(parents=True)
        cv2.imwrite(str(file), image)
    content = {
        "images": [
            {"id": 1, "file_name": name, "width": 64, "height": 48, "cam_id": 1, "day_id": 1,
             "stamp_ns": 7_000_000_000,
             "intrinsics": {"fx": 50.0, "fy": 51.0, "cx": 31.5, "cy": 23.5},
             "room_from_camera_m": np.eye(4).tolist()}
        ],
        "annotations": [], "categories": _content([name])["categories"],
    }  # fmt: skip
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    (tmp_path / "simulation.json").write_text("{}")
    with open_recording(tmp_path) as recording:
        (recorded,) = recording.frames()
    assert recorded.frame.intrinsics is not None and recorded.frame.intrinsics.fx == 50.0
    assert recorded.frame.stamp_ns == 7_000_000_000 and recorded.name == "room00001_cam1_000000"
