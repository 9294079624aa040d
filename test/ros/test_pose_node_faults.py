"""The pose node when things go wrong: it says what, counts it, keeps latency bounded, and never dies."""

from __future__ import annotations

import array
import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from orpose_core.data import image_messages
from orpose_core.engines import installed_backends
from orpose_core.types import Intrinsics
from orpose_ros import conversions
from orpose_ros.lowres_gateway import LowresGateway
from orpose_ros.skeleton_markers import SkeletonMarkers

CAMERA = Intrinsics(52.5, 52.0, 31.5, 23.5, 64, 48)
COLOR_MODEL = "untrained:depthpose_color_53x40@0.0625"
MakeBench = Callable[..., Any]


def header(stamp_s: float = 100, frame_id: str = "ceiling") -> Header:
    return Header(stamp=Time(sec=int(stamp_s), nanosec=round(stamp_s % 1 * 1e9)), frame_id=frame_id)


def image(fields: dict, **header_fields: Any) -> Image:
    data = array.array("B", fields.pop("data").tobytes())
    return Image(header=header(**header_fields), data=data, **fields)


def depth_message(
    size_hw: tuple[int, int] = (48, 64), value: float | None = None, **header_fields: Any
) -> Image:
    depth_m = np.linspace(2, 4, size_hw[0] * size_hw[1], dtype=np.float32).reshape(size_hw)
    if value is not None:
        depth_m = np.full(size_hw, value, np.float32)
    return image(image_messages.encode_depth(depth_m), **header_fields)


def color_message(size_hw: tuple[int, int] = (40, 53), **header_fields: Any) -> Image:
    return image(image_messages.encode_color(np.full((*size_hw, 3), 90, np.uint8)), **header_fields)


def positions(space: Any) -> np.ndarray:
    points = [k.position for p in space.skeletons for k in p.keypoints]
    return np.array([(p.x, p.y, p.z) for p in points])


def test_without_camera_info_there_is_2d_and_nothing_metric_and_its_silence_is_named(
    pose_bench: MakeBench, graph: Any
) -> None:
    bench = pose_bench(silence_s=0.5)
    flat, space = bench.send(depth_message())
    assert len(flat.skeletons) == len(space.skeletons) == 3
    assert np.isnan(positions(space)).all()
    graph.until(lambda: graph.said("lowres/camera_info: nothing for 0.5 s"), "its silence is named")
    bench.tell_camera(conversions.camera_info_message(CAMERA, header()))
    _, space = bench.send(depth_message(stamp_s=101))
    assert np.isfinite(positions(space)).any()


def test_camera_info_that_does_not_fit_the_image_is_refused_with_both_sizes_or_frames(
    pose_bench: MakeBench,
) -> None:
    bench = pose_bench()
    bench.tell_camera(conversions.camera_info_message(CAMERA.resized((60, 80)), header()))
    bench.refused(depth_message(), "the image is 64x48 but its intrinsics are for 80x60")
    bench.tell_camera(conversions.camera_info_message(CAMERA, header(frame_id="door")))
    bench.refused(depth_message(), "the camera_info is in frame 'door' but the depth image in 'ceiling'")
    uncalibrated = CameraInfo(header=header(), width=64, height=48)
    bench.tell_camera(uncalibrated)
    _, space = bench.send(depth_message())
    assert np.isnan(positions(space)).all()


def test_depth_and_color_of_another_size_or_frame_are_refused(pose_bench: MakeBench) -> None:
    bench = pose_bench(model=COLOR_MODEL, depth_with_color=True)
    bench.publish(depth_message((48, 64)), stream="depth")
    bench.refused(color_message((40, 53)), "color is 53x40 but depth is 64x48", stream="color")
    bench.publish(depth_message((40, 53), stamp_s=200, frame_id="door"), stream="depth")
    bench.refused(color_message(stamp_s=200), "the color image is in frame 'ceiling'", stream="color")
    bench.publish(depth_message((40, 53), stamp_s=300), stream="depth")
    bench.send(color_message(stamp_s=300), stream="color")


