"""Programs of the nodes that a command runs in a process of their own: the core imports no ROS."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence


def run_ros_program(module: str, arguments: Sequence[str]) -> int:
    """Run a module of ``orpose_ros`` as a program, and return its exit status.

    Raises:
        ValueError: there is no ROS here, or the nodes are not installed.
    """
    missing = [name for name in ("rclpy", "orpose_ros") if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"this needs ROS 2 and the nodes, but {' and '.join(missing)} cannot be imported")
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode
