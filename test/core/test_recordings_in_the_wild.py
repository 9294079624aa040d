"""Recordings as people have them: names, formats, cameras, parts and leftovers of every kind."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from orpose_core.data.recordings.bag_files import zstd
from orpose_core.data.recordings.camera_files import read_camera
from orpose_core.data.recordings.natural_order import natural_key
from orpose_core.data.recordings.opening import open_recording
from orpose_core.files import mark_own_output, write_depth, write_picture
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.writers.bags import write_bag
from orpose_core.types import Intrinsics

CAMERA = Intrinsics(52.5, 52.5, 31.5, 23.5, 64, 48)
STREAM = StreamConfig("or", (48, 64), "rgbd", seed=4, frames_per_sequence=6, rate_hz=10)
K = [52.5, 0.0, 31.5, 0.0, 52.5, 23.5, 0.0, 0.0, 1.0]


def color(path: Path, value: int = 90, size_hw: tuple[int, int] = (48, 64)) -> None:
    write_picture(path, np.full((*size_hw, 3), value, np.uint8))


def depth(path: Path, metres: float = 2.0) -> None:
    write_depth(path, np.full((48, 64), metres, np.float32))


def encoded(path: Path, image: np.ndarray) -> None:
    """Write by OpenCV whatever the ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, image)
    assert done
    path.write_bytes(data.tobytes())


def read(path: Path, modality: str = "depth") -> tuple[list, str]:
    with open_recording(path, modality) as recording:
        frames = list(recording.frames())
        return frames, "\n".join([*recording.taken, *recording.skipped.sentences()])


@given(st.lists(st.integers(0, 10**12), unique=True), st.booleans())
def test_numbers_in_names_count_by_value(numbers: list[int], padded: bool) -> None:
    names = [f"rec/{n:0{7 if padded else 1}d}_depth.png" for n in numbers]
    assert sorted(names, key=natural_key) == [names[numbers.index(n)] for n in sorted(numbers)]


@given(st.lists(st.text("a1/_", max_size=5), max_size=6))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    backwards = sorted(names, key=natural_key, reverse=True)
    assert [natural_key(n) for n in reversed(backwards)] == sorted(map(natural_key, names))


def test_files_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for k in (1, 2, 10, 11, 100):
        depth(tmp_path / f"{k}.png", k / 10)
        depth(tmp_path / f"rec_{k}" / "x.png", k / 10)
    frames, _ = read(tmp_path)
    values = [round(float(f.frame.depth_m[0, 0]) * 10) for f in frames]
    assert values == [1, 2, 10, 11, 100] * 2
    assert [f.name for f in frames[5:]] == ["rec_1_x", "rec_2_x", "rec_10_x", "rec_11_x", "rec_100_x"]


# Cameras


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("camera_info.json", vars(CAMERA)),
        ("intrinsics.json", {"K": K, "width": 64, "height": 48}),
        (
            "camera_info.yaml",
            {"k": K, "width": 64, "height": 48, "d": [0.0] * 5, "header": {}},
        ),
        ("camera_info.yml", {"K": [K[:3], K[3:6], K[6:]], "image_width": 64, "image_height": 48}),
        (
            "ost.yaml",
            {"image_width": 64, "image_height": 48, "camera_matrix": {"rows": 3, "cols": 3, "data": K}},
        ),
    ],
)
def test_camera_files_as_ros_tools_write_them(tmp_path: Path, name: str, content: dict) -> None:
    depth(tmp_path / "cam" / "1_depth.png")
    text = json.dumps(content) if name.endswith("json") else yaml.safe_dump(content) + "---\n"
    (tmp_path / name).write_text(text)
    frames, said = read(tmp_path)
    assert frames[0].frame.intrinsics == CAMERA and "distortion" not in said


def test_distortion_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    depth(tmp_path / "1_depth.png")
    content = {"K": K, "width": 64, "height": 48, "distortion_coefficients": {"data": [0.1, 0, 0, 0, 0]}}
    (tmp_path / "camera_info.yaml").write_text(yaml.safe_dump(content))
    assert "its distortion: images are taken as rectified" in read(tmp_path)[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected an object|expected YAML"),
        ("[1, 2]", "expected an object with fx"),
        ("a: [1", "expected YAML, but it is damaged"),
        ("{width: 64}", "expected a whole number of 64 bits as 'height', got null"),
        ("{width: 64, height: 48}", "expected fx, fy, cx, cy"),
        ("{width: 64, height: 48, K: [1, 2]}", "expected 9 numbers as 'K', got 2"),
        ("{width: 64, height: 48, K: [0, 0, 0, 0, 0, 0, 0, 0, 0]}", "expected a calibrated camera"),
        ("{width: 64, height: 48, K: {data: x}}", "expected 9 numbers as 'K', got 'x'"),
        ("{width: 64, height: 48, fx: 1, fy: .nan, cx: 1, cy: 1}", "expected finite numbers"),
    ],
)
def test_broken_camera_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "camera_info.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"camera_info\.yaml: ({message})"):
        read_camera(path)


