"""A node that is spun explicitly, between other work, for benchmarks and the demo."""

from __future__ import annotations

import time

import rclpy
from rclpy.executors import SingleThreadedExecutor


class SpunByHand:
    """One node in an initialized context; :meth:`close` ends both.

    Args:
        name: name of the node.
    """

    def __init__(self, name: str) -> None:
        self._node = rclpy.create_node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def spin(self, seconds: float) -> None:
        """Process messages for some time."""
        self.spin_until(time.monotonic() + seconds)

    def spin_until(self, end_s: float) -> None:
        """Process messages until a time of the monotonic clock."""
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def close(self) -> None:
        """Destroy the node, and shut down the context."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()
