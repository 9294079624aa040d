"""Nodes that end with the launch that started them."""

from __future__ import annotations

import os
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch_ros.actions import Node

from orpose_ros.stopping import LAUNCH_PID

RESPAWN_DELAY_S = 5.0
"""Time after which a node that has died is started again, s."""


def orpose_node(executable: str, *, namespace: str = "", respawn: bool = False, **arguments: Any) -> Node:
    """Return a node of this package.

    launch does not end the processes that it has started if a later action raises, or on SIGTERM and SIGKILL.
    Therefore the node gets the process id of the launch, and ends when that process ends.

    Args:
        executable: name of the executable.
        namespace: namespace of the node; "" = none.
        respawn: start it again :data:`RESPAWN_DELAY_S` after it has ended, for whatever reason.
        arguments: arguments of ``launch_ros.actions.Node``.
    """
    again = {"respawn": True, "respawn_delay": RESPAWN_DELAY_S} if respawn else {}
    if os.environ.get("ROS_SECURITY_ENABLE") == "true":  # as the policy in config/security names it
        enclave = f"/{namespace}/{executable}" if namespace else f"/{executable}"
        arguments["ros_arguments"] = ["--enclave", enclave]
    if namespace:
        arguments["namespace"] = namespace
    return Node(
        package="orpose_ros",
        executable=executable,
        output="screen",
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
