"""What a node tells of itself on /diagnostics: rate, latency, drops, device, and what is wrong."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

PERIOD_S = 1.0
WINDOW = 200  # frames over which rate and latency are taken


class NodeDiagnostics:
    """Counts frames and publishes a DiagnosticStatus once a second; any thread may call its methods."""

    def __init__(
        self,
        node: Node,
        hardware_id: str = "",
        values: Callable[[], Mapping[str, object]] | None = None,
        problems: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """Create the publisher and its timer.

        Args:
            node: whose diagnostics these are.
            hardware_id: the device, for example ``cuda:0``.
            values: more key-value pairs, asked for once a second.
            problems: what is wrong at the moment; each makes the status a warning.
        """
        self._node = node
        self._hardware_id = hardware_id
        self._values = values or dict
        self._problems = problems or tuple
        self._lock = threading.Lock()
        self._frames: deque[tuple[float, float]] = deque(maxlen=WINDOW)  # (steady time, latency), both in s
        self._counts = {"frames": 0, "dropped": 0, "refused": 0}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(
            PERIOD_S, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def frame(self, latency_s: float) -> None:
        """Count a frame that was served, so many seconds after it arrived."""
        with self._lock:
            self._counts["frames"] += 1
            self._frames.append((time.monotonic(), latency_s))

    def drop(self, count: int = 1) -> None:
        """Count frames that were left out because newer ones had come."""
        with self._lock:
            self._counts["dropped"] += count

    def refuse(self, count: int = 1) -> None:
        """Count frames that could not be served."""
        with self._lock:
            self._counts["refused"] += count

    def counts(self) -> dict[str, int]:
        """Return how many frames were served, dropped and refused so far."""
        with self._lock:
            return dict(self._counts)

    def status(self) -> DiagnosticStatus:
        """Return the status as it is now."""
        now = time.monotonic()
        with self._lock:
            counts, frames = dict(self._counts), [f for f in self._frames if now - f[0] <= 10.0]
        latencies = sorted(latency for _, latency in frames)
        rate = (len(frames) - 1) / (frames[-1][0] - frames[0][0]) if len(frames) > 1 else 0.0
        values: dict[str, object] = {"rate (Hz)": f"{rate:.2f}"}
        if latencies:
            values["latency, median (ms)"] = f"{1e3 * latencies[len(latencies) // 2]:.1f}"
            values["latency, maximum (ms)"] = f"{1e3 * latencies[-1]:.1f}"
        values |= counts | dict(self._values())
        problems = list(self._problems())
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if problems else DiagnosticStatus.OK,
            name=self._node.get_fully_qualified_name().lstrip("/"),
            message="; ".join(problems) if problems else ("running" if frames else "waiting for images"),
            hardware_id=self._hardware_id,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def close(self) -> None:
        """Destroy the publisher and its timer."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _publish(self) -> None:
        message = DiagnosticArray(status=[self.status()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
