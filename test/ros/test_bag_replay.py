"""A rosbag2 played into the graph: the same bytes, in order, at the pace asked for."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from orpose_ros.bag_replay import BagReplay

TYPES = get_typestore(Stores.ROS2_JAZZY)
STEP_NS = 50_000_000
REPOSITORY = Path(__file__).parents[2]
BEGIN_NS = 1_700_000_000_000_000_000


@pytest.fixture(params=[StoragePlugin.SQLITE3, StoragePlugin.MCAP], ids=["sqlite3", "mcap"])
def bag(request, tmp_path) -> Path:
    """Ten images 50 ms apart, a latched transform, and a type that nobody has."""
    folder = tmp_path / "bag"
    with Writer(folder, version=9, storage_plugin=request.param) as writer:
        images = writer.add_connection("/camera/depth", "sensor_msgs/msg/Image", typestore=TYPES)
        static = writer.add_connection("/tf_static", "geometry_msgs/msg/TransformStamped", typestore=TYPES)
        odd = writer.add_connection(
            "/odd", "nobody_msgs/msg/Odd", msgdef="int32 x", rihs01="RIHS01_" + "0" * 64, typestore=TYPES
        )
        transform = TransformStamped(header=Header(frame_id="room"), child_frame_id="camera")
        writer.write(static, BEGIN_NS, serialize_message(transform))
        writer.write(odd, BEGIN_NS, b"\x00\x01\x00\x00\x01\x00\x00\x00")
        for i in range(10):
            writer.write(images, BEGIN_NS + i * STEP_NS, serialize_message(_image(i)))
    return folder


def _image(i: int) -> Image:
    stamp_ns = BEGIN_NS + i * STEP_NS
    stamp = Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    data = np.full(12, i, np.uint8).tobytes()
    return Image(
        header=Header(stamp=stamp, frame_id="camera"), height=2, width=3, encoding="16UC1", step=6, data=data
    )


def play(graph, bag: Path, **settings):
    replay = graph.make(BagReplay, start=False, bag=str(bag), **settings)
    replay.start()
    return replay


def test_the_same_messages_come_out_in_order_and_at_the_pace(graph, bag):
    images = graph.collect(Image, "/camera/depth", 20)
    began = time.monotonic()
    replay = play(graph, bag, rate=2.0, wait_s=0.2)
    graph.until(replay.finished.is_set, "the bag ends")
    graph.spin(0.1)
    assert images == [_image(i) for i in range(10)]
    assert time.monotonic() - began > 9 * STEP_NS / 1e9 / 2
    assert graph.said("/odd is left out: nobody_msgs/msg/Odd is not installed here")
    latched = graph.collect(
        TransformStamped, "/tf_static", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    )
    graph.until(lambda: latched, "a late joiner gets the latched transform")
    heard = graph.collect(DiagnosticArray, "/diagnostics", 10)
    graph.until(lambda: heard, "diagnostics come")
    assert {pair.key: pair.value for pair in heard[-1].status[0].values}["frames"] == str(replay.published)


def test_topics_rate_and_remapping(graph, bag):
    images = graph.collect(Image, "/ceiling/depth/image_raw", 20)
    replay = play(
        graph, bag, rate=100.0, topics=["/camera/depth"], remap=["/camera/depth:=/ceiling/depth/image_raw"]
    )
    graph.until(replay.finished.is_set, "the bag ends")
    graph.until(lambda: len(images) == 10, "all images")
    assert replay.published == 10
    assert graph.tester.count_publishers("/tf_static") == 0


def test_clock_runs_with_the_recording_and_jumps_back_in_a_loop(graph, bag):
    clock = graph.collect(Clock, "/clock", 100)
    play(graph, bag, rate=5.0, clock=True, loop=True, wait_s=0.0)

    def times() -> list[int]:
        return [c.clock.sec * 10**9 + c.clock.nanosec for c in clock]

    graph.until(
        lambda: any(b < a for a, b in zip(times(), times()[1:], strict=False)), "the loop begins again"
    )
    jump = next(i for i, (a, b) in enumerate(zip(times(), times()[1:], strict=False)) if b < a)
    first_round = times()[: jump + 1]
    assert first_round == sorted(first_round)
    assert first_round[0] >= BEGIN_NS and first_round[-1] == BEGIN_NS + 9 * STEP_NS
    assert times()[jump + 1] == BEGIN_NS


def test_paused_until_told_to_play(graph, bag):
    images = graph.collect(Image, "/camera/depth", 20)
    replay = play(graph, bag, rate=100.0, paused=True, wait_s=0.0)
    graph.spin(0.3)
    assert not images
    client = graph.tester.create_client(SetBool, "/bag_replay/pause")
    graph.until(client.service_is_ready, "the service is there")
    answer = client.call_async(SetBool.Request(data=False))
    graph.until(answer.done, "the service answers")
    graph.until(lambda: len(images) == 10 and replay.finished.is_set(), "the bag is played")


def test_a_wrong_bag_or_topic_is_refused(graph, bag, tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        graph.make(BagReplay, start=False, bag=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="rosbag2"):
        graph.make(BagReplay, start=False, bag=str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"/depht, got .*/camera/depth"):
        graph.make(BagReplay, start=False, bag=str(bag), topics=["/depht"])


def test_from_the_command_line(graph, bag):
    images = graph.collect(Image, "/renamed", 20)
    wrapper = Path(__file__).parents[2] / "scripts" / "bag_replay"
    process = subprocess.Popen(
        [sys.executable, wrapper, bag, "--rate", "50", "--ros-args", "-r", "/camera/depth:=/renamed"]
    )
    graph.until(lambda: process.poll() is not None, "the command ends by itself", timeout_s=200)
    graph.spin(0.2)
    assert process.returncode == 0 and len(images) == 10
    wrong = subprocess.run(
        [sys.executable, wrapper, "/no/such/bag"], capture_output=True, text=True, timeout=60
    )
    assert wrong.returncode == 1 and "/no/such/bag" in wrong.stderr and "Traceback" not in wrong.stderr


def test_a_replay_that_breaks_off_has_failed(graph, bag):
    replay = graph.make(BagReplay, start=False, bag=str(bag), wait_s=0.0)

    def broken(topics):
        raise OSError("the disk is gone")
        yield

    replay._reader.messages = broken
    replay.start()
    graph.until(replay.finished.is_set, "it ends")
    assert replay.failed
    graph.until(lambda: graph.said("OSError: the disk is gone"), "the reason is said")


ENDS = """
from rclpy.node import Node
from orpose_ros.running.lifecycle import run_node
run_node(
    lambda: Node("short_lived"), None, start=lambda node: True, is_finished=lambda node: True,
    stop=lambda node: None, has_failed=lambda node: {failed},
)
"""


@pytest.mark.parametrize("failed", [False, True])
def test_the_status_of_the_process_says_whether_it_failed(failed):
    done = subprocess.run([sys.executable, "-c", ENDS.format(failed=failed)], timeout=200, cwd=REPOSITORY)
    assert done.returncode == int(failed)


@pytest.mark.parametrize("name", ["rosbag2_mcap_hero", "rosbag2_sqlite3_hero"])
def test_a_real_recording_passes_the_gateway(graph, realdata, name):
    from rosbags.rosbag2 import Reader

    from orpose_ros.lowres_gateway import LowresGateway

    with Reader(realdata / "tue_rgbd" / name) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        depth = next(
            c.topic for c in reader.connections if c.msgtype == "sensor_msgs/msg/Image" and "depth" in c.topic
        )
        info = next(c.topic for c in reader.connections if c.msgtype == "sensor_msgs/msg/CameraInfo")
    remap = [f"/depth/image_raw:={depth}", f"/camera_info:={info}"]
    reliable: dict[str, object] = {}
    for topic in (depth, info):
        reliable[f"qos_overrides.{topic}.subscription.reliability"] = "reliable"
        reliable[f"qos_overrides.{topic}.subscription.depth"] = 100
    gateway = graph.make(LowresGateway, remap=remap, **reliable)
    small = graph.collect(Image, "/lowres/depth/image_raw", 100)
    replay = play(graph, realdata / "tue_rgbd" / name, rate=100.0)
    graph.until(replay.finished.is_set, "the bag ends", timeout_s=60)
    graph.until(lambda: len(small) == counts[depth], f"all {counts[depth]} depth images leave", timeout_s=200)
    assert {(m.width, m.height) for m in small} == {(64, 48)} and gateway.watch.refused == 0


def test_bags_are_read_as_the_offline_commands_read_them(graph, bag, tmp_path):
    """A recorder that was killed leaves no metadata, and an MCAP file without its end."""
    (bag / "metadata.yaml").unlink()
    (file,) = (f for f in bag.iterdir() if f.suffix in (".mcap", ".db3"))
    if file.suffix == ".mcap":
        file.write_bytes(file.read_bytes()[:-200])
    images = graph.collect(Image, "/camera/depth", 20)
    replay = play(graph, bag, rate=100.0, wait_s=5.0)
    graph.until(replay.finished.is_set, "the bag ends")
    graph.until(lambda: len(images) == 10, "all images")
    assert images == [_image(i) for i in range(10)]
    if file.suffix == ".mcap":
        assert graph.until(lambda: graph.said("read without its index"), "it says how it was read")


def test_a_compressed_file_and_a_bag_of_ros_1(graph, tmp_path):
    from backports import zstd
    from rosbags.rosbag1 import Writer as Writer1

    types1 = get_typestore(Stores.ROS1_NOETIC)
    plain = tmp_path / "old.bag"
    with Writer1(plain) as writer:
        connection = writer.add_connection("/camera/depth", "sensor_msgs/msg/Image", typestore=types1)
        for i in range(10):
            message = TYPES.deserialize_cdr(serialize_message(_image(i)), "sensor_msgs/msg/Image")
            header1 = types1.types["std_msgs/msg/Header"](seq=i, **vars(message.header))
            fields = vars(message) | {"header": header1}
            content = types1.types["sensor_msgs/msg/Image"](**fields)
            writer.write(
                connection,
                BEGIN_NS + i * STEP_NS,
                types1.serialize_ros1(content, "sensor_msgs/msg/Image"),
            )
    packed = tmp_path / "old.bag.zst"
    packed.write_bytes(zstd.compress(plain.read_bytes()))
    images = graph.collect(Image, "/camera/depth", 20)
    replay = play(graph, packed, rate=100.0)
    graph.until(replay.finished.is_set, "the bag ends")
    graph.until(lambda: len(images) == 10, "all images")
    assert images == [_image(i) for i in range(10)]
