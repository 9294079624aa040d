"""Nothing of a full-size image is in shared memory, which every user of the machine can read."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sensor_msgs.msg import Image

from orpose_core.resources import find_resource

REPOSITORY = Path(__file__).parents[2]
SHARED = Path("/dev/shm")
DRIVER_PROFILE, GATEWAY_PROFILE = (REPOSITORY / "config" / f"camera_{n}.xml" for n in ("driver", "gateway"))
LOOPBACK = "<interfaceWhiteList><address>127.0.0.1</address></interfaceWhiteList></transport_descriptor>"


def with_profile(file: Path) -> dict[str, str]:
    """Return the environment that docs/privacy.md asks for."""
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    others = {"RMW_FASTRTPS_USE_QOS_FROM_XML": "1", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"}
    return dict.fromkeys(names, str(file)) | others


DRIVER = """
import array, sys, time
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
pattern = bytes.fromhex(sys.argv[1])
rclpy.init()
node = rclpy.create_node("driver")
publisher = node.create_publisher(Image, "depth/image_raw", QoSProfile(depth=1))
data = array.array("B", pattern * (640 * 480 * 2 // len(pattern)))
message = Image(height=480, width=640, encoding="16UC1", step=1280, data=data)
while True:
    publisher.publish(message)
    time.sleep(0.1)
"""


def copies_of(pattern: bytes) -> int:
    """Count a pattern in all of the shared memory."""
    count = 0
    for file in SHARED.iterdir():
        with suppress(OSError):  # it has gone, or is somebody else's
            count += file.read_bytes().count(pattern)
    return count


def copies_in_shared_memory(
    graph: Any, log: Path, driver: dict[str, str], gateway: dict[str, str]
) -> tuple[int, int]:
    """Let a driver and a gateway run in these environments, and kill them; return copies before and after."""
    pattern, small = secrets.token_bytes(16), graph.collect(Image, "lowres/depth/image_raw", 10)
    common = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with log.open("wb") as stream:
        processes = [
            subprocess.Popen(command, stdout=stream, stderr=stream, env=common | environment)
            for command, environment in (
                ([sys.executable, "-c", DRIVER, pattern.hex()], driver),
                ([sys.executable, str(REPOSITORY / "scripts" / "lowres_gateway")], gateway),
            )
        ]
    try:
        graph.until(lambda: len(small) >= 5, f"images pass: {log}", timeout_s=200)
        running = copies_of(pattern)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return running, copies_of(pattern)


@pytest.fixture(autouse=True)
def _fast_dds() -> None:
    from rclpy.utilities import get_rmw_implementation_identifier

    if "fastrtps" not in get_rmw_implementation_identifier() or not SHARED.is_dir():
        pytest.skip("this is about Fast DDS and /dev/shm")


def test_with_the_profiles_no_full_size_image_is_in_shared_memory(graph: Any, tmp_path: Path) -> None:
    loopback = tmp_path / "gateway.xml"  # as it is, but for the network, where a test has no business
    text = GATEWAY_PROFILE.read_text()
    assert text.count("</transport_descriptor>") == 1
    loopback.write_text(text.replace("</transport_descriptor>", LOOPBACK))
    environments = with_profile(DRIVER_PROFILE), with_profile(loopback)
    assert copies_in_shared_memory(graph, tmp_path / "log", *environments) == (0, 0)


def test_without_it_there_is_and_it_stays_when_the_processes_are_killed(graph: Any, tmp_path: Path) -> None:
    """If this fails, Fast DDS has mended it and the profiles are no longer needed.

    Every process that joins DDS removes what dead processes left, so one that starts at the wrong moment,
    such as a node of another test, hides it once.
    """
    for _ in range(3):
        running, after = copies_in_shared_memory(graph, tmp_path / "log", {}, {})
        assert running > 0
        if after:
            return
    pytest.fail("nothing stayed in shared memory, three times")


def test_the_profiles_are_installed() -> None:
    for file in (DRIVER_PROFILE, GATEWAY_PROFILE):
        assert find_resource("config", file.stem, ".xml") == file
