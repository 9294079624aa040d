"""The gateway over real DDS: what comes out, what is refused and why, that nothing large stays behind."""

from __future__ import annotations

import array
import gc
import time
from types import CodeType, ModuleType

import cv2
import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from orpose_core.data import image_messages
from orpose_core.image_ops import LOW_RESOLUTIONS, low_resolution_depth
from orpose_core.types import Intrinsics
from orpose_ros import conversions
from orpose_ros.lowres_gateway import LowresGateway

SIZE_HW = (480, 640)
CAMERA = Intrinsics(525.0, 520.0, 319.5, 239.5, 640, 480)


def header(stamp_s: int = 100, frame_id: str = "ceiling") -> Header:
    return Header(stamp=Time(sec=stamp_s), frame_id=frame_id)


def depth_picture(size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    """A tilted floor with a box on it and a hole, in whole millimetres so that 16UC1 keeps it."""
    height, width = size_hw
    depth_mm = np.linspace(2000, 4000, height)[:, None] + np.linspace(0, 300, width)[None]
    depth_mm[height // 4 : height // 2, width // 4 : width // 2] = 1500
    depth_m = (np.rint(depth_mm) * 0.001).astype(np.float32)
    depth_m[-height // 4 :, -width // 4 :] = np.nan
    return depth_m


def color_picture(size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    rgb = np.zeros((*size_hw, 3), np.uint8)
    rgb[:, : size_hw[1] // 2] = (200, 30, 10)
    rgb[:, size_hw[1] // 2 :] = (10, 60, 220)
    return rgb


def image(fields: dict, **header_fields) -> Image:
    data = array.array("B", fields.pop("data").tobytes())
    return Image(header=header(**header_fields), data=data, **fields)


def depth_message(size_hw: tuple[int, int] = SIZE_HW, encoding: str = "16UC1", **header_fields) -> Image:
    return image(image_messages.encode_depth(depth_picture(size_hw), encoding), **header_fields)


def color_message(size_hw: tuple[int, int] = SIZE_HW, encoding: str = "rgb8", **header_fields) -> Image:
    return image(image_messages.encode_color(color_picture(size_hw), encoding), **header_fields)


class Camera:
    """Publishes what it is told to and listens to everything that leaves the gateway."""

    def __init__(self, graph, start: bool = True, **settings) -> None:
        self.graph = graph
        self.gateway = graph.make(LowresGateway, start, **settings)
        self.depth = graph.publisher(Image, "depth/image_raw")
        self.color = graph.publisher(Image, "color/image_raw")
        self.compressed = graph.publisher(CompressedImage, "color/image_raw/compressed")
        self.info = graph.publisher(CameraInfo, "camera_info")
        self.depth_out = graph.collect(Image, "lowres/depth/image_raw")
        self.color_out = graph.collect(Image, "lowres/color/image_raw")
        self.info_out = graph.collect(CameraInfo, "lowres/camera_info")
        self.diagnostics = graph.collect(DiagnosticArray, "/diagnostics", 10)
        wanted = [self.info]
        wanted += [self.depth] if settings.get("depth", True) else []
        color = self.compressed if settings.get("compressed_color") else self.color
        wanted += [color] if settings.get("color") else []
        if start:
            graph.connected(*wanted)

    def send(self, publisher, message, out: list, count: int = 1):
        """Publish once, and return what comes out."""
        before = len(out)
        publisher.publish(message)
        self.graph.until(lambda: len(out) >= before + count, "an image leaves the gateway")
        return out[-1]

    def refused(self, publisher, message, words: str) -> str:
        """Publish once; expect a refusal that says these words and nothing published."""
        before = len(self.depth_out), len(self.color_out)
        publisher.publish(message)
        said = self.graph.until(lambda: self.graph.said(words), f"a refusal that says {words!r}")
        self.graph.spin(0.1)
        assert (len(self.depth_out), len(self.color_out)) == before
        return said[-1]


def test_every_resolution_with_its_camera_info(graph):
    for name, size_hw in LOW_RESOLUTIONS.items():
        camera = Camera(graph, resolution=name)
        camera.info.publish(conversions.camera_info_message(CAMERA, header()))
        graph.until(lambda c=camera: c.gateway.watch.messages("camera_info"))
        small = camera.send(camera.depth, depth_message(stamp_s=7), camera.depth_out)
        assert (small.height, small.width, small.encoding) == (*size_hw, "32FC1")
        assert small.header == header(7)
        expected = low_resolution_depth(depth_picture(), size_hw, "median")
        np.testing.assert_allclose(image_messages.decode_depth(small), expected, atol=1e-6)
        assert np.isnan(expected).any(), "the hole must reach the small image"
        info = graph.until(lambda c=camera: c.info_out and c.info_out[-1])
        assert info.header == small.header
        scaled, wanted = conversions.intrinsics_of(info), CAMERA.resized(size_hw)
        assert (scaled.width, scaled.height) == (wanted.width, wanted.height)
        np.testing.assert_allclose([scaled.fx, scaled.fy, scaled.cx, scaled.cy],
                                   [wanted.fx, wanted.fy, wanted.cx, wanted.cy])  # fmt: skip
        camera.gateway.trigger_deactivate(), camera.gateway.trigger_cleanup()


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
def test_every_depth_encoding_byte_order_and_padding_gives_the_same(graph, encoding, big_endian):
    camera = Camera(graph, depth_encoding="16UC1")
    fields = image_messages.encode_depth(depth_picture(), encoding, big_endian=big_endian, row_padding=10)
    small = camera.send(camera.depth, image(fields), camera.depth_out)
    expected = low_resolution_depth(depth_picture(), (48, 64), "median")
    np.testing.assert_allclose(image_messages.decode_depth(small), expected, atol=0.0006)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "jpeg", "png"])
def test_every_color_encoding(graph, encoding):
    compressed = encoding in ("jpeg", "png")
    camera = Camera(graph, depth=False, color=True, compressed_color=compressed)
    rgb = color_picture()
    if compressed:
        data = cv2.imencode("." + encoding, rgb[..., ::-1])[1].tobytes()
        message = CompressedImage(header=header(), format=f"rgb8; {encoding} compressed bgr8", data=data)
        small = camera.send(camera.compressed, message, camera.color_out)
    else:
        fields = image_messages.encode_color(rgb, encoding, row_padding=3)
        small = camera.send(camera.color, image(fields), camera.color_out)
    assert (small.height, small.width, small.encoding) == (48, 64, "rgb8")
    got = image_messages.decode_color(small).astype(int)
    expected = (
        cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if encoding == "mono8"
        else rgb
    )
    assert np.abs(got[24, 8] - expected[240, 80]).max() <= 3
    assert np.abs(got[24, 56] - expected[240, 560]).max() <= 3


@pytest.mark.parametrize("encoding", ["rgb8", "8UC3", "yuv422"])
def test_depth_that_is_no_depth_is_refused_and_the_next_image_passes(graph, encoding):
    camera = Camera(graph)
    wrong = color_message()
    wrong.encoding = encoding
    camera.refused(camera.depth, wrong, encoding)
    camera.send(camera.depth, depth_message(), camera.depth_out)


def test_a_message_that_contradicts_itself_is_refused(graph):
    camera = Camera(graph)
    short = depth_message()
    short.data = short.data[:-100]
    camera.refused(camera.depth, short, "bytes of data")
    camera.refused(camera.depth, Image(header=header(), encoding="16UC1"), "positive size")
    camera.refused(camera.depth, depth_message((30, 40)), "low resolution of at most the image's 40x30")
    assert camera.gateway.watch.refused == 3
    camera.send(camera.depth, depth_message(), camera.depth_out)


def test_compressed_color_that_is_damaged_is_refused(graph):
    camera = Camera(graph, depth=False, color=True, compressed_color=True)
    camera.refused(
        camera.compressed,
        CompressedImage(header=header(), format="jpeg", data=b"no image"),
        "expected an image",
    )
    data = cv2.imencode(".jpg", color_picture())[1].tobytes()
    camera.send(
        camera.compressed, CompressedImage(header=header(), format="jpeg", data=data), camera.color_out
    )


def test_jpeg_depth_is_refused():
    jpeg = cv2.imencode(".jpg", np.zeros((48, 64), np.uint8))[1].tobytes()
    with pytest.raises(ValueError, match="JPEG"):
        conversions.depth_of(CompressedImage(format="16UC1; jpeg compressed ", data=jpeg))


def test_without_camera_info_images_leave_and_its_silence_is_named(graph):
    camera = Camera(graph, silence_s=0.5)
    camera.send(camera.depth, depth_message(), camera.depth_out)
    graph.until(lambda: graph.said("/camera_info: nothing for 0.5 s"), "silence of camera_info is named")
    assert not camera.info_out
    uncalibrated = CameraInfo(header=header(), width=640, height=480)
    camera.info.publish(uncalibrated)
    graph.until(lambda: graph.said("not calibrated"), "an uncalibrated camera_info is refused")
    camera.send(camera.depth, depth_message(), camera.depth_out)


def test_camera_info_of_another_size_or_frame_is_left_out_and_said(graph):
    camera = Camera(graph)
    for other, frame_id in ((CAMERA.resized((240, 320)), "ceiling"), (CAMERA, "table")):
        camera.info.publish(conversions.camera_info_message(other, header(frame_id=frame_id)))
        graph.until(
            lambda f=frame_id: (
                camera.gateway._camera_info and camera.gateway._camera_info.header.frame_id == f
            )
        )
        camera.send(camera.depth, depth_message(), camera.depth_out)
    graph.until(lambda: graph.said("it is for 320x240 px"), "the size is named")
    graph.until(lambda: graph.said("in frame 'table'"), "the frame is named")
    assert not camera.info_out


def test_depth_and_color_that_do_not_belong_together_are_refused(graph):
    camera = Camera(graph, color=True)
    for _ in range(2):  # a stream is known by two images
        camera.send(camera.depth, depth_message(), camera.depth_out)
    for _ in range(2):
        camera.refused(camera.color, color_message((240, 320)), "color is 320x240 but depth 640x480")
    camera.refused(camera.depth, depth_message(), "depth is 640x480 but color 320x240")
    # Once they fit again, both pass.
    for _ in range(2):
        camera.send(camera.color, color_message(), camera.color_out)
    camera.send(camera.depth, depth_message(), camera.depth_out)
    camera.refused(
        camera.depth, depth_message(frame_id="table"), "depth is in frame 'table' but color in 'ceiling'"
    )


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_depth_without_any_return_passes_as_nan(graph, value):
    camera = Camera(graph)
    empty = image(image_messages.encode_depth(np.full(SIZE_HW, np.nan, np.float32)))
    empty.data = array.array("B", np.full(SIZE_HW, value, np.float32).tobytes())
    small = camera.send(camera.depth, empty, camera.depth_out)
    assert np.isnan(image_messages.decode_depth(small)).all()


def test_time_jumping_back_changes_nothing(graph):
    camera = Camera(graph)
    for stamp_s in (100, 101, 5, 6):
        assert camera.send(camera.depth, depth_message(stamp_s=stamp_s), camera.depth_out).header == header(
            stamp_s
        )


def test_a_silent_input_is_named_after_five_seconds(graph):
    made = time.monotonic()
    graph.make(LowresGateway)
    graph.until(
        lambda: graph.said("/depth/image_raw: nothing for 5 s: nobody publishes it"), "silence is named"
    )
    assert time.monotonic() - made > 4.5


def test_qos_that_does_not_fit_is_named_with_its_policy(graph):
    wanted = "qos_overrides./depth/image_raw.subscription.reliability"
    graph.publisher(Image, "depth/image_raw", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    gateway = graph.make(LowresGateway, silence_s=0.5, **{wanted: "reliable"})
    said = graph.until(lambda: graph.said("QoS does not fit"), "the mismatch is named")
    assert "/depth/image_raw" in said[0] and "reliab" in said[0].lower()
    graph.until(
        lambda: "QoS" in gateway.watch.silent.get("/depth/image_raw", ""), "silence names QoS as the cause"
    )


def test_a_topic_of_another_type_is_named(graph):
    # In another context, as in another process: one DDS participant cannot have a topic twice with two types.
    context = rclpy.Context()
    rclpy.init(context=context)
    other = rclpy.create_node("other_camera", context=context)
    other.create_publisher(CompressedImage, "depth/image_raw", 1)
    graph.make(LowresGateway, silence_s=0.5)
    graph.until(lambda: graph.said("published as sensor_msgs/msg/CompressedImage"), "the type is named")
    other.destroy_node()
    rclpy.shutdown(context=context)


def test_a_camera_that_dies_and_comes_back(graph):
    camera = Camera(graph, silence_s=0.5)
    camera.send(camera.depth, depth_message(), camera.depth_out)
    graph.tester.destroy_publisher(camera.depth)
    graph.until(
        lambda: graph.said("/depth/image_raw: nothing for 0.5 s: nobody publishes it"), "death is named"
    )
    status = graph.until(
        lambda: [s for d in camera.diagnostics for s in d.status if "/depth/image_raw" in s.message],
        "diagnostics warn",
    )[-1]
    assert status.level == b"\x01"
    camera.depth = graph.publisher(Image, "depth/image_raw")
    graph.connected(camera.depth)
    camera.send(camera.depth, depth_message(), camera.depth_out)
    graph.until(lambda: graph.said("/depth/image_raw: messages arrive (again)"), "the return is named")
    assert "/depth/image_raw" not in camera.gateway.watch.silent


def test_lifecycle_transitions(graph):
    camera = Camera(graph, start=False)
    gateway, done = camera.gateway, TransitionCallbackReturn.SUCCESS
    camera.depth.publish(depth_message())
    graph.spin(0.2)
    assert camera.depth.get_subscription_count() == 0, "unconfigured, it does not listen"
    for _ in range(2):
        assert gateway.trigger_configure() == done
        graph.connected(camera.depth)
        camera.depth.publish(depth_message())
        graph.spin(0.3)
        assert not camera.depth_out, "inactive, it publishes nothing"
        assert gateway.trigger_activate() == done
        camera.send(camera.depth, depth_message(), camera.depth_out)
        assert gateway.trigger_deactivate() == done
        camera.depth_out.clear()
        camera.depth.publish(depth_message())
        graph.spin(0.3)
        assert not camera.depth_out
        assert gateway.trigger_cleanup() == done
    assert gateway.trigger_shutdown() == done


def test_a_resolution_above_the_limit_is_refused_at_configure(graph):
    gateway = graph.make(LowresGateway, start=False, resolution="80x60", max_pixels=3072)
    assert not gateway.start()
    said = graph.until(lambda: graph.said("cannot configure"), "the reason")[0]
    assert "80x60 has 4800 px" in said and "max_pixels allows 3072" in said
    assert gateway.count_publishers("lowres/depth/image_raw") == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("resolution", "640x480", "out of 64x48, 80x60, 53x40"),
        ("max_pixels", 307200, "at most 4800"),
        ("max_pixels", "many", "int"),
        ("silence_s", 0.0, "at least 0.5"),
        ("depth", 1, "bool"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_was_expected(graph, name, value, words):
    with pytest.raises(ValueError, match=name) as error:
        LowresGateway(parameter_overrides=[Parameter(name, value=value)])
    assert words in str(error.value) and str(value) in str(error.value)


def test_neither_depth_nor_color_is_refused_and_unknown_parameters_are_named(graph):
    gateway = graph.make(LowresGateway, start=False, depth=False, resolutoin="64x48")
    assert not gateway.start()
    graph.until(lambda: graph.said("expected depth or color to be on"), "the reason")
    graph.until(lambda: graph.said("resolutoin"), "the slip of the pen")
    assert not gateway.set_parameters([Parameter("resolution", value="80x60")])[0].successful, "read-only"


def _held(root: object) -> int:
    """The most bytes of one array or string that can be reached from ``root``."""
    seen, todo, largest = set(), [vars(root)], 0
    while todo:
        thing = todo.pop()
        program = isinstance(thing, (type, ModuleType, CodeType)) or (
            isinstance(thing, dict) and "__spec__" in thing
        )
        if id(thing) in seen or program:
            continue
        seen.add(id(thing))
        if isinstance(thing, (np.ndarray, array.array, bytes, bytearray, memoryview)):
            largest = max(largest, memoryview(thing).nbytes)
        elif isinstance(thing, str):
            largest = max(largest, len(thing))
        todo += gc.get_referents(thing)
    return largest


def test_nothing_larger_than_the_limit_is_published_kept_or_logged(graph):
    camera = Camera(graph, color=True, resolution="80x60")
    everything: dict[str, list] = {}
    for topic, types in graph.tester.get_topic_names_and_types():
        mine = [
            p for p in graph.tester.get_publishers_info_by_topic(topic) if p.node_name == "lowres_gateway"
        ]
        if mine:
            package, _, kind = types[0].split("/")
            module = __import__(f"{package}.msg", fromlist=[kind])
            offered = mine[0].qos_profile
            qos = QoSProfile(depth=100, reliability=offered.reliability, durability=offered.durability)
            everything[topic] = graph.collect(getattr(module, kind), topic, qos)
    assert {"/lowres/depth/image_raw", "/lowres/color/image_raw", "/lowres/camera_info", "/rosout"} <= set(
        everything
    )
    camera.info.publish(conversions.camera_info_message(CAMERA, header()))
    graph.until(lambda: camera.gateway.watch.messages("camera_info"))
    for stamp_s in range(3):
        camera.send(camera.depth, depth_message(stamp_s=stamp_s), camera.depth_out)
        camera.send(camera.color, color_message(stamp_s=stamp_s), camera.color_out)
        camera.depth.publish(color_message(stamp_s=stamp_s))  # refused: this goes to the log
    graph.until(lambda: graph.said("message refused"), "the refusal is logged")
    graph.until(lambda: everything["/diagnostics"] and everything["/lowres/camera_info"])
    for topic, messages in everything.items():
        for message in messages:
            if isinstance(message, Image):
                assert message.height * message.width <= 4800, topic
                assert len(message.data) <= 4 * 4800, topic
            elif isinstance(message, CameraInfo):
                assert message.height * message.width <= 4800, topic
            else:
                assert len(str(message)) < 3000, f"{topic} is no place for pixels"
    gc.collect()
    assert _held(camera.gateway) <= 4 * 4800
    # The walk above does find what hides in a node: an image put there must turn up.
    camera.gateway.hidden = {"deep": [depth_picture()]}
    assert _held(camera.gateway) == depth_picture().nbytes
