"""Full-size images that a busy receiver does not take at once are not lost on their way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orpose_core.resources import find_resource

REPOSITORY = Path(__file__).parents[2]
COUNT = 5
COMMON = f"""
import rclpy, select, sys, time
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from orpose_ros.running.memory import make_room_for_full_size_images
COUNT, QOS = {COUNT}, QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
if "room" in sys.argv: make_room_for_full_size_images()
rclpy.init()
node = rclpy.create_node(sys.argv[1])
"""
DRIVER = """
publisher = node.create_publisher(Image, "depth/image_raw", QOS)
while not publisher.get_subscription_count(): time.sleep(0.05)
print("ready", flush=True)
sys.stdin.readline()
for k in range(COUNT):
    publisher.publish(Image(height=480, width=640, encoding="16UC1", step=1280, data=bytes(640 * 480 * 2)))
print("sent", flush=True)
sys.stdin.readline()
"""
RECEIVER = """
got, drivers, end_s = [], [], None
events = SubscriptionEventCallbacks(matched=drivers.append)
node.create_subscription(Image, "depth/image_raw", got.append, QOS, event_callbacks=events)
while not drivers: rclpy.spin_once(node, timeout_sec=0.1)
print("matched", flush=True)
while len(got) < COUNT and (end_s is None or time.monotonic() < end_s):
    rclpy.spin_once(node, timeout_sec=0.1)
    if end_s is None and select.select([sys.stdin], [], [], 0)[0]: end_s = time.monotonic() + 3.0
print(len(got), flush=True)
"""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    environment = {k: v for k, v in os.environ.items() if k not in names} | {"PYTHONPATH": str(REPOSITORY)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", COMMON + program, *arguments], env=environment, **pipes)


@pytest.fixture
def received(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many of five images come to a receiver that was stopped while they were sent."""
    from rclpy.utilities import get_rmw_implementation_identifier

    if "fastrtps" not in get_rmw_implementation_identifier():
        pytest.skip("this is about Fast DDS")
    receiver, driver = start(RECEIVER, "receiver"), start(DRIVER, "driver", *request.param)
    try:
        assert driver.stdout.readline() == "ready\n" and receiver.stdout.readline() == "matched\n"
        receiver.send_signal(signal.SIGSTOP)
        print(file=driver.stdin, flush=True)
        assert driver.stdout.readline() == "sent\n"
        time.sleep(1.5)
        receiver.send_signal(signal.SIGCONT)
        print(file=receiver.stdin, flush=True)  # no more will be sent
        yield int(receiver.stdout.readline())
    finally:
        for process in (receiver, driver):
            process.kill()
            process.communicate()


@pytest.mark.parametrize("received", [["room"]], indirect=True)
def test_with_the_profile_all_come(received: int) -> None:
    assert received == COUNT


@pytest.mark.parametrize("received", [[]], indirect=True)
def test_without_it_they_are_lost(received: int) -> None:
    """If this fails, Fast DDS has mended it and the profile is no longer needed."""
    assert received < COUNT


def test_the_profile_is_installed() -> None:
    assert find_resource("config", "full_size_images", ".xml") == REPOSITORY / "config/full_size_images.xml"
