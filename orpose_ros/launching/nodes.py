"""Nodes that end with the launch that started them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import GroupAction
from launch.launch_context import LaunchContext
from launch_ros.actions import Node, PushRosNamespace

from orpose_ros.launching.rooms import NO_ROOM, Room, room_below
from orpose_ros.stopping import LAUNCH_PID

RESPAWN_DELAY_S = 5.0
"""Time after which a node that has died is started again, s."""

NAMESPACE = "Namespace of all nodes, for several rooms on one ROS graph; their tf is then below it, too."
"""Description of the launch argument ``namespace``."""


def room_of(context: LaunchContext, *, own_clock: bool = False) -> Room:
    """Return the room that the launch argument ``namespace`` names; see :func:`room_below`."""
    given = context.launch_configurations
    return room_below(given.get("ros_namespace", ""), given.get("namespace", ""), own_clock=own_clock)


def in_namespace(context: LaunchContext, actions: Sequence[Any]) -> list[Any]:
    """Return actions whose nodes are in the namespace of the launch argument ``namespace``."""
    own = context.launch_configurations.get("namespace", "").strip("/")
    return [GroupAction([PushRosNamespace(own), *actions])] if own else list(actions)


def orpose_node(
    executable: str,
    *,
    namespace: str = "",
    respawn: bool = False,
    room: Room = NO_ROOM,
    remappings: Sequence[tuple[str, str]] = (),
    **arguments: Any,
) -> Node:
    """Return a node of this package.

    launch does not end the processes that it has started if a later action raises, or on SIGTERM and SIGKILL.
    Therefore the node gets the process id of the launch, and ends when that process ends.

    Args:
        executable: name of the executable.
        namespace: namespace of the node, below that of the room; "" = none.
        respawn: start it again :data:`RESPAWN_DELAY_S` after it has ended, for whatever reason.
        room: the room of the node.
        remappings: remappings of the node, besides those of the room.
        arguments: arguments of ``launch_ros.actions.Node``.
    """
    again = {"respawn": True, "respawn_delay": RESPAWN_DELAY_S} if respawn else {}
    if os.environ.get("ROS_SECURITY_ENABLE") == "true":  # as the policy in config/security names it
        arguments["ros_arguments"] = ["--enclave", room.full(f"{namespace}/{executable}")]
    if namespace:
        arguments["namespace"] = namespace
    return Node(
        package="orpose_ros",
        executable=executable,
        output="screen",
        remappings=[*room.remappings, *remappings],
        additional_env={LAUNCH_PID: str(os.getpid())},
        **again,
        **arguments,
    )


def is_installed(package: str) -> bool:
    """Return whether a ROS package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True