# Color and depth


def test_what_is_neither_color_nor_depth_is_left_out_by_name(tmp_path: Path) -> None:
    for k in range(3):
        color(tmp_path / "color" / f"{k}.jpg")
        depth(tmp_path / "depth" / f"{k}.png")
        depth(tmp_path / "ir" / f"{k}.png", 0.3)
        depth(tmp_path / "infra1" / f"{k}.png", 0.3)
        depth(tmp_path / "masks" / f"{k}.png", 0.3)
    color(tmp_path / "depth_colored.png")
    frames, said = read(tmp_path, "rgbd")
    assert [float(f.frame.depth_m[0, 0]) for f in frames] == [2.0] * 3
    assert "color: 3 images (jpg), such as color/0.jpg" in said
    assert "depth: 3 images (png), such as depth/0.png (depth of 16 bits, mm)" in said
    assert "infra1/0.png: not read: infrared (6 such files)" in said
    assert "masks/0.png: not read: a mask (3 such files)" in said
    assert "depth_colored.png: not read: called depth, but it is a picture" in said


def test_a_mask_does_not_replace_the_image_it_lies_beside(tmp_path: Path) -> None:
    for k in range(2):
        color(tmp_path / f"{k}.jpg", 90)
        encoded(tmp_path / f"{k}.png", np.full((48, 64), 255, np.uint8))
    frames, said = read(tmp_path, "color")
    assert len(frames) == 2 and all(abs(int(f.frame.rgb.mean()) - 90) < 3 for f in frames)
    assert "0.png: not read: a gray image, such as a mask, beside 0.jpg" in said


def test_two_color_images_of_one_name_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    color(tmp_path / "1.jpg")
    color(tmp_path / "1.png", 10)
    assert "1.png: not read: another color image beside 1.jpg" in read(tmp_path, "color")[1]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("1.tif", np.full((48, 64), 2000, np.uint16)),
        ("1.tiff", np.full((48, 64), 2.0, np.float32)),
        ("1.exr", np.full((48, 64), 2.0, np.float32)),
        ("1_depth.png", np.full((48, 64), 2000, np.uint16)),
    ],
)
def test_depth_in_other_formats(tmp_path: Path, name: str, image: np.ndarray) -> None:
    image[0, 0] = 0
    encoded(tmp_path / name, image)
    frames, _ = read(tmp_path)
    assert np.isnan(frames[0].frame.depth_m[0, 0])
    assert (frames[0].frame.depth_m.ravel()[1:] == 2.0).all()


@pytest.mark.parametrize("ending", [".webp", ".tif", ".bmp", ".JPG"])
def test_color_in_other_formats(tmp_path: Path, ending: str) -> None:
    encoded(tmp_path / f"1{ending}", np.full((48, 64, 3), 90, np.uint8))
    assert abs(int(read(tmp_path, "color")[0][0].frame.rgb.mean()) - 90) < 3


def test_a_single_file_that_is_no_depth_says_what_it_is(tmp_path: Path) -> None:
    depth(tmp_path / "ir" / "1.png")
    with pytest.raises(ValueError, match=r"ir_1\.png: expected depth images .*, got infrared"):
        (tmp_path / "ir_1.png").write_bytes((tmp_path / "ir" / "1.png").read_bytes())
        open_recording(tmp_path / "ir_1.png")


