"""A node that its process spins by hand, between other work: of benchmarks and of the demo."""

from __future__ import annotations

import time

import rclpy
from rclpy.executors import SingleThreadedExecutor


class SpunByHand:
    """One node in a context that is up already; :meth:`close` ends both.

    Args:
        name: of the node.
    """

    def __init__(self, name: str) -> None:
        self._node = rclpy.create_node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def spin(self, seconds: float) -> None:
        """Hear what comes for so long."""
        self.spin_until(time.monotonic() + seconds)

    def spin_until(self, end_s: float) -> None:
        """Hear what comes until a moment of the monotonic clock."""
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()
