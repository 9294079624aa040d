"""Checks that nothing the graph publishes, logs or stores contains an image above the limit.

The images carry a random mark (:class:`~orpose_ros.endurance.mark.Mark`), which is searched for in messages,
parameter events, logs and files, as px, in m, or as text. In addition, no image, encoded or not, may have
more px than the limit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from orpose_core.audit.verification import verify
from orpose_ros.endurance.mark import Mark, large_image_in
from orpose_ros.endurance.running import Say, running
from orpose_ros.graph.deployment import ROOM
from orpose_ros.graph.message_sizes import IMAGE_TYPES
from orpose_ros.graph.spun_by_hand import SpunByHand
from orpose_ros.messages import installed_message_class

MOST_PIXELS = 4800
CAMERAS_NODE = "cameras"
_START_S = 1200.0
_MOST_FINDINGS = 20


@dataclass
class Seen:
    """What was searched, and what was found.

    Attributes:
        messages: number of messages by topic.
        largest: bytes of the largest message by topic.
        unread: topics that could not be read, with the reason.
        files: number of files.
        file_bytes: their size.
        findings: violations.
    """

    messages: dict[str, int] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    files: int = 0
    file_bytes: int = 0
    findings: list[str] = field(default_factory=list)

    def look(self, where: str, content: bytes, mark: Mark) -> None:
        """Search for the mark, and for encoded images above the limit."""
        if form := mark.found_in(content):
            self.find(f"{where}: a piece of a full-size image ({form})")
        if large := large_image_in(content, MOST_PIXELS):
            self.find(f"{where}: {large}")

    def find(self, sentence: str) -> None:
        """Add a finding, if it is new."""
        if sentence not in self.findings and len(self.findings) < _MOST_FINDINGS:
            self.findings.append(sentence)


class Recorder(SpunByHand):
    """Subscribes to every topic except those of the cameras, and searches the bytes of each message."""

    def __init__(self, mark: Mark, seen: Seen) -> None:
        rclpy.init()
        self.mark, self.seen = mark, seen
        super().__init__("recorder")
        self._subscriptions: dict[str, Any] = {}

    def spin(self, seconds: float) -> None:
        """Receive messages for some time, and look for new topics every second."""
        end_s, look_s = time.monotonic() + seconds, 0.0
        while (now_s := time.monotonic()) < end_s:
            if now_s >= look_s:
                look_s = now_s + 1.0
                self._follow()
            self._executor.spin_once(timeout_sec=0.1)

    def _follow(self) -> None:
        for topic, types in self._node.get_topic_names_and_types():
            publishers = self._node.get_publishers_info_by_topic(topic)
            others = [p for p in publishers if p.node_name not in (CAMERAS_NODE, "recorder")]
            if topic in self._subscriptions or not others:
                continue
            kind = installed_message_class(types[0])
            if kind is None or len(types) > 1:
                self.seen.unread[topic] = f"{', '.join(types)} is not installed here"
                continue
            latched = all(p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in others)
            reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in others)
            qos = QoSProfile(
                depth=1000,
                reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
                durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
            )
            hear = partial(self._hear, topic, kind)
            self._subscriptions[topic] = self._node.create_subscription(kind, topic, hear, qos, raw=True)

    def _hear(self, topic: str, kind: Any, data: bytes) -> None:
        seen = self.seen
        seen.messages[topic] = seen.messages.get(topic, 0) + 1
        seen.largest[topic] = max(seen.largest.get(topic, 0), len(data))
        seen.look(f"topic {topic}", data, self.mark)
        if kind.__name__ in IMAGE_TYPES:
            message = deserialize_message(data, kind)
            height, width = getattr(message, "height", 0), getattr(message, "width", 0)
            if height * width > MOST_PIXELS:
                seen.find(f"topic {topic}: an image of {width}x{height} px")


def look_at_files(folder: Path, mark: Mark, seen: Seen) -> None:
    """Search every file below a folder."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            seen.files += 1
            seen.file_bytes += len(content)
            seen.look(f"file {file.relative_to(folder)}", content, mark)


def privacy(
    minutes: float, cameras: Sequence[str], rate_hz: float, folder: Path, model: str, say: Say = print
) -> Seen:
    """Run the graph for some minutes, search everything, and return what was found."""
    mark, seen = Mark(), Seen()
    given = {"pose_node": {"model": model}}
    with running(cameras, rate_hz, folder, given, mark, say) as run:
        recorder = Recorder(mark, seen)
        try:
            wanted = {f"/{camera}/skeletons_2d" for camera in cameras}
            wanted |= {f"/{ROOM}/skeletons_3d", f"/{ROOM}/skeleton_markers"}
            end_s = time.monotonic() + _START_S
            while not wanted <= set(seen.messages):
                run.check()
                recorder.spin(1.0)
                if time.monotonic() > end_s:
                    missing = ", ".join(sorted(wanted - set(seen.messages)))
                    raise ValueError(f"not within {_START_S:g} s: {missing}")
            say(f"all nodes are at work; recording for {minutes:g} minutes ...")
            end_s = time.monotonic() + 60 * minutes
            while time.monotonic() < end_s:
                run.check()
                recorder.spin(min(5.0, max(0.0, end_s - time.monotonic())))
            run.stop_cameras()
        finally:
            recorder.close()
    look_at_files(folder, mark, seen)
    for fault in verify(folder / "audit.log").faults:
        seen.find(f"audit log: {fault}")
    return seen


def report(seen: Seen) -> list[str]:
    """Return what was found as lines of text."""
    count = sum(seen.messages.values())
    lines = [f"{count:,} messages on {len(seen.messages)} topics; the largest of each, bytes:"]
    lines += [
        f"  {topic}  {seen.largest[topic]:,} ({count:,})" for topic, count in sorted(seen.messages.items())
    ]
    lines += [f"  {topic}  not read: {why}" for topic, why in sorted(seen.unread.items())]
    lines.append(f"{seen.files} files and logs with {seen.file_bytes:,} bytes")
    lines += [f"FOUND {finding}" for finding in seen.findings]
    if not seen.findings:
        lines.append(f"nothing of a full-size image anywhere, and no image of more than {MOST_PIXELS} px")
    return lines
