"""The pose node over real DDS: what comes out for what goes in."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from orpose_core.data import image_messages
from orpose_core.data.skeleton_messages import from_skeleton_info, from_skeletons
from orpose_core.engines import installed_backends
from orpose_core.skeleton import OPENPOSE18
from orpose_core.tracking import TrackState
from orpose_core.types import Intrinsics
from orpose_ros import conversions
from orpose_ros.msg import PoseModelInfo, Skeleton2DArray, SkeletonInfo
from orpose_ros.parameters.pose import PoseParameters

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CAMERA = Intrinsics(52.5, 52.0, 31.5, 23.5, 64, 48)
COLOR_MODEL = "untrained:depthpose_color_53x40@0.0625"
DONE = TransitionCallbackReturn.SUCCESS
MakeBench = Callable[..., Any]


def header(stamp_s: float = 100, frame_id: str = "ceiling") -> Header:
    return Header(stamp=Time(sec=int(stamp_s), nanosec=round(stamp_s % 1 * 1e9)), frame_id=frame_id)


def depth_picture(size_hw: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A floor with a box on it and a hole, in whole millimetres so that 16UC1 keeps it."""
    height, width = size_hw
    depth_mm = np.linspace(2000, 4000, height)[:, None] + np.linspace(0, 300, width)[None]
    depth_mm[height // 4 : height // 2, width // 4 : width // 2] = 1500
    depth_m = (np.rint(depth_mm) * 0.001).astype(np.float32)
    depth_m[-height // 4 :, -width // 4 :] = np.nan
    return depth_m


def color_picture(size_hw: tuple[int, int] = (40, 53)) -> np.ndarray:
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    return np.stack([4 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8)


def image(fields: dict, **header_fields: Any) -> Image:
    data = array.array("B", fields.pop("data").tobytes())
    return Image(header=header(**header_fields), data=data, **fields)


def depth_message(
    size_hw: tuple[int, int] = (48, 64), encoding: str = "32FC1", **header_fields: Any
) -> Image:
    return image(image_messages.encode_depth(depth_picture(size_hw), encoding), **header_fields)


def test_2d_and_3d_of_one_image_share_stamp_frame_and_ids(pose_bench: MakeBench) -> None:
    bench = pose_bench()
    bench.tell_camera(conversions.camera_info_message(CAMERA, header()))
    flat, space = bench.send(depth_message(stamp_s=7.25))
    assert flat.header == space.header == header(7.25)
    assert (flat.image_width, flat.image_height) == (64, 48)
    assert (flat.network_input_width, flat.network_input_height, flat.modality) == (64, 48, "depth")
    assert flat.skeleton_model == space.skeleton_model == "openpose18"
    assert len(flat.skeletons) == 3, "the random network sees people with thresholds of 0"
    assert [p.track_id for p in flat.skeletons] == [p.track_id for p in space.skeletons]
    poses = from_skeletons(flat, space)
    assert poses.xyz_cam_m is not None
    seen = np.isfinite(poses.xyz_cam_m).all(axis=-1)
    assert seen.any() and not (seen & (poses.scores == 0)).any()
    assert 1.0 < np.nanmedian(poses.xyz_cam_m[..., 2]) < 5.0
    assert space.kind == space.KIND_METRIC


def test_ids_last_and_become_confirmed(pose_bench: MakeBench) -> None:
    bench = pose_bench()
    ids, states = [], []
    for i in range(4):
        flat, _ = bench.send(depth_message(stamp_s=10 + 0.1 * i))
        ids.append([p.track_id for p in flat.skeletons])
        states.append({p.track_state for p in flat.skeletons})
    assert ids == [ids[0]] * 4 and len(set(ids[0])) == 3
    assert states[0] == {TrackState.TENTATIVE} and states[-1] == {TrackState.CONFIRMED}


def test_without_a_tracker_nobody_has_an_id(pose_bench: MakeBench) -> None:
    flat, space = pose_bench(track=False).send(depth_message())
    assert {p.track_id for p in flat.skeletons} == {p.track_id for p in space.skeletons} == {-1}
    assert {p.track_state for p in flat.skeletons} == {TrackState.UNTRACKED}


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
def test_every_depth_encoding_gives_the_same(pose_bench: MakeBench, encoding: str, big_endian: bool) -> None:
    bench = pose_bench()
    expected, _ = bench.send(depth_message(stamp_s=1))
    fields = image_messages.encode_depth(depth_picture(), encoding, big_endian=big_endian, row_padding=6)
    flat, _ = bench.send(image(fields, stamp_s=2))
    assert flat.header.stamp.sec == 2
    assert_same_joints(flat, expected)


def assert_same_joints(a: Any, b: Any) -> None:
    first, second = from_skeletons(a), from_skeletons(b)
    np.testing.assert_allclose(first.xy_px, second.xy_px, atol=0.05)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-4)


@pytest.mark.parametrize("encoding", ["bgr8", "rgba8", "bgra8", "mono8"])
def test_every_color_encoding_reaches_a_color_model(pose_bench: MakeBench, encoding: str) -> None:
    rgb = color_picture()
    if encoding == "mono8":
        rgb = np.repeat(rgb[..., :1], 3, axis=2)
    bench = pose_bench(model=COLOR_MODEL)
    expected, _ = bench.send(image(image_messages.encode_color(rgb, "rgb8"), stamp_s=1))
    flat, _ = bench.send(image(image_messages.encode_color(rgb, encoding, row_padding=5), stamp_s=2))
    assert_same_joints(flat, expected)
    assert flat.modality == "color"


def test_compressed_color_gives_the_same_as_raw(pose_bench: MakeBench, graph: Any) -> None:
    raw = pose_bench(model=COLOR_MODEL, track=False)
    expected, _ = raw.send(image(image_messages.encode_color(color_picture()), stamp_s=1))
    raw.node.trigger_shutdown()
    bench = pose_bench(model=COLOR_MODEL, track=False, compressed_color=True, start=False)
    assert bench.node.start()
    publisher = graph.publisher(CompressedImage, "lowres/color/image_raw/compressed")
    graph.connected(publisher)
    graph.spin(0.2)
    data = cv2.imencode(".png", color_picture()[..., ::-1])[1].tobytes()
    publisher.publish(CompressedImage(header=header(3), format="rgb8; png compressed bgr8", data=data))
    graph.until(lambda: bench.flat[""], "skeletons of the compressed image")
    assert bench.flat[""][-1].header == header(3)
    assert_same_joints(bench.flat[""][-1], expected)


def test_infos_are_latched_and_an_untrained_model_says_so_loudly(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench()
    bench.send(depth_message())
    models = graph.collect(PoseModelInfo, "model_info", LATCHED)  # late joiners
    skeletons = graph.collect(SkeletonInfo, "skeleton_info", LATCHED)
    graph.until(lambda: models and skeletons, "latched infos arrive")
    info = models[0]
    assert info.name == "untrained:depthpose_64x48@0.0625" and not info.trained
    assert (info.input_width, info.input_height, info.max_pixels) == (64, 48, 4800)
    assert (
        info.device == "cpu" and info.modality == "depth" and info.backend.split()[0] in installed_backends()
    )
    assert from_skeleton_info(skeletons[0]) == OPENPOSE18
    assert info.skeleton_model == skeletons[0].skeleton_model
    assert graph.said("UNTRAINED MODEL")
    statuses = graph.collect(DiagnosticArray, "/diagnostics", 10)
    graph.until(lambda: statuses, "diagnostics")
    status = statuses[-1].status[0]
    assert "untrained" in status.message and status.hardware_id == "cpu"
    values = {v.key: v.value for v in status.values}
    assert values["frames"] == "1" and values["dropped"] == values["refused"] == "0"
    assert float(values["latency, median (ms)"]) > 0


def test_a_larger_image_is_refused_in_strict_mode_and_nothing_of_it_leaves(pose_bench: MakeBench) -> None:
    bench = pose_bench()
    said = bench.refused(depth_message((480, 640)), "at most 4800 px, got 640x480")
    assert "lowres_gateway" in said
    bench.send(depth_message())  # the node lives


def test_a_larger_image_is_served_in_its_own_pixels_without_strict_mode(pose_bench: MakeBench) -> None:
    small = pose_bench(strict=False)
    flat, _ = small.send(depth_message((480, 640)))
    assert (flat.image_width, flat.image_height) == (640, 480)
    assert (flat.network_input_width, flat.network_input_height) == (64, 48)
    assert np.nanmax(from_skeletons(flat).xy_px) > 64


def test_two_cameras_are_served_by_one_model(pose_bench: MakeBench) -> None:
    bench = pose_bench(cameras=("left", "right"))
    expected, _ = bench.send(depth_message(frame_id="left_optical"), "left")
    flat, _ = bench.send(depth_message(frame_id="right_optical"), "right")
    assert len(bench.flat["left"]) == len(bench.flat["right"]) == 1
    assert (expected.header.frame_id, flat.header.frame_id) == ("left_optical", "right_optical")
    assert_same_joints(flat, expected)
    assert [p.track_id for p in flat.skeletons] == [1, 2, 3]  # each camera has its own tracks


def test_depth_beside_color_puts_a_color_models_people_into_space(pose_bench: MakeBench) -> None:
    bench = pose_bench(model=COLOR_MODEL, depth_with_color=True)
    bench.tell_camera(conversions.camera_info_message(CAMERA.resized((40, 53)), header()))
    bench.publish(depth_message((40, 53)), stream="depth")
    _, space = bench.send(image(image_messages.encode_color(color_picture())), stream="color")
    z = [k.position.z for p in space.skeletons for k in p.keypoints]
    assert space.kind == space.KIND_METRIC and np.isfinite(z).any()


def test_lifecycle_transitions(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench(start=False)
    assert bench.node.trigger_configure() == DONE
    graph.connected(*bench.images.values())
    bench.publish(depth_message())
    graph.spin(0.3)
    assert not bench.flat[""], "inactive it serves nothing"
    assert bench.node.trigger_activate() == DONE
    bench.connect()
    bench.send(depth_message(stamp_s=1))
    assert bench.node.trigger_deactivate() == DONE
    bench.publish(depth_message(stamp_s=2))
    graph.spin(0.3)
    assert len(bench.flat[""]) == 1
    assert bench.node.trigger_activate() == DONE
    bench.send(depth_message(stamp_s=3))
    assert bench.node.trigger_deactivate() == DONE
    assert bench.node.trigger_cleanup() == DONE
    graph.until(lambda: bench.images["", "depth"].get_subscription_count() == 0, "the subscription is gone")
    assert bench.node.start()
    bench.connect()
    bench.send(depth_message(stamp_s=4))
    assert bench.node.trigger_shutdown() == DONE


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "nonsense"}, "nonsense: no such file"),
        ({"model": "untrained:nonsense"}, "nonsense: expected the name of a network"),
        ({"device": "cuda:77"}, "cuda:77"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_what_cannot_be_configured_is_said(
    pose_bench: MakeBench, graph: Any, settings: dict, words: str
) -> None:
    bench = pose_bench(start=False, **settings)
    assert not bench.node.start()
    graph.until(lambda: graph.said(words), f"the log says {words}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keypoint_threshold", 1.5),
        ("min_joints", -1),
        ("max_pixels", "many"),
        ("cameras", ["a", "a"]),
        ("threads", -1),
        ("silence_s", 0.0),
        ("flip_test", "sometimes"),
        ("flip_test", 1),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(pose_bench: MakeBench, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        pose_bench(start=False, **{name: value})


def test_thresholds_are_those_of_the_weights_unless_a_parameter_says_otherwise() -> None:
    assert PoseParameters().estimator.decoder_changes == {}
    changed = PoseParameters(keypoint_threshold=0.0, max_people=3).estimator
    assert changed.decoder is None and changed.decoder_changes == {"keypoint_threshold": 0.0, "max_people": 3}


def test_cameras_share_a_lane_unless_a_parameter_says_otherwise() -> None:
    cameras = ("left", "middle", "right")
    assert PoseParameters(cameras=cameras).estimator.lanes == 1
    assert PoseParameters(cameras=cameras, lanes=2).estimator.lanes == 2
    assert PoseParameters(cameras=cameras, lanes=0).estimator.lanes == 3


def test_thresholds_change_while_it_runs_and_the_model_does_not(pose_bench: MakeBench) -> None:
    bench = pose_bench()
    assert len(bench.send(depth_message(stamp_s=1))[0].skeletons) == 3

    def set_parameter(name: str, value: Any) -> Any:
        return bench.node.set_parameters([Parameter(name, value=value)])[0]

    assert set_parameter("max_people", 1).successful
    assert len(bench.send(depth_message(stamp_s=2))[0].skeletons) == 1
    assert set_parameter("min_person_score", 1.0).successful
    flat, space = bench.send(depth_message(stamp_s=3))
    assert flat.skeletons == space.skeletons == [], "one message per frame, also when nobody is there"
    result = set_parameter("keypoint_threshold", 7.0)
    assert not result.successful and "keypoint_threshold" in result.reason
    for name, value in (("model", "untrained:depthpose_80x60"), ("device", "cuda"), ("cameras", ["a"])):
        assert not set_parameter(name, value).successful
    assert set_parameter("smooth", True).successful
    bench.send(depth_message(stamp_s=4))


def test_the_flip_test_may_be_set_by_name_and_by_a_boolean(pose_bench: MakeBench, graph: Any) -> None:
    """Parameter files of before hold true and false."""
    assert PoseParameters().flip_test == "auto"
    bench = pose_bench(flip_test=True)
    assert bench.node.parameters.flip_test == "always"
    flips, modes = bench.node._worker.flips, []
    for value in (True, False, "auto", "never", "always", False):
        assert bench.node.set_parameters([Parameter("flip_test", value=value)])[0].successful
        modes.append(flips.mode)
        bench.send(depth_message(stamp_s=1 + len(modes)))
    assert modes == ["always", "never", "auto", "never", "always", "never"]
    counted = bench.node.diagnostics.counts
    graph.until(lambda: counted()["frames"] == 6, "all are counted")
    values = {value.key: value.value for value in bench.node.diagnostics.status().values}
    assert values["with flip test (%)"] == "50", "one image now and then leaves time for its mirror image"
    result = bench.node.set_parameters([Parameter("flip_test", value="sometimes")])[0]
    assert not result.successful and "auto, always, never" in result.reason
    assert flips.mode == "never"


def test_every_parameter_is_described_and_numbers_have_ranges(pose_bench: MakeBench) -> None:
    node = pose_bench(start=False).node
    own = list(vars(node.parameters))
    assert "model" in own
    for name in own:
        descriptor = node.describe_parameter(name)
        assert len(descriptor.description) > 10, name
        value = getattr(node.parameters, name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert len(descriptor.integer_range) + len(descriptor.floating_point_range) == 1, name
    assert node.describe_parameter("model").read_only
    assert not node.describe_parameter("keypoint_threshold").read_only


def test_simulated_time_jumping_back_begins_new_tracks(pose_bench: MakeBench, graph: Any) -> None:
    bench = pose_bench(use_sim_time=True)
    clock = graph.publisher(Clock, "/clock", 10)
    graph.connected(clock)
    clock.publish(Clock(clock=Time(sec=500)))
    graph.until(lambda: bench.node.get_clock().now().nanoseconds == 500 * 10**9, "simulated time")
    first = {p.track_id for p in bench.send(depth_message(stamp_s=500))[0].skeletons}
    clock.publish(Clock(clock=Time(sec=3)))
    graph.until(lambda: bench.node.get_clock().now().nanoseconds == 3 * 10**9, "simulated time jumps back")
    second = {p.track_id for p in bench.send(depth_message(stamp_s=500.1))[0].skeletons}
    assert not first & second


def test_topic_names_can_be_remapped(pose_bench: MakeBench, graph: Any) -> None:
    remap = ["lowres/depth/image_raw:=somewhere/depth", "skeletons_2d:=elsewhere"]
    pose_bench(remap=remap, start=False).node.start()
    publisher = graph.publisher(Image, "somewhere/depth")
    messages = graph.collect(Skeleton2DArray, "elsewhere", QoSProfile(depth=10))
    graph.connected(publisher)
    graph.spin(0.3)
    publisher.publish(depth_message())
    graph.until(lambda: messages, "skeletons on the remapped topic")