def test_depth_of_another_optical_frame_does_not_join_color(tmp_path: Path) -> None:
    from orpose_core.data.image_messages import encode_color, encode_depth
    from orpose_core.data.recordings.camera_streams import CameraStream, CameraTopics
    from orpose_core.data.recordings.recording import SkipLog

    def message(frame_id: str, fields: dict) -> SimpleNamespace:
        header = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0), frame_id=frame_id)
        return SimpleNamespace(header=header, **fields)

    rgb, depth_m = np.zeros((48, 64, 3), np.uint8), np.ones((48, 64), np.float32)
    for frame_id, joined in (("rgb_optical", True), ("/rgb_optical", True), ("depth_optical", False)):
        log = SkipLog()
        stream = CameraStream(CameraTopics("/c", "/c/rgb", "/c/depth"), "color", 10**7, log)
        found = [
            *stream.take("/c/rgb", 10**9, message("rgb_optical", encode_color(rgb))),
            *stream.take("/c/depth", 10**9, message(frame_id, encode_depth(depth_m))),
            *stream.settle(finished=True),
        ]
        assert len(found) == 1 and (found[0].frame.depth_m is not None) == joined
        assert joined or "depth is in frame 'depth_optical' and not registered to color" in log.sentences()[0]


# Own output


def test_own_output_is_never_input(tmp_path: Path) -> None:
    color(tmp_path / "1.png")
    mark_own_output(tmp_path / "results" / "overlays", "estimate")
    color(tmp_path / "results" / "overlays" / "1.png")
    color(tmp_path / ".hidden" / "1.png")
    color(tmp_path / "._1.png")
    frames, said = read(tmp_path, "color")
    assert [f.name for f in frames] == ["1"]
    assert "results/overlays: output of an earlier run of orpose" in said


def test_two_names_never_share_a_file(tmp_path: Path) -> None:
    for name in ("a/b_1.png", "a_b/1.png", "a_b_1.png", "a_b_1~2.png"):
        color(tmp_path / name)
    frames, _ = read(tmp_path, "color")
    assert len({f.name for f in frames}) == 4


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    color(tmp_path / "1.png")
    (tmp_path / "1.png").rename(tmp_path / os.fsdecode(b"\xff1.png"))
    assert len(read(tmp_path, "color")[0]) == 1


# Bags


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(STREAM, 6, tmp_path_factory.mktemp("recording") / "bag")