def test_color_and_depth_that_never_pair_are_named(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench(model=COLOR_MODEL, depth_with_color=True)
    for i in range(8):
        bench.publish(depth_message((40, 53), stamp_s=200 + i), stream="depth")
        bench.publish(color_message(stamp_s=200.5 + i), stream="color")
        graph.spin(0.05)
    status = bench.node.diagnostics.status()
    assert "do not pair" in status.message and not bench.flat[""]


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_depth_without_any_return_gives_an_empty_message(pose_bench: MakeBench, value: float) -> None:
    bench = pose_bench(keypoint_threshold=0.1)
    bench.tell_camera(conversions.camera_info_message(CAMERA, header()))
    flat, space = bench.send(depth_message(value=value, stamp_s=9))
    assert flat.skeletons == space.skeletons == []
    assert flat.header == space.header == header(9)


def test_bad_images_are_refused_and_the_next_one_is_served(pose_bench: MakeBench) -> None:
    bench = pose_bench()
    wrong = color_message((48, 64))
    bench.refused(wrong, "rgb8")
    short = depth_message()
    short.data = short.data[:-50]
    bench.refused(short, "bytes of data")
    bench.refused(depth_message((30, 40)), "reads images of at least 64x48")
    bench.refused(Image(header=header(), encoding="32FC1"), "positive size")
    bench.send(depth_message())


def test_one_cameras_bad_image_does_not_spoil_the_others_batch(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench(cameras=("left", "right"))
    for size in bench.node._worker.batch_sizes.values():
        size.limit = 2
    for _ in range(5):  # both wait while the worker is busy with the first
        bench.publish(depth_message((30, 40)), "left")
        bench.publish(depth_message(), "right")
    graph.until(lambda: bench.flat["right"], "the good camera is served")
    graph.until(lambda: bench.node.diagnostics.counts()["refused"], "the bad one is counted")
    assert not bench.flat["left"]


def test_a_topic_that_never_comes_is_named_after_five_seconds(pose_bench: MakeBench, graph: Any) -> None:
    started_s = time.monotonic()
    pose_bench(cameras=("left",))
    graph.until(lambda: graph.said("/left/lowres/depth/image_raw: nothing for 5 s"), "it is named")
    assert time.monotonic() - started_s > 4.0


def test_qos_that_does_not_fit_is_named(pose_bench: MakeBench, graph: Any) -> None:
    reliability = {"qos_overrides./lowres/depth/image_raw.subscription.reliability": "reliable"}
    bench = pose_bench(start=False, silence_s=0.5, **reliability)
    assert bench.node.start()
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = graph.publisher(Image, "lowres/depth/image_raw", best_effort)
    graph.until(lambda: graph.said("QoS does not fit"), "the QoS mismatch is named")
    publisher.publish(depth_message())
    graph.spin(0.2)
    assert not bench.flat[""]


def test_time_jumping_back_begins_new_tracks_and_late_images_are_left_out(
    pose_bench: MakeBench, graph: Any
) -> None:
    bench = pose_bench()
    first = {p.track_id for p in bench.send(depth_message(stamp_s=500))[0].skeletons}
    bench.publish(depth_message(stamp_s=499.9))  # late by less than a jump
    graph.until(lambda: bench.node.diagnostics.counts()["dropped"] == 1, "the late image is dropped")
    assert first == {p.track_id for p in bench.send(depth_message(stamp_s=500.1))[0].skeletons}
    assert not first & {p.track_id for p in bench.send(depth_message(stamp_s=3))[0].skeletons}


def test_a_camera_that_dies_and_comes_back(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench(silence_s=0.5)
    first = {p.track_id for p in bench.send(depth_message(stamp_s=10))[0].skeletons}
    graph.tester.destroy_publisher(bench.images.pop(("", "depth")))
    graph.until(lambda: graph.said("nobody publishes it"), "the dead camera is named")
    bench.images["", "depth"] = graph.publisher(Image, "lowres/depth/image_raw")
    graph.connected(bench.images["", "depth"])
    again = {p.track_id for p in bench.send(depth_message(stamp_s=60))[0].skeletons}
    assert graph.said("messages arrive (again)")
    assert not first & again, "after a minute nobody is the same"


def test_what_the_model_cannot_do_is_counted_and_the_node_lives(
    pose_bench: MakeBench, graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = pose_bench()
    estimate = bench.node.estimator.estimate

    def out_of_memory(frames: Any, flip_test: bool) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(bench.node.estimator, "estimate", out_of_memory)
    bench.refused(depth_message(), "RuntimeError: out of memory")
    monkeypatch.setattr(bench.node.estimator, "estimate", estimate)
    bench.send(depth_message(stamp_s=101))


@pytest.mark.parametrize("lanes", [1, 2])
def test_twice_the_load_it_can_serve_leaves_latency_bounded_and_counts_the_drops(
    pose_bench: MakeBench, graph: Any, lanes: int
) -> None:
    bench = pose_bench(
        cameras=("left", "right"),
        model="untrained:depthpose_64x48@0.0625",
        flip_test="always",
        threads=2,
        lanes=lanes,
    )
    assert bench.node.estimator.lanes == (lanes if "openvino" in installed_backends() else 1)
    serve_s = []  # how long both take
    for i in range(6):
        started_s = time.monotonic()
        bench.publish(depth_message(stamp_s=1 + i), "left")
        bench.send(depth_message(stamp_s=1 + i), "right")
        graph.until(lambda i=i: len(bench.flat["left"]) > i, "the other camera is served")
        serve_s.append(time.monotonic() - started_s)
    batch_s = float(np.median(serve_s[1:]))
    counts = bench.node.diagnostics.counts
    graph.until(lambda: counts()["frames"] == 12, "a frame counts right after its skeletons are published")
    before, count = counts(), 24
    sent_s: dict[tuple[str, int], float] = {}

    def publish() -> None:
        for i in range(count):
            for camera in ("left", "right"):
                sent_s[camera, 100 + i] = time.monotonic()
                bench.publish(depth_message(stamp_s=100 + i), camera)
            time.sleep(batch_s / 2)

    latencies: list[float] = []
    seen = {camera: len(bench.flat[camera]) for camera in bench.flat}
    thread = threading.Thread(target=publish)
    thread.start()
    quiet_s = time.monotonic()
    while thread.is_alive() or time.monotonic() - quiet_s < 3 * batch_s + 0.5:
        graph.spin(0.005)
        for camera, messages in bench.flat.items():
            stamps = [message.header.stamp.sec for message in messages[seen[camera] :]]
            latencies += [time.monotonic() - sent_s[camera, stamp] for stamp in stamps]
            seen[camera] = len(messages)
            quiet_s = time.monotonic() if stamps else quiet_s
    thread.join()
    after = counts()
    served, dropped = after["frames"] - before["frames"], after["dropped"] - before["dropped"]
    assert dropped > 0 and served > 0
    assert served + dropped == 2 * count, "every image that was sent was served or is counted as dropped"
    # A queue would grow by half a batch per image: 12 batches at the end. Here one waits while one is served.
    assert np.median(latencies) < 5 * batch_s + 0.1
    assert max(latencies[-5:]) < 6 * batch_s + 0.3


def test_an_executor_that_was_busy_finds_the_newest_image(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench()
    bench.send(depth_message())
    for k in range(6):  # nobody spins: they wait in the middleware
        bench.publish(depth_message(stamp_s=200 + k))
    time.sleep(0.5)
    graph.until(lambda: len(bench.flat[""]) > 1, "one is served")
    assert bench.node.watch.messages("lowres/depth/image_raw") == 2, "none of the older ones is taken"
    assert bench.flat[""][1].header.stamp.sec == 205
    counts = bench.node.diagnostics.counts()
    assert (counts["frames"], counts["dropped"]) == (2, 5)


def large_things_alive(pixels: int) -> set[str]:
    """Images and arrays of at least so many pixels that Python still holds."""

    def is_large(thing: Any) -> bool:
        if type(thing) is Image:
            return thing.height * thing.width >= pixels
        return type(thing) is np.ndarray and thing.ndim <= 3 and pixels <= thing.size <= 4 * pixels

    gc.collect()
    return {f"{type(thing).__name__} {id(thing)}" for thing in gc.get_objects() if is_large(thing)}


def test_no_node_publishes_logs_or_keeps_an_image_above_the_limit(
    pose_bench: MakeBench, graph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole graph sees full resolution; what leaves and what stays is small."""
    monkeypatch.chdir(tmp_path)
    size_hw, limit = (481, 643), 4800
    graph.make(LowresGateway, color=True)
    graph.make(SkeletonMarkers)
    bench = pose_bench()
    depth, color = graph.publisher(Image, "depth/image_raw"), graph.publisher(Image, "color/image_raw")
    graph.connected(depth, color)
    topics = [t for t, kinds in graph.tester.get_topic_names_and_types() if "sensor_msgs/msg/Image" in kinds]
    outputs = [t for t in topics if t not in ("/depth/image_raw", "/color/image_raw")]
    assert outputs == ["/lowres/color/image_raw", "/lowres/depth/image_raw"]
    images = {t: graph.collect(Image, t) for t in outputs}
    markers = graph.collect(MarkerArray, "skeleton_markers", 10)
    before = large_things_alive(size_hw[0] * size_hw[1])
    for i in range(3):
        depth.publish(depth_message(size_hw, stamp_s=100 + i))
        color.publish(color_message(size_hw, stamp_s=100 + i))
        graph.until(lambda i=i: len(bench.flat[""]) > i and len(markers) > i, "skeletons and markers")
    assert all(len(messages) == 3 for messages in images.values())
    assert all(m.height * m.width <= limit for messages in images.values() for m in messages)
    # Straight to the pose node, past the gateway.
    bench.refused(depth_message(size_hw, stamp_s=200), "at most 4800 px, got 643x481")
    for messages in images.values():  # the tester hears what it sent there itself
        messages.clear()
    assert large_things_alive(size_hw[0] * size_hw[1]) <= before
    assert max(len(line) for line in graph.said()) < 500, "no log line could hold a picture"
    assert list(tmp_path.rglob("*")) == [], "nothing is stored"
    other = {k for _, kinds in graph.tester.get_topic_names_and_types() for k in kinds if "sensor_msgs" in k}
    assert other <= {"sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"}


def test_a_stamp_that_no_message_can_hold_costs_that_frame_alone(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench(cameras=("left", "right"))
    for size in bench.node._worker.batch_sizes.values():
        size.limit = 2
    publish, camera = bench.node._cameras["left"].publish, bench.node._cameras["left"]

    def fails(*arguments: Any) -> None:
        raise AssertionError("The 'sec' field must be in [-2147483648, 2147483647]")

    camera.publish = fails
    for _ in range(5):
        bench.publish(depth_message(stamp_s=2**31 - 1), "left")
        bench.publish(depth_message(), "right")
    graph.until(lambda: bench.flat["right"], "the good camera is served")
    graph.until(lambda: graph.said("left: frame refused: AssertionError"), "the bad one is told")
    camera.publish = publish
    bench.send(depth_message(stamp_s=200), "left")


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_skeletons_of_a_rotated_camera_are_in_its_own_image(
    pose_bench: MakeBench, graph: Any, rotation: int
) -> None:
    bench = pose_bench(rotation=[rotation])
    camera = conversions.camera_info_message(CAMERA, header())
    bench.tell_camera(camera)
    flat, space = bench.send(depth_message())
    assert (flat.image_width, flat.image_height) == (64, 48)
    points = np.array([(k.x, k.y) for s in flat.skeletons for k in s.keypoints])
    known = np.isfinite(points).all(axis=-1)
    xyz_m = positions(space)
    placed = np.isfinite(xyz_m).all(axis=-1)
    assert placed.sum() > 3
    # In space each joint lies on the ray through its px of the camera's own image.
    xy = xyz_m[placed, :2] / xyz_m[placed, 2:] * [CAMERA.fx, CAMERA.fy] + [CAMERA.cx, CAMERA.cy]
    np.testing.assert_allclose(xy, points[placed], atol=1e-2)
    assert known.sum() >= placed.sum()


def test_what_lets_people_be_recognised_is_said_loudly(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench(strict=False)
    graph.until(lambda: graph.said("PRIVACY: strict is off"), "it is said at the start")
    status = bench.node.diagnostics.status()
    assert status.level == b"\x01" and "strict is off" in status.message
    assert {pair.key: pair.value for pair in status.values}["limit (px)"] == "none"
    large = pose_bench(max_pixels=19200, start=False)
    assert large.node.trigger_configure().name == "SUCCESS"
    graph.until(lambda: graph.said("PRIVACY: max_pixels is 19200"), "so is a larger limit")
    assert "more than 4800 px" in large.node.diagnostics.status().message


def test_depth_in_a_wrong_unit_is_named(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench(depth_unit_m=0.00001)
    millimetres = image(image_messages.encode_depth(np.full((48, 64), 3.0, np.float32), "16UC1"))
    for k in range(12):
        millimetres.header = header(100 + k)
        bench.send(millimetres)
    assert "the median depth is 0.03 m" in bench.node.diagnostics.status().message


def test_a_camera_info_of_a_lens_that_distorts_is_refused_by_name(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench()
    bench.tell_camera(conversions.camera_info_message(CAMERA, header()))
    _, space = bench.send(depth_message())
    assert np.isfinite(positions(space)).any()
    info = conversions.camera_info_message(CAMERA, header())
    info.d = [0.1, 0.0, 0.0, 0.0, 0.0]
    bench.tell_camera(info)
    _, space = bench.send(depth_message(stamp_s=101))
    assert np.isnan(positions(space)).all(), "the camera_info before is not used in silence"
    message = bench.node.diagnostics.status().message
    assert "the lens distorts (plumb_bob)" in message and "no camera_info that can be used" in message


def test_latency_counts_from_when_an_image_came_to_this_machine(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench()
    bench.send(depth_message())
    bench.publish(depth_message(stamp_s=101))
    time.sleep(3.0)  # nobody spins: it waits in the middleware, where it may arrive late on a busy machine
    graph.until(lambda: len(bench.flat[""]) == 2, "it is served")
    values = {pair.key: pair.value for pair in bench.node.diagnostics.status().values}
    assert float(values["latency, maximum (ms)"]) > 1000
