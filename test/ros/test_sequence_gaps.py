"""Messages that never came are counted, also a publisher's first; those sent before it was known are not."""

from __future__ import annotations

import time
from typing import Any

import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from orpose_ros.running.input_watch import InputWatch
from orpose_ros.running.sequence_gaps import Numbered, SequenceGaps

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # all others are lost in the queue


class Listener:
    """A subscription that keeps one message, and counts what it takes and misses."""

    def __init__(self, graph: Any) -> None:
        self.graph, self.missed, self.taken = graph, 0, 0
        self.watch = InputWatch(graph.tester, silence_s=60.0)
        self.watch.subscribe(CameraInfo, "camera_info", self.take, NEWEST, missed=self.miss)

    def take(self, message: CameraInfo) -> None:
        self.taken += 1

    def miss(self, count: int) -> None:
        self.missed += count

    def know(self, publisher: Any) -> None:
        """Wait until the one publisher is known, and the node was told so; then for some messages' time."""
        self.graph.connected(publisher)
        self.graph.until(lambda: self.graph.tester.count_publishers("camera_info") == 1, "it is known")
        self.graph.spin(0.5)
        time.sleep(1.5)

    def busy_while(self, publisher: Any, count: int) -> None:
        """Let so many be sent while the node is busy, then take the last."""
        before = self.taken
        for _ in range(count):
            publisher.publish(CameraInfo())
            time.sleep(0.02)
        self.graph.until(lambda: self.taken > before, "the last one")


def test_what_is_lost_at_the_start_is_counted_and_after_a_restart_of_the_camera(graph: Any) -> None:
    listener, expected = Listener(graph), 0
    for lost_first, lost_later in ((4, 2), (2, 0)):
        camera = graph.publisher(CameraInfo, "camera_info")
        listener.know(camera)
        listener.busy_while(camera, lost_first + 1)
        assert listener.missed == expected, "the first alone does not tell"
        listener.busy_while(camera, lost_later + 1)
        expected += lost_first + lost_later
        assert listener.missed == expected
        graph.tester.destroy_publisher(camera)
        graph.until(lambda: not graph.tester.count_publishers("camera_info"), "it has gone")
    listener.watch.close()


def test_what_was_sent_before_a_node_was_started_is_not_lost(graph: Any) -> None:
    camera = graph.publisher(CameraInfo, "camera_info")
    for _ in range(500):
        camera.publish(CameraInfo())
    listener = Listener(graph)
    listener.know(camera)
    listener.busy_while(camera, 1)
    time.sleep(0.5)
    listener.busy_while(camera, 1)
    assert listener.taken == 2 and listener.missed < 50, "at 2 Hz no more can have been sent meanwhile"
    listener.watch.close()


@pytest.mark.parametrize(
    ("known_s", "messages", "missing"),
    [
        (100.0, [(1, 50.0, 100.5), (2, 50.1, 100.6), (5, 50.4, 100.9)], [0, 0, 2]),
        (100.0, [(4, 50.3, 100.8), (5, 50.4, 100.9)], [0, 3]),  # 8 may have been sent, and 3 were
        (100.0, [(4001, 50.0, 100.25), (4002, 50.1, 100.35)], [0, 2]),  # of 4000 two since it was known
        (100.0, [(4001, 50.0, 99.9), (4002, 50.1, 100.35)], [0, 0]),  # faster than the news
        (100.0, [(4, 50.0, 100.8), (5, 49.0, 100.9)], [0, 0]),  # its clock was set
        (100.0, [(9, 50.0, 100.5), (3, 51.0, 105.0), (4, 51.1, 105.1)], [0, 0, 2]),  # another one
        (100.0, [(2**64 - 1, 50.0, 100.5), (2**64 - 1, 51.0, 101.5)], [0, 0]),  # it does not number them
    ],
)
def test_no_more_is_missing_than_can_have_been_sent(
    monkeypatch: pytest.MonkeyPatch, known_s: float, messages: list[Any], missing: list[int]
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: known_s)
    gaps = SequenceGaps()
    gaps.matched()
    assert [gaps.take(Numbered(*message)) for message in messages] == missing
