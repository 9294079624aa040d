"""Endurance test of the graph: memory is flat, latency bounded, every image accounted for, no error."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile

from orpose_core.data.skeleton_messages import stamp_ns_of
from orpose_ros.endurance.running import Running, Say, running
from orpose_ros.graph.spun_by_hand import SpunByHand
from orpose_ros.msg import Skeleton2DArray, Skeleton3DArray

MOST_GROWTH = 0.02
MOST_SPREAD = 2.5
_START_S = 1200.0
_SAMPLE_S = 2.0
_SETTLE = 0.2  # of the time; caches fill meanwhile
_QUIET_S = 5.0
_COUNTS_S = 120.0  # until the last diagnostics arrive


@dataclass
class Soak:
    """Results of an endurance test.

    Attributes:
        minutes: duration.
        sent: number of images by camera.
        answered: number of skeleton messages by camera.
        fused: number of messages with fused people.
        latencies_s: from the stamp of an image to its skeletons, s, after the first fifth of the time.
        memory_kib: anonymous memory of each node's process, KiB, every 2 s.
        counts: frames, dropped, refused of each node, from its diagnostics.
        errors: lines of the logs with ERROR or FATAL.
        load: load of the machine at the end, over the last minute.
    """

    minutes: float
    sent: dict[str, int] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    fused: int = 0
    latencies_s: list[float] = field(default_factory=list)
    memory_kib: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    load: float = 0.0

    @property
    def growth(self) -> dict[str, float]:
        """Growth of each node's memory: median of the last fifth over that of the second fifth, minus 1."""
        found = {}
        for name, samples in self.memory_kib.items():
            fifth = max(len(samples) // 5, 1)
            early, late = np.median(samples[fifth : 2 * fifth] or samples), np.median(samples[-fifth:])
            found[name] = float(late / early - 1)
        return found

    @property
    def latency_s(self) -> tuple[float, float]:
        """Median and 99th percentile of the latency, s."""
        if not self.latencies_s:
            return float("nan"), float("nan")
        median, p99 = np.percentile(self.latencies_s, [50, 99])
        return float(median), float(p99)

    @property
    def unaccounted(self) -> int:
        """Number of sent images that no node counts as served, dropped or refused."""
        counted = sum(
            count
            for node, counts in self.counts.items()
            if node.endswith(("lowres_gateway", "pose_node"))
            for kind, count in counts.items()
            if kind != "frames"
        )
        return sum(self.sent.values()) - sum(self.answered.values()) - counted

    @property
    def accounts_for_all(self) -> bool:
        """Whether every image is served or counted."""
        # The count of what was lost before a camera's first image is right to about one image, and its last
        # image may be lost.
        return abs(self.unaccounted) <= 2 * len(self.sent)

    @property
    def verdicts(self) -> dict[str, bool]:
        """The checks, and whether each passed."""
        median_s, p99_s = self.latency_s
        return {
            f"memory flat within {MOST_GROWTH:.0%}": max(self.growth.values(), default=1.0) <= MOST_GROWTH,
            f"latency p99 below {MOST_SPREAD:g} times the median": p99_s < MOST_SPREAD * median_s,
            "every image served or counted": self.accounts_for_all,
            "no error in any log": not self.errors,
        }

    @property
    def holds(self) -> bool:
        """Whether all checks passed."""
        return all(self.verdicts.values())


class _Listener(SpunByHand):
    """Subscribes to the skeletons and the diagnostics."""

    def __init__(self, cameras: Sequence[str], result: Soak) -> None:
        rclpy.init()
        self.result, self.measuring, self.heard_s = result, False, time.monotonic()
        super().__init__("soak")
        many = QoSProfile(depth=200)
        result.answered = dict.fromkeys(cameras, 0)
        for name in cameras:
            take = partial(self._take, name)
            self._node.create_subscription(Skeleton2DArray, f"{name}/skeletons_2d", take, many)
        self._node.create_subscription(Skeleton3DArray, "room/skeletons_3d", self._take_fused, many)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, many)

    def _take(self, camera: str, message: Skeleton2DArray) -> None:
        self.heard_s = time.monotonic()
        self.result.answered[camera] += 1
        if self.measuring:
            self.result.latencies_s.append((time.time_ns() - stamp_ns_of(message)) / 1e9)

    def _take_fused(self, message: Skeleton3DArray) -> None:
        self.result.fused += 1

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            kinds = ("frames", "dropped", "refused")
            if all(values.get(kind, "").isdecimal() for kind in kinds):
                self.result.counts[f"/{status.name}"] = {kind: int(values[kind]) for kind in kinds}


def soak(
    minutes: float, cameras: Sequence[str], rate_hz: float, folder: Path, model: str, say: Say = print
) -> Soak:
    """Run the graph for some minutes and return the measurements."""
    result = Soak(minutes)
    with running(cameras, rate_hz, folder, {"pose_node": {"model": model}}, say=say) as run:
        listener = _Listener(cameras, result)
        try:
            _wait(listener, run)
            say(f"all nodes are at work; measuring for {minutes:g} minutes ...")
            _measure(listener, run, 60 * minutes)
            result.sent = run.stop_cameras()
            end_s = time.monotonic() + _COUNTS_S
            while time.monotonic() - listener.heard_s < _QUIET_S or (
                not result.accounts_for_all and time.monotonic() < end_s
            ):
                listener.spin(0.5)  # a busy machine delivers the last counts late
            result.load = os.getloadavg()[0]
        finally:
            listener.close()
        result.errors = [w for w in run.nodes.warnings() if not w.startswith("[WARN]")]
    return result


def _wait(listener: _Listener, run: Running) -> None:
    end_s = time.monotonic() + _START_S
    while not (all(listener.result.answered.values()) and listener.result.fused):
        run.check()
        listener.spin(0.5)
        if time.monotonic() > end_s:
            raise ValueError(f"not within {_START_S:g} s: skeletons of every camera and of the room")


def _measure(listener: _Listener, run: Running, seconds: float) -> None:
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < seconds:
        run.check()
        listener.measuring = passed_s >= _SETTLE * seconds
        for name, pid in run.nodes.ids.items():
            listener.result.memory_kib.setdefault(name, []).append(anonymous_memory_kib(pid))
        listener.spin(min(_SAMPLE_S, seconds - passed_s))


def anonymous_memory_kib(pid: int) -> int:
    """Return the anonymous memory of a process, KiB, which a leak increases."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


def report(result: Soak) -> list[str]:
    """Return the measurements as lines of text."""
    median_s, p99_s = result.latency_s
    sent, answered = sum(result.sent.values()), sum(result.answered.values())
    lines = [
        f"{result.minutes:g} minutes, {len(result.sent)} cameras, {os.cpu_count()} processors, load "
        f"{result.load:.1f} at the end",
        f"images sent {sent:,}, answered {answered:,}, unaccounted {result.unaccounted}; "
        f"moments of the room {result.fused:,}",
        f"latency median {1e3 * median_s:.1f} ms, p99 {1e3 * p99_s:.1f} ms ({p99_s / median_s:.2f} times)",
    ]
    for name, growth in result.growth.items():
        counts = result.counts.get(name, {})
        said = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
        lines.append(f"  {name}  {result.memory_kib[name][-1] / 1024:.0f} MiB, {growth:+.2%}  {said}")
    lines += result.errors[:20]
    lines += [f"{'holds' if holds else 'FAILS'}: {promise}" for promise, holds in result.verdicts.items()]
    return lines
