"""Pacing of a replay by the node that receives its messages, so that no message is lost.

The node publishes ``~/taken`` (std_msgs/Header, latched): the stamp and topic (as ``frame_id``) of each
message that is safely stored, and an empty header when it starts. It also offers ``~/finish``
(std_srvs/Trigger). The label node does both.
"""

from __future__ import annotations

import math
import struct
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from orpose_ros.running.input_watch import REMIND_S

AHEAD = 4
"""Largest number of messages in transit to the node. Its queue must have room for twice as many."""

TAKEN = QoSProfile(depth=16, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""QoS of ``~/taken``."""

STILL_LABELLING = "still labeling"
"""Beginning of the response of ``~/finish`` while the work is not done."""

_LOOK_S = 0.2
_AGAIN_S = 1.0


class ReplayPace:
    """Makes a replay's thread wait for room in a node, whose answers arrive in the executor's thread."""

    def __init__(
        self, node: Node, name: str, publishers: Mapping[str, Publisher], stop: threading.Event
    ) -> None:
        """Subscribe to the answers of a node.

        Args:
            node: the replay.
            name: name of the node that receives the messages; relative to the replay's namespace without a
                leading slash.
            publishers: publishers of the replay, by topic of the recording.
            stop: ends all waiting.
        """
        self._node, self._stop = node, stop
        self._name = name if name.startswith("/") else f"{node.get_namespace().rstrip('/')}/{name}"
        self._publishers = {p.topic_name: p for p in publishers.values() if _has_header(p.msg_type)}
        self._paced: set[str] = set()
        self._proven: set[str] = set()
        self._under_way: set[tuple[str, int]] = set()
        self._ready = False
        self._condition = threading.Condition()
        self._subscription = node.create_subscription(Header, f"{self._name}/taken", self._taken, TAKEN)
        self._finish = node.create_client(Trigger, f"{self._name}/finish")

    def wait_until_ready(self) -> None:
        """Wait until the node is active and subscribes to the topics.

        Raises:
            ValueError: the node subscribes to no topic of the recording, or requests best effort.
        """
        self._wait(lambda: self._ready, "to become active", gone=False)
        space, _, own = self._name.rpartition("/")
        self._wait(
            lambda: self._taken_topics(own, space or "/") != set(), "to take a topic of the bag", gone=True
        )
        self._paced = self._taken_topics(own, space or "/")
        for topic in sorted(self._paced) if not self._stop.is_set() else ():
            for info in self._node.get_subscriptions_info_by_topic(topic):
                is_it = (info.node_name, info.node_namespace) == (own, space or "/")
                if is_it and info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT:
                    raise ValueError(
                        f"{self._name} asks for best effort on {topic}, so that messages may be lost on the "
                        f"way: set its qos_overrides.{topic}.subscription.reliability to reliable"
                    )
            publisher = self._publishers[topic]
            self._wait(partial(_has_subscriber, publisher), f"to hear {topic}", gone=True)

    def before(self, publisher: Publisher, data: bytes) -> float:
        """Wait until a message may be sent, and return the duration, s."""
        if publisher.topic_name not in self._paced:
            return 0.0
        began_s = time.monotonic()
        self._wait(lambda: len(self._under_way) < AHEAD, "to have room", gone=True)
        with self._condition:
            self._under_way.add((publisher.topic_name, _stamp_ns(data)))
        return time.monotonic() - began_s

    def after(self, publisher: Publisher, data: bytes) -> None:
        """Repeat the first message of a topic until it is taken, because discovery may not be complete.

        Later messages arrive, because both ends have discovered each other and are reliable.
        """
        topic = publisher.topic_name
        sent = topic, _stamp_ns(data)
        while topic in self._paced - self._proven and not self._stop.is_set():
            if self._wait(
                lambda: sent not in self._under_way, "to take messages", gone=True, at_most_s=_AGAIN_S
            ):
                self._proven.add(topic)
            else:
                publisher.publish(data)

    def finish(self) -> None:
        """Wait until all messages are taken, call the node's ``~/finish``, and log the response."""
        self._wait(lambda: not self._under_way, "to take the last messages", gone=True)
        self._wait(self._finish.service_is_ready, "to offer ~/finish", gone=True)
        if self._stop.is_set():
            return
        while not self._stop.is_set():
            answer = self._finish.call_async(Trigger.Request())
            self._wait(answer.done, "to finish", gone=True)
            if not answer.done():
                return
            response = answer.result()
            if response.message.startswith(STILL_LABELLING):
                self._stop.wait(_AGAIN_S)
                continue
            say = self._node.get_logger().info if response.success else self._node.get_logger().error
            say(f"{self._name} has finished: {response.message}")
            return

    def _taken_topics(self, name: str, namespace: str) -> set[str]:
        nodes = self._node.get_node_names_and_namespaces()
        if (name, namespace) not in nodes:
            return set()
        there = self._node.get_subscriber_names_and_types_by_node(name, namespace)
        return {topic for topic, _ in there} & set(self._publishers)

    def _wait(
        self, condition: Callable[[], bool], what: str, gone: bool, at_most_s: float = math.inf
    ) -> bool:
        """Wait for a condition and return whether it holds.

        Args:
            condition: the condition, which may change with each message of the node.
            what: description of the condition, for the log.
            gone: whether to raise ValueError if the node has ended.
            at_most_s: timeout, s.
        """
        began_s = said_s = time.monotonic()
        while not self._stop.is_set() and time.monotonic() - began_s < at_most_s:
            with self._condition:
                if condition() or self._condition.wait_for(condition, _LOOK_S):
                    return True
            if gone and not self._node.count_publishers(f"{self._name}/taken"):
                raise ValueError(
                    f"{self._name} has gone; start it and the replay again: what is done is not done again"
                )
            if time.monotonic() - said_s > REMIND_S:
                said_s = time.monotonic()
                self._node.get_logger().info(f"waiting for {self._name} {what}")
        return False

    def _taken(self, message: Header) -> None:
        with self._condition:
            self._ready = True
            stamp_ns = message.stamp.sec * 1_000_000_000 + message.stamp.nanosec
            self._under_way.discard((message.frame_id, stamp_ns))
            self._condition.notify_all()


def _has_subscriber(publisher: Publisher) -> bool:
    return bool(publisher.get_subscription_count())


def _has_header(kind: Any) -> bool:
    return next(iter(kind.get_fields_and_field_types().items()), None) == ("header", "std_msgs/Header")


def _stamp_ns(data: bytes) -> int:
    """Return the stamp of a serialised message whose first field is its header (CDR, after its 4 bytes)."""
    sec, nanosec = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return sec * 1_000_000_000 + nanosec
