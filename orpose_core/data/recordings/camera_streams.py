"""The messages of one camera brought together to frames, be they read from a bag or heard on live topics.

An image that makes a frame waits until its partner is known: the nearest in time once a later one has come.
So the outcome hangs on the stamps, and not on the order in which messages of different topics arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orpose_core.data.reading import USUAL, Reading
from orpose_core.data.recordings.recording import Modality, RecordedFrame, SkipLog
from orpose_core.types import FloatArray, Intrinsics, RgbdFrame

MOST_WAITING = 60
"""Messages of a topic that wait for their partners, at most."""

_JUMP_NS = 1_000_000_000


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one camera; None = it has none."""

    name: str
    color: str | None = None
    depth: str | None = None
    camera_info: str | None = None

    def frame_name(self, stamp_ns: int) -> str:
        """Return the name of this camera's frame of a moment, fit for a file."""
        return f"{self.name.strip('/').replace('/', '_')}_{stamp_ns}".strip("_")


@dataclass
class _Message:
    """An undecoded message that waits for its partner."""

    stamp_ns: int
    content: Any


class CameraStream:
    """Takes the messages of one camera in the order of their arrival and gives frames.

    Attributes:
        topics: of the camera.
        main_topic: of the image that makes a frame.
        partner_topic: of the image that may join it, or None.
        intrinsics: of the newest camera_info.
        frames: how many were given.

    Args:
        topics: of the camera.
        modality: what is wanted of it; ``"color"`` joins depth where some is near, ``"rgbd"`` wants both.
        tolerance_ns: color and depth of one frame are at most so far apart.
        skipped: told what is left out.
        most_waiting: messages of a topic that wait, at most.
        await_camera_info: frames wait for the first camera_info, as long as that many allow.
        reading: settings for decoding the messages.
    """

    def __init__(
        self,
        topics: CameraTopics,
        modality: Modality,
        tolerance_ns: int,
        skipped: SkipLog,
        *,
        most_waiting: int = MOST_WAITING,
        await_camera_info: bool = False,
        reading: Reading = USUAL,
    ) -> None:
        main = topics.depth if modality == "depth" else topics.color
        if main is None:
            raise ValueError(f"camera {topics.name}: expected a topic for {modality}, got none")
        self.topics, self.main_topic = topics, main
        self.partner_topic = None if modality == "depth" else topics.depth
        self.intrinsics: Intrinsics | None = None
        self.frames = 0
        self._modality, self._tolerance_ns, self._skipped = modality, tolerance_ns, skipped
        self._most_waiting, self._reading = most_waiting, reading
        self._awaits_info = await_camera_info and topics.camera_info is not None
        self._main: deque[_Message] = deque()
        self._partner: deque[_Message] = deque()
        self._newest_ns: dict[str, int] = {}

    def take_camera_info(self, stamp_ns: int, content: Any) -> None:
        """Take a camera_info; one that is not calibrated is reported and changes nothing."""
        assert self.topics.camera_info is not None
        try:
            self.intrinsics = self._reading.intrinsics(content)
        except ValueError as error:
            self._skipped.add(self.topics.camera_info, str(error), stamp_ns)

    def take(self, topic: str, stamp_ns: int, content: Any) -> Iterator[RecordedFrame]:
        """Take a message of one of the topics, and yield the frames that it completes."""
        if topic == self.topics.camera_info:
            self.take_camera_info(stamp_ns, content)
            yield from self.settle() if self._awaits_info else ()
            return
        before = self._newest_ns.get(topic, stamp_ns)
        if stamp_ns < before - _JUMP_NS:
            self._skipped.add(topic, f"time jumps back by {(before - stamp_ns) / 1e9:.1f} s", stamp_ns)
            yield from self.settle(finished=True)
            self._partner.clear()
            self._newest_ns.clear()
        self._newest_ns[topic] = stamp_ns
        if topic == self.main_topic:
            self._main.append(_Message(stamp_ns, content))
        else:
            self._partner.append(_Message(stamp_ns, content))
            if len(self._partner) > 2 * self._most_waiting:  # of the images that wait none loses its own
                self._partner.popleft()
        yield from self.settle()

    def settle(self, finished: bool = False) -> Iterator[RecordedFrame]:
        """Yield the frames whose partner can no longer change; all that wait where nothing more will come."""
        while self._main:
            first = self._main[0]
            if not finished and len(self._main) <= self._most_waiting and self._waits(first):
                return
            self._main.popleft()
            frame = self._frame(first, self._partner_of(first))
            if frame is not None:
                self.frames += 1
                yield RecordedFrame(frame, self.topics.frame_name(first.stamp_ns), self.topics.name)

    def _waits(self, first: _Message) -> bool:
        if self._awaits_info and self.intrinsics is None:
            return True
        newest = self._newest_ns.get(self.partner_topic or "", -1)
        return self.partner_topic is not None and newest < first.stamp_ns

    def _partner_of(self, first: _Message) -> _Message | None:
        """Take the partner nearest in time out of those that wait, and forget those before it."""
        if not self._partner:
            return None
        best = min(self._partner, key=lambda m: abs(m.stamp_ns - first.stamp_ns))
        if abs(best.stamp_ns - first.stamp_ns) > self._tolerance_ns:
            return None
        while self._partner.popleft() is not best:
            pass
        return best

    def _frame(self, first: _Message, partner: _Message | None) -> RgbdFrame | None:
        """Decode one frame; None, and a report, where that cannot be done."""
        stamp_ns, topic = first.stamp_ns, self.main_topic
        if partner is None and self.partner_topic is not None:
            self._skipped.add(topic, f"no depth within {self._tolerance_ns / 1e9:g} s", stamp_ns)
            if self._modality == "rgbd":
                return None
        rgb = depth_m = None
        try:
            if self._modality == "depth":
                depth_m = self._reading.depth(first.content)
            else:
                rgb = self._reading.color(first.content)
        except ValueError as error:
            self._skipped.add(topic, str(error), stamp_ns)
            return None
        if partner is not None:
            frame_id = str(first.content.header.frame_id)
            depth_m = self._partner_depth(partner, rgb.shape[:2], frame_id)  # type: ignore[union-attr]
            if depth_m is None and self._modality == "rgbd":
                return None
        image = depth_m if rgb is None else rgb
        assert image is not None
        intrinsics = self._fitting((int(image.shape[0]), int(image.shape[1])), stamp_ns)
        return RgbdFrame(rgb, depth_m, intrinsics, str(first.content.header.frame_id), stamp_ns)

    def _partner_depth(self, partner: _Message, size_hw: tuple[int, ...], frame_id: str) -> FloatArray | None:
        """Decode the depth that belongs to a color image; None, and a report, where it does not fit."""
        assert self.partner_topic is not None
        depth_frame = str(partner.content.header.frame_id)
        if depth_frame.lstrip("/") != frame_id.lstrip("/"):
            why = f"depth is in frame {depth_frame!r} and not registered to color, which is in {frame_id!r}"
            self._skipped.add(self.partner_topic, why, partner.stamp_ns)
            return None
        try:
            depth_m = self._reading.depth(partner.content)
        except ValueError as error:
            self._skipped.add(self.partner_topic, str(error), partner.stamp_ns)
            return None
        if depth_m.shape != size_hw:
            self._skipped.add(
                self.partner_topic,
                f"depth is {depth_m.shape[1]}x{depth_m.shape[0]} and not registered to color, "
                f"which is {size_hw[1]}x{size_hw[0]}",
                partner.stamp_ns,
            )
            return None
        return depth_m

    def _fitting(self, size_hw: tuple[int, int], stamp_ns: int) -> Intrinsics | None:
        k = self.intrinsics
        if k is None or (k.height, k.width) == size_hw:
            return k
        assert self.topics.camera_info is not None
        why = f"camera_info is for {k.width}x{k.height}, the image is {size_hw[1]}x{size_hw[0]}"
        self._skipped.add(self.topics.camera_info, why, stamp_ns)
        return None
