"""The sizes of the messages of a topic in bytes; their content is not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from orpose_core.audit.trail import TopicState
from orpose_ros.messages import installed_message_class

IMAGE_TYPES = ("Image", "CompressedImage", "PointCloud", "PointCloud2", "DisparityImage", "LaserScan")
"""Message types of all packages that can contain a picture of the scene."""


def is_image(types: tuple[str, ...]) -> bool:
    """Return whether messages of these types can be full-size images."""
    return any(name.rpartition("/")[2] in IMAGE_TYPES or "image_transport" in name for name in types)


class MessageSizes:
    """Subscribes to the topics of orpose's nodes, and reports the size of each message.

    Args:
        node: the node that subscribes.
        images: component of a topic's name that marks topics with small images, such as ``lowres``.
        tell: called with the topic and the size in bytes.
    """

    def __init__(self, node: Node, images: str, tell: Callable[[str, int], None]) -> None:
        self._node, self._images, self._tell = node, images, tell
        self._subscriptions: dict[str, Any] = {}

    def follow(self, topics: Mapping[str, TopicState], nodes: Set[str]) -> None:
        """Subscribe to the topics that one of these nodes publishes; never to full-size images."""
        ours = {
            name
            for name, state in topics.items()
            if any(end.rpartition("@")[0] in nodes for end in state.publishers)
        }
        for name in ours - set(self._subscriptions):
            types = topics[name].types
            small = not is_image(types) or self._images in name.split("/")
            if small and len(types) == 1:
                self._subscribe(name, types[0])
        # Our own subscription keeps a topic in the graph, so its end shows in the publishers alone.
        for name in set(self._subscriptions) - ours:
            self._node.destroy_subscription(self._subscriptions.pop(name))

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _subscribe(self, topic: str, type_name: str) -> None:
        kind = installed_message_class(type_name)
        if kind is None:
            return
        latched = all(
            info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            for info in self._node.get_publishers_info_by_topic(topic)
        )
        qos = QoSProfile(
            depth=10,
            reliability=ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        self._subscriptions[topic] = self._node.create_subscription(
            kind, topic, partial(self._hear, topic), qos, raw=True
        )

    def _hear(self, topic: str, serialized: bytes) -> None:
        self._tell(topic, len(serialized))
