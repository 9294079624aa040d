"""Recorded topics to frames, with no ROS: rosbag2 (sqlite3, mcap) and ROS 1 bags, read with `rosbags`.

Memory stays flat: messages are read in the order of the recording, and only the few that still wait for their
partner are kept. What is missing or damaged is reported in ``skipped`` and does not end the reading.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orpose_core.data.damaged_mcap import RepairedMcap
from orpose_core.data.image_messages import decode_color, decode_depth, intrinsics_of
from orpose_core.data.recordings import Modality, RecordedFrame, SkipLog
from orpose_core.types import FloatArray, Intrinsics, RgbdFrame

logger = logging.getLogger(__name__)

BAG_SUFFIXES = (".mcap", ".db3", ".bag")
_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
_TYPES = {"color": _IMAGE_TYPES, "depth": _IMAGE_TYPES, "camera_info": (_INFO_TYPE,)}

# Words of a topic that say what kind of image it is, not which camera took it.
_KIND_WORDS = re.compile(
    r"^(rgb|colou?r|depth|depth_registered|aligned_depth_to_colou?r|depth_to_rgb|image|image_raw|image_rect"
    r"|image_rect_raw|image_colou?r|image_rect_colou?r|image_mono|hw_registered|sw_registered|raw|compressed"
    r"|compressedDepth|camera_info)$"
)
_NOT_WANTED = re.compile(r"(^|[/_])(ir|infra\d*|infrared|disparity|mask|confidence|theora|zstd)([/_]|$)")
_JUMP_NS = 1_000_000_000
_MOST_WAITING = 60


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one camera; None = it has none."""

    name: str
    color: str | None = None
    depth: str | None = None
    camera_info: str | None = None


def looks_like_bag(path: Path) -> bool:
    """Whether a path is a bag file, or a folder with one in it."""
    if path.is_dir():
        names = [f.name for f in path.iterdir()]
        return "metadata.yaml" in names or any(n.endswith((".mcap", ".db3")) for n in names)
    return path.suffix in BAG_SUFFIXES


