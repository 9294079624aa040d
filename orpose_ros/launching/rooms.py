"""Rooms that share a ROS graph, each with its nodes and topics in a namespace of its own."""

from __future__ import annotations

from dataclasses import dataclass

from orpose_ros.parameters.namespaces import check_namespace

TRANSFORMS = ("/tf", "/tf_static")
CLOCK = "/clock"


@dataclass(frozen=True)
class Room:
    """The names of one room.

    Attributes:
        namespace: full namespace of the nodes, without slashes at its ends; "" = none.
        apart: topics with absolute names that this room has in its namespace, such as ``/tf``.
    """

    namespace: str = ""
    apart: tuple[str, ...] = ()

    def full(self, name: str) -> str:
        """Return the full name of a topic or namespace of this room."""
        return "/" + "/".join(part for part in (self.namespace, name.strip("/")) if part)

    def taken(self, camera: str, topic: str, is_replayed: bool) -> str:
        """Return the full name of a camera's topic that the nodes of this room take.

        What a bag has is played below the room's namespace, absolute names too: two rooms may have the same
        topics.

        Args:
            camera: namespace of the camera; "" = none.
            topic: name below the camera's namespace, or an absolute one.
            is_replayed: whether the launch plays a bag.
        """
        if topic.startswith("/") and not is_replayed:
            return topic
        return self.full(recorded(camera, topic))

    @property
    def remappings(self) -> list[tuple[str, str]]:
        """Remappings of every node of the room."""
        return [(topic, self.full(topic)) for topic in self.apart]


def recorded(camera: str, topic: str) -> str:
    """Return the full name of a camera's topic outside any room, as a bag has it; see :meth:`Room.taken`."""
    return topic if topic.startswith("/") else "/" + "/".join(part for part in (camera, topic) if part)


NO_ROOM = Room()
"""The names of a room that has its ROS graph for itself."""


def room_below(outer: str, namespace: str, *, own_clock: bool = False) -> Room:
    """Return the room of a launch.

    As with nav2, the transforms of a room with a namespace are in that namespace, because frames of two rooms
    may have the same names.

    Args:
        outer: namespace that an including launch file has pushed; "" = none.
        namespace: the argument ``namespace``; "" = none.
        own_clock: whether the launch publishes a time of its own.

    Raises:
        ValueError: no topic can have this namespace.
    """
    own = namespace.strip("/")
    check_namespace("namespace", own)
    full = "/".join(part for part in (outer.strip("/"), own) if part)
    if not own:
        return Room(full)
    return Room(full, (*TRANSFORMS, CLOCK) if own_clock else TRANSFORMS)