def copied(bag: Path, target: Path, storage: StoragePlugin, mode: CompressionMode, parts: int = 1) -> Path:
    """Write the messages of a bag again, as several bags."""
    from rosbags.highlevel import AnyReader

    with AnyReader([bag]) as reader:
        messages = [m for m in reader.messages() if m[0].topic.endswith(("depth/image_raw", "camera_info"))]
        size = -(-len(messages) // parts)
        for k in range(parts):
            folder = target if parts == 1 else target / f"rec_{k + 8}"
            folder.parent.mkdir(parents=True, exist_ok=True)
            writer = Writer(folder, version=9, storage_plugin=storage)
            if mode != CompressionMode.NONE:
                writer.set_compression(mode, CompressionFormat.ZSTD)
            with writer:
                connections = {}
                for connection, stamp_ns, raw in messages[k * size : (k + 1) * size]:
                    if connection.topic not in connections:
                        connections[connection.topic] = writer.add_connection(
                            connection.topic, connection.msgtype, typestore=reader.typestore
                        )
                    writer.write(connections[connection.topic], stamp_ns, raw)
    return target


def stamps(path: Path) -> tuple[list[int], str]:
    frames, said = read(path)
    return [f.frame.stamp_ns for f in frames], said


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("mode", [CompressionMode.NONE, CompressionMode.FILE, CompressionMode.MESSAGE])
def test_bags_with_and_without_metadata(
    bag: Path, tmp_path: Path, storage: StoragePlugin, mode: CompressionMode
) -> None:
    wanted, _ = stamps(bag)
    assert len(wanted) == 6
    path = copied(bag, tmp_path / "bag", storage, mode)
    assert stamps(path)[0] == wanted
    (path / "metadata.yaml").unlink()
    found, said = stamps(path)
    assert found == wanted and "without its index" not in said
    (file,) = path.iterdir()
    assert stamps(file)[0] == wanted


def test_a_bare_compressed_file_and_endings_in_capitals(bag: Path, tmp_path: Path) -> None:
    wanted, _ = stamps(bag)
    file = next(bag.glob("*.mcap"))
    shutil.copy(file, tmp_path / "A.MCAP")
    (tmp_path / "b.mcap.zstd").write_bytes(zstd.compress(file.read_bytes()))
    for name in ("A.MCAP", "b.mcap.zstd"):
        found, said = stamps(tmp_path / name)
        assert found == wanted and "without its index" not in said


def test_a_folder_of_bags_is_one_recording_in_the_order_of_time(bag: Path, tmp_path: Path) -> None:
    wanted, _ = stamps(bag)
    path = copied(bag, tmp_path / "bags", StoragePlugin.MCAP, CompressionMode.NONE, parts=3)
    found, said = stamps(path)
    assert found == wanted and "jumps back" not in said
    (path / "rec_8").rename(path / "rec_99")  # its messages are the first, whatever its name says
    assert stamps(path)[0] == wanted


def test_parts_without_metadata_follow_each_other_in_time(bag: Path, tmp_path: Path) -> None:
    wanted, _ = stamps(bag)
    path = copied(bag, tmp_path / "bags", StoragePlugin.MCAP, CompressionMode.NONE, parts=3)
    flat = tmp_path / "flat"
    flat.mkdir()
    for k, part in enumerate(sorted(path.rglob("*.mcap"), key=natural_key)):
        part.rename(flat / f"rec_{(10, 1, 2)[k]}.mcap")
    found, said = stamps(flat)
    assert found == wanted and "without its index" not in said and "jumps back" not in said


def test_only_the_damaged_part_is_reported(bag: Path, tmp_path: Path) -> None:
    path = copied(bag, tmp_path / "bags", StoragePlugin.MCAP, CompressionMode.NONE, parts=2)
    first, second = sorted(path.rglob("*.mcap"), key=natural_key)
    second.write_bytes(second.read_bytes()[:-300])
    flat = tmp_path / "flat"
    flat.mkdir()
    for part in (first, second):
        part.rename(flat / part.name)
    found, said = stamps(flat)
    assert len(found) >= 3
    assert said.count("read without its index") == 1 and f"{second.name}: read without" in said


def test_images_that_are_counted_and_not_found_are_reported(tmp_path: Path) -> None:
    (path,) = write_bag(STREAM, 6, tmp_path / "bag", "mcap").glob("*.mcap")
    with Reader(path) as reader:
        (channel,) = (c.id for c in reader.connections if c.topic == "/camera_1/color/image_raw")
    content = path.read_bytes()
    message = re.compile(
        rb"\x05..\0{6}" + channel.to_bytes(2, "little"), re.DOTALL
    )  # a record of one: type, size
    path.write_bytes(message.sub(lambda m: m[0][:9] + b"\0\0", content, count=1))
    with open_recording(path, "color") as recording:
        assert len(list(recording.frames())) == 5
        (said,) = recording.skipped.sentences()
    assert "/camera_1/color/image_raw: 5 of 6 images are found" in said


def test_an_unrelated_metadata_file_makes_no_bag(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("patient: none\n")
    depth(tmp_path / "1.png")
    assert len(read(tmp_path)[0]) == 1


def test_images_beside_a_bag_are_images(bag: Path, tmp_path: Path) -> None:
    depth(tmp_path / "1.png")
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG")
    shutil.copytree(bag, tmp_path / "bag")
    assert len(read(tmp_path)[0]) == 1


def test_the_camera_info_beside_a_named_depth_topic_is_used(bag: Path) -> None:
    with open_recording(bag, topics={"depth": "/camera_1/depth/image_raw"}) as recording:
        assert all(f.frame.intrinsics is not None for f in recording.frames())
        assert recording.taken == (
            "camera /camera_1: depth /camera_1/depth/image_raw, camera_info /camera_1/camera_info",
        )


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, 1e300])
def test_tolerances_that_make_no_sense_are_refused(bag: Path, value: float) -> None:
    with pytest.raises(ValueError, match=r"tolerance_s: expected 0 to 3600 s"):
        open_recording(bag, tolerance_s=value)


# Videos


def test_videos_are_color(tmp_path: Path) -> None:
    path = tmp_path / "ward.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for k in range(5):
        writer.write(np.full((48, 64, 3), 40 * k, np.uint8))
    writer.release()
    frames, said = read(path, "color")
    assert [round(int(f.frame.rgb.mean()) / 40) for f in frames] == [0, 1, 2, 3, 4]
    assert [f.frame.stamp_ns for f in frames] == [1, 10**8, 2 * 10**8, 3 * 10**8, 4 * 10**8]
    assert "ward.avi, 10 frames a second" in said and frames[3].name == "ward_000003"
    with pytest.raises(ValueError, match="a video has no depth"):
        open_recording(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"ward\.avi: expected a video"):
        open_recording(path, "color")


@pytest.mark.parametrize("name", ["a.svo", "a.mkv", "a.oni"])
def test_recordings_that_are_not_readable_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"{name}: not readable: "):
        open_recording(tmp_path / name, "color")
