"""The whole graph under load with marked images: nothing of them anywhere; and what leaks is found."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from orpose_core.cli import main
from orpose_core.files import metres
from orpose_ros.endurance.mark import Mark, large_image_in
from orpose_ros.endurance.privacy import Seen, look_at_files

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(1500)
def test_nothing_of_a_full_size_image_is_published_logged_or_stored(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    out = tmp_path / "run"
    small = ["--cameras", "2", "--rate", "5", "--model", "untrained:depthpose_64x48@0.0625"]
    assert main(["benchmark", "privacy", "--minutes", "0.15", "--out", str(out), *small]) == 0
    said = capfd.readouterr().out
    assert "nothing of a full-size image anywhere" in said and "FOUND" not in said
    for topic in ("/ceiling_1/lowres/depth/image_raw", "/ceiling_2/skeletons_3d", "/room/skeletons_3d",
                  "/parameter_events", "/rosout", "/diagnostics", "/room/skeleton_markers"):  # fmt: skip
        assert re.search(rf"^  {topic}  [\d,]+ \([\d,]+\)$", said, re.MULTILINE), topic
    assert "/ceiling_1/depth/image_raw" not in said, "the cameras' own topics are not the graph's"
    assert (out / "audit.log").exists() and len(list((out / "log").glob("*.log"))) >= 6


@pytest.fixture(scope="module")
def mark() -> Mark:
    return Mark()


def test_every_form_of_the_mark_is_found(mark: Mark) -> None:
    image = mark.put_on(np.full((480, 640), 2000, np.uint16))
    assert (image[1] == 2000).all() and (image[3, :8] == mark.row_mm).all()
    row = image[0].tobytes()
    forms = {
        "px": row[11:50], "m": metres(image[0])[3:20].tobytes(), "base64": base64.b64encode(b"xy" + row),
        "hex": row.hex().encode(), "numbers": str(image[0].tolist()).encode(),
        "bytes": str(list(row)).encode(),
        "a whole message": b"header" + image.tobytes(),
    }  # fmt: skip
    for name, content in forms.items():
        assert mark.found_in(b"\x00" * 100 + content), name
    small = cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA)
    for content in (b"", bytes(1000), small.tobytes(), np.random.default_rng(0).bytes(1_000_000)):
        assert not mark.found_in(content)


def test_a_large_encoded_image_is_found_in_any_content() -> None:
    large = cv2.imencode(".png", np.zeros((480, 640), np.uint16))[1].tobytes()
    small = cv2.imencode(".png", np.zeros((48, 64), np.uint16))[1].tobytes()
    jpeg = cv2.imencode(".jpg", np.zeros((480, 640, 3), np.uint8))[1].tobytes()
    assert large_image_in(b"abc" + large, 4800) == "an image of 640x480 px"
    assert large_image_in(small + jpeg, 4800) == "an image of 640x480 px"
    assert not large_image_in(small * 3, 4800)


def test_a_file_that_holds_a_piece_is_named(mark: Mark, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "node.log").write_text(f"frame {mark.row_mm.tolist() * 2} refused")
    seen = Seen()
    look_at_files(tmp_path, mark, seen)
    assert seen.findings == ["file deep/node.log: a piece of a full-size image (text)"]


LEAK = """
import array, sys, time, rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("leak")
publisher = node.create_publisher(Image, "debug", 1)
data = array.array("B", bytes.fromhex(sys.argv[1]) * 40_000)
while True:
    publisher.publish(Image(height=480, width=640, encoding="16UC1", step=1280, data=data[:614400]))
    time.sleep(0.1)
"""


def test_a_topic_that_leaks_is_found(mark: Mark) -> None:
    import rclpy

    from orpose_ros.endurance.privacy import Recorder

    seen = Seen()
    recorder = Recorder(mark, seen)
    leak = subprocess.Popen([sys.executable, "-c", LEAK, mark.row_mm.tobytes().hex()])
    try:
        over = threading.Event()
        threading.Timer(120, over.set).start()
        while len(seen.findings) < 2 and not over.is_set():
            recorder.spin(0.2)
    finally:
        leak.kill()
        leak.wait()
        recorder.close()
        over.set()
    assert seen.findings == [
        "topic /debug: a piece of a full-size image (16-bit px)",
        "topic /debug: an image of 640x480 px",
    ]
    assert not rclpy.ok()
