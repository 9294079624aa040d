"""Recordings to frames: bags of both storages, several cameras, gaps, jumps and damage; folders of images."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from orpose_core.data.image_messages import encode_color, encode_depth, encode_intrinsics
from orpose_core.data.recordings.bags import BagRecording, discover_cameras
from orpose_core.data.recordings.image_folders import ImageRecording
from orpose_core.data.recordings.opening import open_recording
from orpose_core.data.recordings.recording import SkipLog
from orpose_core.fusion.calibration.sightings import read_sightings
from orpose_core.types import Intrinsics

_CAMERA = Intrinsics(52.5, 52.0, 31.5, 23.5, 64, 48)
_STORE = get_typestore(Stores.ROS2_JAZZY)
_T0 = 1_700_000_000_000_000_000
_STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]


def _type(name):
    return _STORE.types[name]


def _header(stamp_ns):
    stamp = _type("builtin_interfaces/msg/Time")(int(stamp_ns // 10**9), int(stamp_ns % 10**9))
    return _type("std_msgs/msg/Header")(stamp, "optical")


def _image(fields, stamp_ns):
    return _type("sensor_msgs/msg/Image")(header=_header(stamp_ns), **fields)


def _info(camera, stamp_ns):
    roi = _type("sensor_msgs/msg/RegionOfInterest")(0, 0, 0, 0, False)
    return _type("sensor_msgs/msg/CameraInfo")(
        header=_header(stamp_ns), binning_x=0, binning_y=0, roi=roi, **encode_intrinsics(camera)
    )


def _depth(value, size_hw=(48, 64)):
    return np.full(size_hw, value, np.float32)


def _rgb(value):
    return np.full((48, 64, 3), value, np.uint8)


def _write(path, messages, storage=StoragePlugin.MCAP):
    """Write (topic, log time, message) in order."""
    with Writer(path, version=9, storage_plugin=storage) as bag:
        connections = {}
        for topic, log_ns, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, kind, typestore=_STORE)
            bag.write(connections[topic], log_ns, bytes(_STORE.serialize_cdr(message, kind)))
    return path


def _rgbd_messages(count=5, camera="/cam", lag_ns=10_000_000, start=0):
    """Depth of k+1 metres and color of grey k at stamp k/10 s, color a little later."""
    out = []
    for k in range(count):
        t = _T0 + (start + k) * 100_000_000
        out.append((f"{camera}/depth_registered/image", t, _image(encode_depth(_depth(k + 1.0)), t)))
        out.append((f"{camera}/rgb/camera_info", t + 1, _info(_CAMERA, t)))
        late = t + lag_ns
        out.append((f"{camera}/rgb/image_raw", late, _image(encode_color(_rgb(k)), late)))
    return out


def _frames(path, modality="depth", **options):
    with BagRecording(path, modality, **options) as bag:
        return list(bag.frames()), bag


@pytest.mark.parametrize("storage", _STORAGES)
def test_depth_comes_with_stamp_frame_and_camera(tmp_path, storage):
    path = _write(tmp_path / "bag", _rgbd_messages(), storage)
    frames, bag = _frames(path)
    assert [f.frame.depth_m[0, 0] for f in frames] == [1, 2, 3, 4, 5]
    assert [f.frame.stamp_ns for f in frames] == [_T0 + k * 100_000_000 for k in range(5)]
    assert {f.frame.frame_id for f in frames} == {"optical"}
    assert all(f.frame.intrinsics == _CAMERA and f.frame.rgb is None for f in frames)
    assert len({f.name for f in frames}) == 5
    assert len(bag.skipped) == 0


@pytest.mark.parametrize("storage", _STORAGES)
def test_color_and_depth_are_paired_by_stamp(tmp_path, storage):
    path = _write(tmp_path / "bag", _rgbd_messages(), storage)
    frames, bag = _frames(path, "rgbd", tolerance_s=0.02)
    assert [(f.frame.rgb[0, 0, 0], f.frame.depth_m[0, 0]) for f in frames] == [(k, k + 1) for k in range(5)]
    assert bag.frame_count() == 5 and len(bag.skipped) == 0


def test_depth_that_is_recorded_after_its_color_is_paired_too(tmp_path):
    messages = _rgbd_messages(lag_ns=-10_000_000)
    late = [(t, log + (250_000_000 if "depth" in t else 0), m) for t, log, m in messages]
    path = _write(tmp_path / "bag", sorted(late, key=lambda m: m[1]))
    frames, _ = _frames(path, "rgbd")
    assert [(f.frame.rgb[0, 0, 0], f.frame.depth_m[0, 0]) for f in frames] == [(k, k + 1) for k in range(5)]


def test_a_missing_partner_is_reported_and_only_rgbd_drops_the_frame(tmp_path):
    messages = [m for m in _rgbd_messages() if not (m[0].endswith("/image") and m[1] == _T0 + 200_000_000)]
    path = _write(tmp_path / "bag", messages)
    both, bag = _frames(path, "rgbd")
    assert [f.frame.rgb[0, 0, 0] for f in both] == [0, 1, 3, 4]
    assert "no depth within 0.05 s" in bag.skipped.sentences()[0]
    color, _ = _frames(path, "color")
    assert [f.frame.depth_m is None for f in color] == [False, False, True, False, False]


def test_two_cameras_keep_apart(tmp_path):
    messages = _rgbd_messages(3, "/or/cam1") + _rgbd_messages(3, "/or/cam2")
    path = _write(tmp_path / "bag", sorted(messages, key=lambda m: m[1]))
    frames, bag = _frames(path, "rgbd")
    assert [c.name for c in bag.cameras] == ["/or/cam1", "/or/cam2"]
    for name in ("/or/cam1", "/or/cam2"):
        assert [f.frame.depth_m[0, 0] for f in frames if f.camera == name] == [1, 2, 3]
    assert len({f.name for f in frames}) == 6


def test_topics_may_be_named(tmp_path):
    path = _write(tmp_path / "bag", _rgbd_messages(2, "/a") + _rgbd_messages(3, "/b", start=9))
    topics = {"depth": "/b/depth_registered/image", "camera_info": "/b/rgb/camera_info"}
    frames, _ = _frames(path, topics=topics)
    assert len(frames) == 3
    with pytest.raises(ValueError, match="got no such topic; there are /a/depth_registered/image"):
        _frames(path, topics={"depth": "/c"})
    with pytest.raises(ValueError, match=r"of sensor_msgs/msg/Image or .*, got sensor_msgs/msg/CameraInfo"):
        _frames(path, topics={"depth": "/a/rgb/camera_info"})
    with pytest.raises(ValueError, match="expected depth, got no depth"):
        _frames(path, topics={"color": "/a/rgb/image_raw"})
    with pytest.raises(ValueError, match="got colour"):
        BagRecording(path, topics={"colour": "/a/rgb/image_raw"})


def test_cameras_are_found_by_the_names_that_drivers_use():
    image, compressed = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
    info = "sensor_msgs/msg/CameraInfo"
    realsense = [
        ("/camera/camera/color/image_raw", image),
        ("/camera/camera/color/image_raw/compressed", compressed),
        ("/camera/camera/color/camera_info", info),
        ("/camera/camera/depth/image_rect_raw", image),
        ("/camera/camera/depth/camera_info", info),
        ("/camera/camera/aligned_depth_to_color/image_raw", image),
        ("/camera/camera/aligned_depth_to_color/camera_info", info),
        ("/camera/camera/infra1/image_rect_raw", image),
        ("/tf", "tf2_msgs/msg/TFMessage"),
    ]
    (both,) = discover_cameras(realsense, "rgbd")
    assert both.color == "/camera/camera/color/image_raw"
    assert both.depth == "/camera/camera/aligned_depth_to_color/image_raw"
    assert both.camera_info == "/camera/camera/color/camera_info"
    (depth,) = discover_cameras(realsense, "depth")
    assert depth.camera_info == "/camera/camera/aligned_depth_to_color/camera_info"
    packed = [
        ("/camera/camera/color/image_raw/compressed", compressed),
        ("/camera/camera/depth/image_rect_raw", image),
        ("/camera/camera/aligned_depth_to_color/image_raw/compressed", compressed),
        ("/camera/camera/aligned_depth_to_color/image_raw/compressedDepth", compressed),
    ]
    (both,) = discover_cameras(packed, "rgbd")
    assert both.depth == "/camera/camera/aligned_depth_to_color/image_raw/compressedDepth"
    gateway = [
        ("/cam1/lowres/depth/image_raw", image),
        ("/cam1/lowres/camera_info", info),
        ("/cam1/color/image_raw/compressed", compressed),
    ]
    assert [(c.name, c.depth) for c in discover_cameras(gateway, "depth")] == [
        ("/cam1/lowres", "/cam1/lowres/depth/image_raw")
    ]
    assert [(c.name, c.color) for c in discover_cameras(gateway, "color")] == [
        ("/cam1", "/cam1/color/image_raw/compressed")
    ]
    assert discover_cameras([("/chatter", "std_msgs/msg/String")]) == ()


def test_a_topic_on_which_nothing_came_is_not_chosen(tmp_path):
    messages = _rgbd_messages()
    empty = "/cam/depth_to_rgb/image"  # as a recorder of all topics has it
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        connections = {}
        for topic in [empty, *(topic for topic, _, _ in messages)]:
            kind = "sensor_msgs/msg/CameraInfo" if topic.endswith("info") else "sensor_msgs/msg/Image"
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, kind, typestore=_STORE)
        for topic, log_ns, message in messages:
            bag.write(connections[topic], log_ns, bytes(_STORE.serialize_cdr(message, message.__msgtype__)))
    frames, recording = _frames(tmp_path / "bag", "rgbd")
    assert len(frames) == 5 and recording.cameras[0].depth == "/cam/depth_registered/image"


def test_a_bag_without_skeletons_is_refused_by_calibration_with_a_sentence(tmp_path):
    path = _write(tmp_path / "bag", _rgbd_messages())
    with pytest.raises(ValueError, match="expected skeletons on /a/"):
        read_sightings(path, ["a"])


def test_compressed_color_is_read_and_jpeg_depth_is_skipped_with_the_reason(tmp_path):
    kind = _type("sensor_msgs/msg/CompressedImage")
    jpeg = np.asarray(cv2.imencode(".jpg", _rgb(100))[1]).ravel()
    png = np.asarray(cv2.imencode(".png", np.full((48, 64), 1500, np.uint16))[1]).ravel()
    messages = [
        ("/a/color/image_raw/compressed", _T0, kind(_header(_T0), "rgb8; jpeg compressed bgr8", jpeg)),
        ("/a/depth/image_raw/compressed", _T0, kind(_header(_T0), "16UC1; jpeg compressed", jpeg)),
        ("/b/depth/image_raw/compressed", _T0, kind(_header(_T0), "16UC1; png compressed", png)),
    ]
    path = _write(tmp_path / "bag", messages)
    color, _ = _frames(path, "color")
    assert abs(int(color[0].frame.rgb.mean()) - 100) < 3
    depth, bag = _frames(path)
    assert [f.camera for f in depth] == ["/b"]
    assert depth[0].frame.depth_m[0, 0] == pytest.approx(1.5)
    assert any("JPEG changes depth" in s for s in bag.skipped.sentences())


def test_bad_messages_and_a_wrong_camera_info_are_reported_not_fatal(tmp_path):
    messages = _rgbd_messages(3)
    fields = encode_depth(_depth(9.0))
    fields["data"] = fields["data"][:100]
    messages.insert(3, ("/cam/depth_registered/image", _T0 + 50, _image(fields, _T0 + 50)))
    frames, bag = _frames(_write(tmp_path / "bag", messages))
    assert len(frames) == 3
    assert any("expected 12288 bytes of data, got 100" in s for s in bag.skipped.sentences())
    larger = Intrinsics(525, 525, 319.5, 239.5, 640, 480)
    wrong = [m for m in _rgbd_messages(2) if "info" not in m[0]] + [
        ("/cam/rgb/camera_info", _T0 + 10**9, _info(larger, _T0))
    ]
    frames, bag = _frames(_write(tmp_path / "wrong", wrong))
    assert [f.frame.intrinsics for f in frames] == [None, None]
    assert any("is for 640x480, the image is 64x48" in s for s in bag.skipped.sentences())


def test_time_jumping_back_is_reported_and_pairs_stay_right(tmp_path):
    late = _rgbd_messages(3, start=60)
    again = [
        (topic, log + 10**10, message) for topic, log, message in _rgbd_messages(3)
    ]  # stamped 6 s earlier
    frames, bag = _frames(_write(tmp_path / "bag", late + again), "rgbd")
    assert [(f.frame.rgb[0, 0, 0], f.frame.depth_m[0, 0]) for f in frames] == 2 * [(0, 1), (1, 2), (2, 3)]
    assert frames[3].frame.stamp_ns < frames[2].frame.stamp_ns
    assert any("time jumps back by 6" in s for s in bag.skipped.sentences())


def test_a_camera_without_camera_info_gives_frames_without_intrinsics(tmp_path):
    messages = [m for m in _rgbd_messages(2) if "info" not in m[0]]
    frames, bag = _frames(_write(tmp_path / "bag", messages))
    assert len(frames) == 2 and frames[0].frame.intrinsics is None
    assert any("no camera_info" in s for s in bag.skipped.sentences())


def test_the_camera_of_rectified_images_is_p(tmp_path):
    messages = _rgbd_messages()
    for topic, _, message in messages:
        if topic.endswith("camera_info"):
            message.p[0] = _CAMERA.fx - 4.0
    path = _write(tmp_path / "bag", messages)
    for rectified, fx in ((False, _CAMERA.fx), (True, _CAMERA.fx - 4.0)):
        with open_recording(path, rectified=rectified) as recording:
            assert {frame.frame.intrinsics.fx for frame in recording.frames()} == {fx}


def test_a_recording_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path):
    path = _write(tmp_path / "bag", _rgbd_messages(200))
    file = next(path.glob("*.mcap"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 6 // 10])
    (path / "metadata.yaml").unlink()  # a killed recorder writes none
    frames, bag = _frames(path)
    assert 20 <= len(frames) < 200
    assert [f.frame.depth_m[0, 0] for f in frames] == [k + 1 for k in range(len(frames))]
    assert any("without its index" in s for s in bag.skipped.sentences())


def test_what_is_no_bag_is_refused_with_a_sentence(tmp_path):
    for name, content in (
        ("a.mcap", b"nothing"),
        ("b.db3", b"nothing"),
        ("c.bag", b"nothing"),
        ("d.mcap", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="expected a bag"), open_recording(tmp_path / name):
            pass
    with pytest.raises(ValueError, match="nothing is there"):
        open_recording(tmp_path / "missing")
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(ValueError, match=r"expected a bag .* or an image"):
        open_recording(tmp_path / "note.txt")
    string = _type("std_msgs/msg/String")("hello")
    path = _write(tmp_path / "bag", [("/chatter", _T0, string)])
    with pytest.raises(ValueError, match="expected topics with depth images, got none"):
        _frames(path)


def test_memory_stays_flat(tmp_path):
    """Frames come while the bag is read: at no time is more than a handful of messages waiting."""
    path = _write(tmp_path / "bag", _rgbd_messages(150))
    with BagRecording(path, "rgbd") as bag:
        seen = 0
        original = bag._messages

        def counted(topics):
            nonlocal seen
            for message in original(topics):
                seen += 1
                yield message

        bag._messages = counted
        for k, _ in enumerate(bag.frames()):
            assert seen <= 3 * (k + 1) + 8


def _save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def _mm(value, size_hw=(48, 64)):
    return np.full(size_hw, value, np.uint16)


@pytest.mark.parametrize(
    ("color", "depth"),
    [
        ("a{}_color.png", "a{}_depth_mm16.png"),
        ("color/{}.png", "depth/{}.png"),
        ("cam1/rgb/{}.jpg", "cam1/depth/{}.png"),
        ("rgb_{}.png", "depth_{}.png"),
        ("{}.jpg", "{}.png"),
    ],
)
def test_folders_are_paired_by_name(tmp_path, color, depth):
    for k in range(3):
        _save(tmp_path / color.format(k), _rgb(50))
        _save(tmp_path / depth.format(k), _mm(1000 * (k + 1)))
    (tmp_path / "camera_info.json").write_text(json.dumps(vars(_CAMERA)))
    recording = open_recording(tmp_path, "rgbd")
    frames = list(recording.frames())
    assert [f.frame.depth_m[0, 0] for f in frames] == pytest.approx([1, 2, 3])
    assert all(f.frame.rgb.shape == (48, 64, 3) and f.frame.intrinsics == _CAMERA for f in frames)
    assert len({f.name for f in frames}) == 3 == recording.frame_count()


def test_one_image_brings_its_partner(tmp_path):
    _save(tmp_path / "a_color.png", _rgb(7))
    _save(tmp_path / "a_depth_mm16.png", _mm(2000))
    _save(tmp_path / "b_depth_mm16.png", _mm(3000))
    frames = list(open_recording(tmp_path / "a_depth_mm16.png").frames())
    assert len(frames) == 1 and frames[0].frame.depth_m[0, 0] == 2 and frames[0].frame.rgb is not None
    frames = list(open_recording(tmp_path / "b_depth_mm16.png").frames())
    assert frames[0].frame.rgb is None


def test_images_that_cannot_be_used_are_skipped_with_the_reason(tmp_path):
    _save(tmp_path / "a_depth.png", _mm(2000))
    (tmp_path / "b_depth.png").write_bytes(b"no image")
    _save(tmp_path / "c_depth.png", _rgb(3))
    _save(tmp_path / "d_color.png", _rgb(3))
    recording = ImageRecording(tmp_path)
    frames = list(recording.frames())
    assert [f.name for f in frames] == ["a"]
    said = " ".join(recording.skipped.sentences())
    assert "no depth image belongs to it" in said
    assert "no image" in said and "c_depth.png: not read: called depth, but it is a picture" in said
    with pytest.raises(ValueError, match="expected pairs"):
        ImageRecording(tmp_path, "rgbd")
    (tmp_path / "camera_info.json").write_text("{}")
    with pytest.raises(ValueError, match=r"camera_info\.json: expected a whole number .*'width'"):
        list(ImageRecording(tmp_path).frames())


def test_holes_in_an_image_are_nan(tmp_path):
    depth = _mm(1500)
    depth[3, 4] = 0
    _save(tmp_path / "x.png", depth)
    frame = next(iter(open_recording(tmp_path / "x.png").frames())).frame
    assert np.isnan(frame.depth_m[3, 4]) and frame.depth_m[0, 0] == pytest.approx(1.5)


def test_the_log_of_skips_counts_and_stays_small():
    log = SkipLog()
    for k in range(1000):
        log.add("/a", "too late", k)
        log.add("/a", f"reason {k}", k)
    assert len(log) == 2000 and len(log.entries) <= 52
    assert log.entries[0].count == 1000 and log.entries[0].first_stamp_ns == 0
    assert log.sentences()[0] == "/a: too late (1000 times)"


@pytest.mark.parametrize("name", ["rosbag2_mcap_hero", "rosbag2_sqlite3_hero", "2019-05-03-12-41-38.bag"])
def test_real_bags(realdata, name):
    with open_recording(realdata / "tue_rgbd" / name) as recording:
        frames = list(recording.frames())
        assert len(frames) == recording.frame_count() > 0
    for recorded in frames:
        assert recorded.frame.size_hw == (480, 640)
        assert recorded.frame.intrinsics.fx == pytest.approx(537.03, abs=0.01)
        assert recorded.frame.frame_id == "head_rgbd_sensor_rgb_frame"
        assert 0.5 < np.nanmedian(recorded.frame.depth_m) < 8


def test_real_folders(realdata):
    frames = list(open_recording(realdata / "or_color_53x40", "color").frames())
    assert len(frames) == 480 and frames[0].frame.size_hw == (40, 53)
    pairs = list(open_recording(realdata / "tue_rgbd", "rgbd").frames())
    assert len(pairs) == 5
