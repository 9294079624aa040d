"""`orpose doctor`: what works, what does not, and the line that mends it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from orpose_core.cli import main
from orpose_core.doctor.machine import look_at_machine
from orpose_core.doctor.recordings import look_at_topics
from orpose_core.files import write_depth, write_picture

TOPICS = """\
/camera/depth/image_rect_raw [sensor_msgs/msg/Image]
/camera/depth/camera_info [sensor_msgs/msg/CameraInfo]
/door/rgb/image_raw [sensor_msgs/msg/Image]
/chatter [std_msgs/msg/String]
"""


def test_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {finding.what: finding for finding in look_at_machine()}
    assert found["Python"].state == found["PyTorch"].state == "good"
    assert "depthpose_64x48" in found["weights"].said
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/no/such")
    found = {finding.what: finding for finding in look_at_machine()}
    cache = found["cache of compiled code"]
    assert cache.state == "note" and "NUMBA_CACHE_DIR" in cache.mend


def test_weights_that_are_pointers_of_git_lfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = tmp_path / "share" / "orpose_ros" / "weights" / "mine.safetensors"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    found = {finding.what: finding for finding in look_at_machine()}
    assert "mine" not in found["weights"].said
    assert found["weights mine"].state == "bad" and "git lfs pull" in found["weights mine"].said


def test_a_recording_with_wrong_depths_and_no_camera(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(3):
        write_depth(tmp_path / f"{k}_depth.png", np.full((48, 64), 0.02, np.float32))
        write_picture(tmp_path / f"{k}_ir.png", np.zeros((48, 64, 3), np.uint8))
    assert main(["doctor", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "ok  " in said and "about 3 frames" in said
    assert "0_ir.png: not read: infrared (3 such files)" in said
    assert "!!  calibration: missing in 3 of 3 frames" in said and "--intrinsics FX,FY,CX,CY" in said
    assert "its median is 0.02 m" in said and "--depth-unit" in said
    assert "for models of color: not usable: " in said


def test_a_good_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_depth(tmp_path / "1.png", np.full((48, 64), 2.0, np.float32))
    (tmp_path / "camera_info.yaml").write_text("{fx: 50, fy: 50, cx: 31, cy: 23, width: 64, height: 48}")
    assert main(["doctor", str(tmp_path)]) == 0
    assert "!!" not in capsys.readouterr().out


def test_live_topics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "topics.txt").write_text(TOPICS)
    assert main(["doctor", "--topics", str(tmp_path / "topics.txt")]) == 1
    said = capsys.readouterr().out
    assert "ok  /camera for models of depth: depth /camera/depth/image_rect_raw" in said
    assert "!!  /door: no camera_info: no metric 3D" in said
    command = "ros2 launch orpose_ros or_pose.launch.py cameras:=camera "
    assert f"{command}depth_topic:=depth/image_rect_raw camera_info_topic:=depth/camera_info" in said
    monkeypatch.setattr("sys.stdin", io.StringIO("nothing\n"))
    assert main(["doctor", "--topics", "-"]) == 1
    assert "none in this list" in capsys.readouterr().out
    assert main(["doctor", str(tmp_path / "missing")]) == 1
    assert "nothing is there" in capsys.readouterr().out


DRIVERS = {
    "realsense2_camera": (
        "/camera/{}/depth/image_rect_raw /camera/{}/depth/camera_info /camera/{}/color/image_raw "
        "/camera/{}/color/camera_info",
        "cameras:=camera/left,camera/right depth_topic:=depth/image_rect_raw "
        "camera_info_topic:=depth/camera_info",
    ),
    "OrbbecSDK_ROS2": (
        "/{}/depth/image_raw /{}/depth/camera_info /{}/color/image_raw /{}/color/camera_info "
        "/{}/ir/image_raw",
        "cameras:=left,right camera_info_topic:=depth/camera_info",
    ),
    "zed-ros2-wrapper": (
        "/{}/zed_node/depth/depth_registered /{}/zed_node/depth/camera_info "
        "/{}/zed_node/rgb/color/rect/image /{}/zed_node/rgb/color/rect/camera_info",
        "cameras:=left/zed_node,right/zed_node depth_topic:=depth/depth_registered "
        "camera_info_topic:=depth/camera_info",
    ),
}
"""Topics of two cameras as the drivers of docs/cameras.md name them, and the arguments of the launch file."""


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_command_that_serves_the_cameras_of_a_driver(driver: str) -> None:
    topics, arguments = DRIVERS[driver]
    lines = [
        f"{topic.format(camera)} [sensor_msgs/msg/{'CameraInfo' if topic.endswith('info') else 'Image'}]"
        for camera in ("left", "right")
        for topic in topics.split()
    ]
    lines.append("/left/lowres/depth/image_raw [sensor_msgs/msg/Image]")  # of a gateway that runs already
    lines.append("/left/lowres/camera_info [sensor_msgs/msg/CameraInfo]")
    (launch,) = [found.said for found in look_at_topics(lines) if found.what == "launch"]
    assert launch == f"ros2 launch orpose_ros or_pose.launch.py {arguments}"


def test_cameras_that_one_launch_cannot_serve() -> None:
    lines = [
        f"/{name} [sensor_msgs/msg/{'CameraInfo' if name.endswith('info') else 'Image'}]"
        for name in (
            "a/depth/image_raw",
            "a/depth/camera_info",
            "b/depth/image_rect_raw",
            "b/depth/camera_info",
        )
    ]
    (launch,) = [found for found in look_at_topics(lines) if found.what == "launch"]
    assert launch.state == "note" and "differently" in launch.said


def test_compressed_depth_needs_an_argument() -> None:
    lines = [
        "/a/depth/image_raw/compressedDepth [sensor_msgs/msg/CompressedImage]",
        "/a/camera_info [sensor_msgs/msg/CameraInfo]",
    ]
    (launch,) = [found for found in look_at_topics(lines) if found.what == "launch"]
    assert launch.said.endswith("cameras:=a compressed_depth:=true") and not launch.mend