def discover_cameras(
    topics: Sequence[tuple[str, str]], modality: Modality = "rgbd"
) -> tuple[CameraTopics, ...]:
    """Find cameras among topics, by type and name.

    Topics belong together if their names are the same without the words that tell the kind of image
    (``/cam/rgb/image_raw`` and ``/cam/depth_registered/image`` are of ``/cam``). Of several candidates
    registered depth, rectified color and uncompressed images come first; infrared, masks and the like are
    left out. The camera_info is the one nearest to the image that is read (see ``modality``).

    Args:
        topics: (name, message type).
        modality: what is wanted; cameras that cannot give it are left out.

    Returns:
        The cameras in the order of their names.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for topic, kind in sorted(set(topics)):
        role = "camera_info" if kind == _INFO_TYPE else _role_of(topic) if kind in _IMAGE_TYPES else None
        if role is not None and not _NOT_WANTED.search(topic):
            groups.setdefault(_camera_of(topic), {}).setdefault(role, []).append(topic)
    cameras = []
    for name, found in sorted(groups.items()):
        color = min(found.get("color", [None]), key=_preference)
        depth = min(found.get("depth", [None]), key=_preference)
        main = depth if modality == "depth" else color
        if main is None or (modality == "rgbd" and depth is None):
            continue
        infos = found.get("camera_info", [])
        info = max(infos, key=lambda t: (_common_words(t, main), -len(t)), default=None)
        cameras.append(CameraTopics(name, None if modality == "depth" else color, depth, info))
    return tuple(cameras)


def _role_of(topic: str) -> str:
    return "depth" if re.search(r"depth", topic, re.IGNORECASE) else "color"


def _camera_of(topic: str) -> str:
    words = topic.strip("/").split("/")
    while words and _KIND_WORDS.match(words[-1]):
        words.pop()
    return "/" + "/".join(words)


def _preference(topic: str | None) -> tuple[bool, bool, bool, int]:
    if topic is None:
        return (True, True, True, 0)
    compressed = topic.endswith(("/compressed", "/compressedDepth"))
    registered = bool(re.search(r"registered|aligned|to_colou?r|to_rgb", topic))
    return (compressed, not registered, "rect" not in topic, len(topic))


def _common_words(a: str, b: str) -> int:
    count = 0
    for x, y in zip(a.split("/"), b.split("/"), strict=False):
        if x != y:
            break
        count += 1
    return count


@dataclass
class _Message:
    """An undecoded message that waits for its partner."""

    stamp_ns: int
    content: Any


@dataclass
class _Stream:
    """One camera while its bag is read; ``main`` is the image that makes a frame, ``partner`` may join it."""

    topics: CameraTopics
    main_topic: str
    partner_topic: str | None
    main: deque[_Message] = field(default_factory=deque)
    partner: deque[_Message] = field(default_factory=deque)
    newest_ns: dict[str, int] = field(default_factory=dict)
    intrinsics: Intrinsics | None = None
    frames: int = 0


class BagRecording:
    """A bag as a recording.

    Attributes:
        cameras: whose topics are read.
        skipped: what was left out.

    Args:
        path: folder or file.
        modality: ``"depth"`` reads depth alone, ``"color"`` joins depth where some is near in time,
            ``"rgbd"`` gives only frames that have both.
        topics: ``color``, ``depth``, ``camera_info`` of one camera; None = :func:`discover_cameras`.
        tolerance_s: color and depth of one frame are at most so far apart.

    Raises:
        ValueError: on entering: not a readable bag, or the topics are not there.
    """

    def __init__(
        self,
        path: str | Path,
        modality: Modality = "depth",
        *,
        topics: dict[str, str] | None = None,
        tolerance_s: float = 0.05,
    ) -> None:
        if not tolerance_s >= 0:
            raise ValueError(f"tolerance_s: expected 0 or more, got {tolerance_s}")
        unknown = sorted(set(topics or {}) - set(_TYPES))
        if unknown:
            raise ValueError(f"topics: expected {', '.join(_TYPES)}, got {', '.join(unknown)}")
        self.path, self.skipped = Path(path), SkipLog()
        self.cameras: tuple[CameraTopics, ...] = ()
        self._modality, self._wanted = modality, topics
        self._tolerance_ns = int(tolerance_s * 1e9)
        self._readers: list[Any] = []
        self._count = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> BagRecording:
        try:
            self._readers = _open_readers(self.path, self._stack, self.skipped)
            self.cameras = self._chosen_cameras()
            main = {self._main_topic(c) for c in self.cameras}
            self._count = sum(c.msgcount for r in self._readers for c in r.connections if c.topic in main)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def frame_count(self) -> int:
        """How many images the main topics have."""
        return self._count

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the frames of all cameras in the order of the recording."""
        streams = [
            _Stream(c, self._main_topic(c), None if self._modality == "depth" else c.depth)
            for c in self.cameras
        ]
        for stream in streams:
            stream.intrinsics = self._first_intrinsics(stream.topics)
        by_topic: dict[str, list[_Stream]] = {}
        for stream in streams:
            for topic in (stream.main_topic, stream.partner_topic, stream.topics.camera_info):
                if topic is not None:
                    by_topic.setdefault(topic, []).append(stream)
        for topic, stamp_ns, content in self._messages(set(by_topic)):
            for stream in by_topic[topic]:
                yield from self._take(stream, topic, stamp_ns, content)
        for stream in streams:
            yield from self._settle(stream, finished=True)
            if stream.frames == 0:
                self.skipped.add(stream.main_topic, "no frame came of it")

    def _main_topic(self, camera: CameraTopics) -> str:
        topic = camera.depth if self._modality == "depth" else camera.color
        assert topic is not None  # the choice of cameras saw to it
        return topic

    def _chosen_cameras(self) -> tuple[CameraTopics, ...]:
        there = {(c.topic, c.msgtype) for r in self._readers for c in r.connections}
        images = sorted(f"{t} ({k})" for t, k in there if k in (*_IMAGE_TYPES, _INFO_TYPE))
        if self._wanted is None:
            cameras = discover_cameras(sorted(there), self._modality)
            if not cameras:
                raise ValueError(
                    f"{self.path}: expected topics with {self._modality} images, "
                    f"got {', '.join(images) or 'none'}"
                )
            for camera in cameras:
                if camera.camera_info is None:
                    self.skipped.add(camera.name, "no camera_info topic: poses stay in px")
            return cameras
        for role, topic in self._wanted.items():
            kinds = {k for t, k in there if t == topic}
            if not kinds & set(_TYPES[role]):
                raise ValueError(
                    f"{self.path}: expected a {role} topic {topic!r} of {' or '.join(_TYPES[role])}, "
                    f"got {', '.join(kinds) or 'no such topic'}; there are {', '.join(images) or 'none'}"
                )
        needed = ("color", "depth") if self._modality == "rgbd" else (str(self._modality),)
        missing = [role for role in needed if role not in self._wanted]
        if missing:
            raise ValueError(f"topics: expected {' and '.join(needed)}, got no {' nor '.join(missing)}")
        return (CameraTopics(_camera_of(self._wanted[needed[0]]), **self._wanted),)

    def _messages(self, topics: set[str]) -> Iterator[tuple[str, int, Any]]:
        """Yield (topic, stamp, message); what cannot be read is reported, and a broken file ends early."""
        for reader in self._readers:
            connections = [c for c in reader.connections if c.topic in topics]
            if not connections:
                continue
            messages = reader.messages(connections=connections)
            while True:
                try:
                    connection, log_ns, raw = next(messages)
                except StopIteration:
                    break
                except Exception as error:  # sqlite3, struct, zstd, rosbags: whatever a damaged file causes
                    self.skipped.add(str(self.path), f"the rest cannot be read: {error}")
                    break
                try:
                    content = reader.deserialize(raw, connection.msgtype)
                except Exception as error:
                    self.skipped.add(connection.topic, f"a message cannot be read: {error}", log_ns)
                    continue
                stamp = content.header.stamp
                stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
                yield connection.topic, stamp_ns or log_ns, content

    def _first_intrinsics(self, camera: CameraTopics) -> Intrinsics | None:
        """Return the first camera_info: it may be recorded after the first image."""
        if camera.camera_info is None:
            return None
        for _, stamp_ns, content in self._messages({camera.camera_info}):
            intrinsics = self._intrinsics_of(camera.camera_info, content, stamp_ns)
            if intrinsics is not None:
                return intrinsics
        return None

    def _intrinsics_of(self, topic: str, content: Any, stamp_ns: int) -> Intrinsics | None:
        try:
            return intrinsics_of(content)
        except ValueError as error:
            self.skipped.add(topic, str(error), stamp_ns)
            return None

    def _take(self, stream: _Stream, topic: str, stamp_ns: int, content: Any) -> Iterator[RecordedFrame]:
        if topic == stream.topics.camera_info:
            stream.intrinsics = self._intrinsics_of(topic, content, stamp_ns) or stream.intrinsics
            return
        before = stream.newest_ns.get(topic, stamp_ns)
        if stamp_ns < before - _JUMP_NS:
            self.skipped.add(topic, f"time jumps back by {(before - stamp_ns) / 1e9:.1f} s", stamp_ns)
            yield from self._settle(stream, finished=True)
            stream.partner.clear()
            stream.newest_ns.clear()
        stream.newest_ns[topic] = stamp_ns
        if topic == stream.main_topic:
            stream.main.append(_Message(stamp_ns, content))
        else:
            stream.partner.append(_Message(stamp_ns, content))
            if len(stream.partner) > _MOST_WAITING:
                stream.partner.popleft()
        yield from self._settle(stream)

    def _settle(self, stream: _Stream, finished: bool = False) -> Iterator[RecordedFrame]:
        """Yield the frames whose partner can no longer change."""
        while stream.main:
            first = stream.main[0]
            newest = stream.newest_ns.get(stream.partner_topic or "", -1)
            waits = stream.partner_topic is not None and newest < first.stamp_ns
            if waits and not finished and len(stream.main) <= _MOST_WAITING:
                return
            stream.main.popleft()
            frame = self._frame(stream, first, self._partner_of(stream, first))
            if frame is not None:
                stream.frames += 1
                name = f"{stream.topics.name.strip('/').replace('/', '_')}_{first.stamp_ns}".strip("_")
                yield RecordedFrame(frame, name, stream.topics.name)

    def _partner_of(self, stream: _Stream, first: _Message) -> _Message | None:
        """Take the partner nearest in time out of those that wait, and forget those before it."""
        if not stream.partner:
            return None
        best = min(stream.partner, key=lambda m: abs(m.stamp_ns - first.stamp_ns))
        if abs(best.stamp_ns - first.stamp_ns) > self._tolerance_ns:
            return None
        while stream.partner.popleft() is not best:
            pass
        return best

    def _frame(self, stream: _Stream, first: _Message, partner: _Message | None) -> RgbdFrame | None:
        """Decode one frame; None, and a report, where that cannot be done."""
        stamp_ns, topic = first.stamp_ns, stream.main_topic
        if partner is None and stream.partner_topic is not None:
            self.skipped.add(topic, f"no depth within {self._tolerance_ns / 1e9:g} s", stamp_ns)
            if self._modality == "rgbd":
                return None
        rgb = depth_m = None
        try:
            if self._modality == "depth":
                depth_m = decode_depth(first.content)
            else:
                rgb = decode_color(first.content)
        except ValueError as error:
            self.skipped.add(topic, str(error), stamp_ns)
            return None
        if partner is not None:
            depth_m = self._partner_depth(stream, partner, (int(rgb.shape[0]), int(rgb.shape[1])))  # type: ignore[union-attr]
            if depth_m is None and self._modality == "rgbd":
                return None
        image = depth_m if rgb is None else rgb
        assert image is not None
        intrinsics = self._fitting(stream, (int(image.shape[0]), int(image.shape[1])), stamp_ns)
        return RgbdFrame(rgb, depth_m, intrinsics, str(first.content.header.frame_id), stamp_ns)

    def _partner_depth(
        self, stream: _Stream, partner: _Message, size_hw: tuple[int, int]
    ) -> FloatArray | None:
        assert stream.partner_topic is not None
        try:
            depth_m = decode_depth(partner.content)
        except ValueError as error:
            self.skipped.add(stream.partner_topic, str(error), partner.stamp_ns)
            return None
        if depth_m.shape != size_hw:
            self.skipped.add(
                stream.partner_topic,
                f"depth is {depth_m.shape[1]}x{depth_m.shape[0]} and not registered to color, "
                f"which is {size_hw[1]}x{size_hw[0]}",
                partner.stamp_ns,
            )
            return None
        return depth_m

    def _fitting(self, stream: _Stream, size_hw: tuple[int, int], stamp_ns: int) -> Intrinsics | None:
        k = stream.intrinsics
        if k is None or (k.height, k.width) == size_hw:
            return k
        assert stream.topics.camera_info is not None
        why = f"camera_info is for {k.width}x{k.height}, the image is {size_hw[1]}x{size_hw[0]}"
        self.skipped.add(stream.topics.camera_info, why, stamp_ns)
        return None


def _open_readers(path: Path, stack: contextlib.ExitStack, skipped: SkipLog) -> list[Any]:
    """Open a bag; of one that is damaged or was never closed, the files in it that can be read."""
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    typestore = get_typestore(Stores.ROS2_JAZZY)

    def opened(what: Any) -> Any:
        return stack.enter_context(AnyReader([what], default_typestore=typestore))

    # rosbags raises its own errors, sqlite3's, zstd's and those of struct for damaged files.
    try:
        return [opened(path)]
    except Exception as error:
        whole = str(error)
    readers = []
    files = sorted(f for f in path.iterdir() if f.suffix in (".mcap", ".db3")) if path.is_dir() else [path]
    for file in files:
        try:
            readers.append(
                opened(file) if path.is_dir() and file.suffix != ".mcap" else opened(RepairedMcap(file))
            )
        except Exception as error:
            skipped.add(str(file), f"cannot be read: {error}")
            continue
        skipped.add(str(file), f"read without its index, as far as it goes: {whole}")
    if not readers:
        raise ValueError(f"{path}: expected a bag (rosbag2 in mcap or sqlite3, or ROS 1), but: {whole}")
    return readers
