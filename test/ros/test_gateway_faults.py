"""The gateway and odd cameras: wrong messages cost themselves alone, no large image outlives its use."""

from __future__ import annotations

import array
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from orpose_core.data import image_messages
from orpose_core.data.rvl import encode_rvl
from orpose_core.image_ops import low_resolution_depth
from orpose_core.types import Intrinsics
from orpose_ros import conversions
from orpose_ros.lowres_gateway import LowresGateway

SIZE_HW = (240, 320)
CAMERA = Intrinsics(262.5, 260.0, 159.5, 119.5, 320, 240)


def header(stamp_s: int = 100, frame_id: str = "ceiling") -> Header:
    return Header(stamp=Time(sec=stamp_s), frame_id=frame_id)


def depth_m(size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    depth_mm = np.linspace(2000, 4000, size_hw[0])[:, None] + np.linspace(0, 300, size_hw[1])[None]
    depth_mm[: size_hw[0] // 4] = 0
    return np.where(depth_mm > 0, np.rint(depth_mm) * 0.001, np.nan).astype(np.float32)


def image(fields: dict, **header_fields: Any) -> Image:
    data = array.array("B", fields.pop("data").tobytes())
    return Image(header=header(**header_fields), data=data, **fields)


def depth_message(size_hw: tuple[int, int] = SIZE_HW, **header_fields: Any) -> Image:
    return image(image_messages.encode_depth(depth_m(size_hw), "16UC1"), **header_fields)


def color_message(size_hw: tuple[int, int] = SIZE_HW, **header_fields: Any) -> Image:
    return image(image_messages.encode_color(np.full((*size_hw, 3), 90, np.uint8)), **header_fields)


class Bench:
    """A gateway with publishers to it, and what leaves it."""

    def __init__(self, graph: Any, **settings: Any) -> None:
        self.graph = graph
        compressed = "/compressedDepth" if settings.get("compressed_depth") else ""
        self.node = graph.make(LowresGateway, **settings)
        kind = CompressedImage if compressed else Image
        self.depth = graph.publisher(kind, f"depth/image_raw{compressed}")
        self.info = graph.publisher(CameraInfo, "camera_info")
        self.color = graph.publisher(Image, "color/image_raw")
        self.out = graph.collect(Image, "lowres/depth/image_raw")
        self.info_out = graph.collect(CameraInfo, "lowres/camera_info")
        graph.connected(self.depth, self.info, *([self.color] if settings.get("color") else []))

    def send(self, message: Any) -> np.ndarray:
        before = len(self.out)
        self.depth.publish(message)
        self.graph.until(lambda: len(self.out) > before, "a depth image leaves the gateway")
        return image_messages.decode_depth(self.out[-1])

    def tell_camera(self, message: CameraInfo) -> None:
        before = self.node.watch.messages("camera_info")
        self.info.publish(message)
        self.graph.until(lambda: self.node.watch.messages("camera_info") > before, "camera_info arrives")

    def problems(self) -> str:
        return self.node.diagnostics.status().message


def test_one_wrong_color_image_costs_itself_alone(graph: Any) -> None:
    bench = Bench(graph, color=True)
    for _ in range(2):
        bench.send(depth_message())
    for wrong in (color_message((120, 160)), color_message(frame_id="table")):
        bench.color.publish(wrong)
        graph.until(lambda: bench.node.diagnostics.counts()["refused"], "it is refused")
        assert len(bench.send(depth_message())) == 48, "the depth beside it passes"
    assert "frames refused" in bench.problems()


def test_a_bad_camera_info_ends_the_use_of_the_one_before(graph: Any) -> None:
    bench = Bench(graph)
    bench.tell_camera(conversions.camera_info_message(CAMERA, header()))
    bench.send(depth_message())
    graph.until(lambda: bench.info_out, "camera_info leaves")
    bench.tell_camera(CameraInfo(header=header(), width=320, height=240))  # K is zero
    bench.info_out.clear()
    bench.send(depth_message())
    graph.spin(0.2)
    assert not bench.info_out
    assert "camera is not calibrated" in bench.problems()


def test_images_that_were_sent_and_never_came_are_counted(graph: Any) -> None:
    bench = Bench(graph)
    bench.send(depth_message())
    for k in range(20):  # nobody spins: the newest alone stays in the queue
        bench.depth.publish(depth_message(stamp_s=200 + k))
    time.sleep(0.5)
    graph.until(lambda: bench.out[-1].header.stamp.sec == 219, "the newest passes")
    counts = bench.node.diagnostics.counts()
    assert counts["frames"] + counts["dropped"] == 21 and counts["dropped"] >= 15
    assert "frames dropped" in bench.problems()


def png_of_zeros(height: int, width: int) -> bytes:
    """A small file whose image is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer, rows = zlib.compressobj(9), []
    row = bytes(1 + 2 * width)
    rows = [packer.compress(row) for _ in range(height)]
    head = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    content = b"".join(rows) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def compressed_depth(data: bytes, form: str = "16UC1; compressedDepth png") -> CompressedImage:
    packed = struct.pack("<iff", 0, 0.0, 0.0) + data
    return CompressedImage(header=header(), format=form, data=array.array("B", packed))


def test_a_small_file_of_a_huge_image_is_refused_by_its_header(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    imdecode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, how: decoded.append(data.size) or imdecode(data, how))
    bench = Bench(graph, compressed_depth=True, max_input_pixels=1_000_000)
    bench.depth.publish(compressed_depth(png_of_zeros(2000, 2000)))
    graph.until(lambda: graph.said("at most 1000000 px, got 2000x2000"), "it is refused")
    assert not decoded, "not one pixel of it was decoded"
    assert bench.node.diagnostics.counts()["refused"] == 1


@pytest.mark.parametrize("form", ["16UC1; compressedDepth", "16UC1; compressedDepth png", "rvl", "32FC1"])
def test_compressed_depth_of_image_transport(graph: Any, form: str) -> None:
    bench = Bench(graph, compressed_depth=True)
    depth_mm = image_messages.millimetres(depth_m())
    tolerance_m = 1e-6
    if form == "rvl":
        packed = struct.pack("<II", 320, 240) + encode_rvl(depth_mm).tobytes()
        message = compressed_depth(packed, "16UC1; compressedDepth rvl")
    elif form == "32FC1":  # quantised inverse depth: code = a / z + b
        a, b = 10_000.0, 1.0
        code = np.where(np.isfinite(depth_m()), np.rint(a / depth_m() + b), 0).astype(np.uint16)
        message = compressed_depth(b"", "32FC1; compressedDepth png")
        png = cv2.imencode(".png", code)[1].tobytes()
        message.data = array.array("B", struct.pack("<iff", 0, a, b) + png)
        tolerance_m = 2e-3
    else:
        message = compressed_depth(cv2.imencode(".png", depth_mm)[1].tobytes(), form)
    expected = low_resolution_depth(depth_m(), (48, 64))
    np.testing.assert_allclose(bench.send(message), expected, atol=tolerance_m)
    assert np.isnan(expected).any()


def test_depth_in_steps_of_a_tenth_of_a_millimetre(graph: Any) -> None:
    bench = Bench(graph, depth_unit_m=0.0001)
    small = bench.send(depth_message())
    np.testing.assert_allclose(small, low_resolution_depth(depth_m(), (48, 64)) / 10, rtol=1e-5)


def test_rectified_images_have_the_camera_of_p(graph: Any) -> None:
    bench = Bench(graph, rectified=True)
    info = conversions.camera_info_message(CAMERA, header())
    info.d = [0.1, -0.05, 0.0, 0.0, 0.0]  # of the image before it was rectified
    info.p = np.array([200.0, 0, 150.0, 0, 0, 210.0, 110.0, 0, 0, 0, 1, 0])
    bench.tell_camera(info)
    bench.send(depth_message())
    small = graph.until(lambda: bench.info_out and bench.info_out[-1], "camera_info leaves")
    wanted = Intrinsics(200.0, 210.0, 150.0, 110.0, 320, 240).resized((48, 64))
    got = conversions.intrinsics_of(small)
    np.testing.assert_allclose([got.fx, got.fy, got.cx, got.cy], [wanted.fx, wanted.fy, wanted.cx, wanted.cy])
    assert not np.any(small.d)


def test_images_of_a_lens_that_distorts_are_undistorted(graph: Any) -> None:
    bench = Bench(graph)
    coefficients = np.array([-0.3, 0.1, 0.0, 0.0, 0.0])
    info = conversions.camera_info_message(CAMERA, header())
    info.d = coefficients.tolist()
    bench.tell_camera(info)
    # A wall whose depth tells where each pixel looks: x of the ray, as the lens sees it.
    k = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    pixels = np.stack(np.meshgrid(np.arange(320.0), np.arange(240.0)), axis=-1)
    rays = cv2.undistortPoints(pixels.reshape(-1, 1, 2), k, coefficients).reshape(240, 320, 2)
    wall_m = (3.0 + rays[..., 0]).astype(np.float32)
    small = bench.send(image(image_messages.encode_depth(wall_m)))
    out = conversions.intrinsics_of(graph.until(lambda: bench.info_out and bench.info_out[-1], "its camera"))
    straight = 3.0 + (np.arange(64) - out.cx) / out.fx
    np.testing.assert_allclose(small, np.broadcast_to(straight, (48, 64)), atol=0.02)
    assert not np.any(bench.info_out[-1].d)
    info.distortion_model = "of my own"
    bench.tell_camera(info)
    assert "distortion model" in bench.problems() and "of my own" in bench.problems()


def test_an_image_is_overwritten_whatever_the_allocator_does(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = graph.make(LowresGateway)
    decoded: list[np.ndarray] = []
    depth_of = conversions.depth_of
    monkeypatch.setattr(
        conversions, "depth_of", lambda *given: decoded.append(depth_of(*given)) or decoded[-1]
    )
    passed, refused = depth_message(), color_message()
    node._pass("depth", passed)
    with pytest.raises(ValueError, match="rgb8"):
        node._pass("depth", refused)
    assert len(decoded) == 1 and not decoded[0].any()
    assert not np.any(passed.data) and not np.any(refused.data)


PATTERN = bytes([0xC3, 0x5A, 0x99, 0x3C, 0xA7, 0x18, 0xE4, 0x6B])
"""Eight px of a marked image; random memory does not hold it."""


def copies_of(pattern: bytes, pid: int) -> int:
    """Count a pattern in all memory of a process that it can write to."""
    count = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 - it is no file
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("rw") or "/dev/shm" in line:
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(begin)
                count += memory.read(end - begin).count(pattern)
            except (OSError, OverflowError, ValueError):
                continue
    return count


def test_after_the_last_image_nothing_of_it_is_in_the_gateways_memory(graph: Any, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "lowres_gateway"
    log = tmp_path / "log"
    environment = os.environ | {"PYTHONPATH": str(script.parents[1])}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, str(script), "--ros-args", "-p", "depth:=false", "-p", "color:=true"],
            stdout=stream, stderr=stream, env=environment,
        )  # fmt: skip
    try:
        color = graph.publisher(Image, "color/image_raw")
        out = graph.collect(Image, "lowres/color/image_raw")
        graph.until(lambda: color.get_subscription_count(), "the gateway is there", timeout_s=100)
        marked = np.frombuffer(PATTERN * (480 * 640 * 3 // len(PATTERN)), np.uint8).reshape(480, 640, 3)
        per_image = marked.tobytes().count(PATTERN)
        message = image(image_messages.encode_color(marked))
        for k in range(5):
            graph.until(lambda k=k: color.publish(message) or graph.spin(0.2) or len(out) > k, "it passes")
        graph.spin(1.0)
        left = copies_of(PATTERN, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert left <= 0.02 * per_image, f"{left / per_image:.3f} images' worth is left"
