"""The diagnostics of a node: rate, latency, drops, device, and problems.

All values are over the last :data:`WINDOW_S` of wall time, so that one frame every seven seconds is reported
as 0.14 Hz, and past faults disappear. The level follows :class:`Thresholds`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from orpose_ros.running.origin import Origin

PERIOD_S = 1.0
WINDOW_S = 10.0
_MOST_EVENTS = 20_000  # 40 cameras at 50 Hz over the window


@dataclass(frozen=True)
class Thresholds:
    """Thresholds over the window above which a status is a warning or an error.

    Attributes:
        refused_warn: share of refused frames for a warning.
        refused_error: share of refused frames for an error.
        dropped_warn: share of frames dropped for newer ones, for a warning.
        dropped_error: the same for an error.
        latency_warn_s: median latency for a warning, s.
        latency_error_s: median latency for an error, s.
    """

    refused_warn: float = 0.0
    refused_error: float = 0.5
    dropped_warn: float = 0.1
    dropped_error: float = 0.8
    latency_warn_s: float = 0.5
    latency_error_s: float = 2.0


FRAMES, DROPPED, REFUSED = "frames", "dropped", "refused"
_OK, _WARN, _ERROR = (
    int.from_bytes(level, "little")
    for level in (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR)
)


class NodeDiagnostics:
    """Counts frames and publishes a DiagnosticStatus once a second; any thread may call its methods.

    Attributes:
        hardware_id: the device, for example ``cuda:0``; it can be set later.
    """

    def __init__(
        self,
        node: Node,
        hardware_id: str = "",
        values: Callable[[], Mapping[str, object]] | None = None,
        problems: Callable[[], Sequence[str]] | None = None,
        thresholds: Thresholds | None = None,
        served: str = "images",
    ) -> None:
        """Create the publisher and its timer.

        Args:
            node: the node.
            hardware_id: the device, "" = not known yet.
            values: returns further key-value pairs; called once a second.
            problems: returns the current problems; each makes the status a warning.
            thresholds: thresholds of the levels.
            served: description of what the node processes, for the message while nothing has arrived.
        """
        self._node = node
        self.hardware_id = hardware_id
        self._values = values or dict
        self._problems = problems or tuple
        self._thresholds = thresholds or Thresholds()
        self._served = served
        self._origin = Origin.here()
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._events: deque[tuple[float, str, float]] = deque(maxlen=_MOST_EVENTS)  # time, kind, latency; s
        self._counts = {FRAMES: 0, DROPPED: 0, REFUSED: 0}
        self._busy = ""
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(
            PERIOD_S, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def frame(self, latency_s: float) -> None:
        """Count a frame that was processed, this many seconds after it arrived."""
        self._count(FRAMES, 1, latency_s)

    def drop(self, count: int = 1) -> None:
        """Count frames that were dropped for newer ones."""
        self._count(DROPPED, count)

    def refuse(self, count: int = 1) -> None:
        """Count frames that were refused."""
        self._count(REFUSED, count)

    def counts(self) -> dict[str, int]:
        """Return the numbers of processed, dropped and refused frames so far."""
        with self._lock:
            return dict(self._counts)

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Report once a second why the node does not work yet, such as ``loading the model``.

        A separate thread publishes, because the executor may be blocked meanwhile.
        """
        done = threading.Event()
        began_s = time.monotonic()

        def tell() -> None:
            while True:
                self._busy = f"{doing}, for {time.monotonic() - began_s:.0f} s"
                self._publish()
                if done.wait(PERIOD_S):
                    return

        teller = threading.Thread(target=tell, name="diagnostics", daemon=True)
        teller.start()
        try:
            yield
        finally:
            done.set()
            teller.join()
            self._busy = ""
            self._began_s = time.monotonic()

    def status(self) -> DiagnosticStatus:
        """Return the current status."""
        now = time.monotonic()
        with self._lock:
            while self._events and now - self._events[0][0] > WINDOW_S:
                self._events.popleft()
            counts, events = dict(self._counts), list(self._events)
        window_s = max(min(now - self._began_s, WINDOW_S), 1e-3)
        latencies = sorted(latency for _, kind, latency in events if kind == FRAMES)
        values: dict[str, object] = {**self._origin.values, "rate (Hz)": f"{len(latencies) / window_s:.2f}"}
        if latencies:
            values["latency, median (ms)"] = f"{1e3 * latencies[len(latencies) // 2]:.1f}"
            values["latency, maximum (ms)"] = f"{1e3 * latencies[-1]:.1f}"
        values |= counts
        if self._busy:
            level, message = _WARN, self._busy
        else:
            values |= dict(self._values())
            level, message = self._judged(events, latencies)
        return DiagnosticStatus(
            level=bytes([level]),
            name=self._node.get_fully_qualified_name().lstrip("/"),
            message=message,
            hardware_id=self.hardware_id,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def close(self) -> None:
        """Destroy the publisher and its timer."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _count(self, kind: str, count: int, latency_s: float = 0.0) -> None:
        now = time.monotonic()
        with self._lock:
            self._counts[kind] += count
            self._events.extend([(now, kind, latency_s)] * min(count, _MOST_EVENTS))

    def _judged(
        self, events: Sequence[tuple[float, str, float]], latencies: Sequence[float]
    ) -> tuple[int, str]:
        """Return the level and the message."""
        limits, level, sentences = self._thresholds, _OK, list(self._problems())
        if sentences:
            level = _WARN
        for kind, warn, error in (
            (REFUSED, limits.refused_warn, limits.refused_error),
            (DROPPED, limits.dropped_warn, limits.dropped_error),
        ):
            count = sum(event[1] == kind for event in events)
            share = count / max(len(events), 1)
            if share > warn:
                level = max(level, _ERROR if share > error else _WARN)
                sentences.append(f"{count} of {len(events)} frames {kind} in the last {WINDOW_S:g} s")
        median_s = latencies[len(latencies) // 2] if latencies else 0.0
        if median_s > limits.latency_warn_s:
            level = max(level, _ERROR if median_s > limits.latency_error_s else _WARN)
            sentences.append(f"median latency {median_s:.2f} s")
        if sentences:
            return level, "; ".join(sentences)
        return level, "running" if latencies else f"waiting for {self._served}"

    def _publish(self) -> None:
        message = DiagnosticArray(status=[self.status()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
