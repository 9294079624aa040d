"""Recorded topics to frames, with no ROS: rosbag2 (sqlite3, mcap) and ROS 1 bags, read with `rosbags`.

Memory stays flat: messages are read in the order of the recording, and only the few that still wait for their
partner are kept. What is missing or damaged is reported in ``skipped`` and does not end the reading.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orpose_core.data.reading import Reading
from orpose_core.data.recordings.bag_files import decompressed, open_readers
from orpose_core.data.recordings.camera_streams import CameraStream, CameraTopics
from orpose_core.data.recordings.recording import Modality, RecordedFrame, SkipLog
from orpose_core.files import MILLIMETRE_M

logger = logging.getLogger(__name__)

_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
_LONGEST_TOLERANCE_S = 3600.0
_TYPES = {"color": _IMAGE_TYPES, "depth": _IMAGE_TYPES, "camera_info": (_INFO_TYPE,)}

# Words of a topic that say what kind of image it is, not which camera took it.
_KIND_WORDS = re.compile(
    r"^(rgb|colou?r|depth|depth_registered|aligned_depth_to_colou?r|depth_to_rgb|image|image_raw|image_rect"
    r"|image_rect_raw|image_colou?r|image_rect_colou?r|image_mono|hw_registered|sw_registered|raw|compressed"
    r"|compressedDepth|camera_info)$"
)
_NOT_WANTED = re.compile(r"(^|[/_])(ir|infra\d*|infrared|disparity|mask|confidence|theora|zstd)([/_]|$)")


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
        info = _nearest(found.get("camera_info", []), main)
        cameras.append(CameraTopics(name, None if modality == "depth" else color, depth, info))
    return tuple(cameras)


def _role_of(topic: str) -> str:
    return "depth" if re.search(r"depth", topic, re.IGNORECASE) else "color"


def _camera_of(topic: str) -> str:
    words = topic.strip("/").split("/")
    while words and _KIND_WORDS.match(words[-1]):
        words.pop()
    return "/" + "/".join(words)


def _preference(topic: str | None) -> tuple[bool, bool, bool, bool, int]:
    if topic is None:
        return (True, True, True, True, 0)
    compressed = topic.endswith(("/compressed", "/compressedDepth"))
    as_picture = _role_of(topic) == "depth" and topic.endswith("/compressed")  # often JPEG, which is no depth
    registered = bool(re.search(r"registered|aligned|to_colou?r|to_rgb", topic))
    return (not registered, compressed, as_picture, "rect" not in topic, len(topic))


def _nearest(infos: Sequence[str], main: str) -> str | None:
    """Return the camera_info topic whose name is most like that of an image."""
    return max(sorted(infos), key=lambda t: (_common_words(t, main), -len(t)), default=None)


def _described(camera: CameraTopics) -> str:
    roles = {role: getattr(camera, role) for role in _TYPES}
    return f"camera {camera.name}: " + ", ".join(f"{role} {topic}" for role, topic in roles.items() if topic)


def _common_words(a: str, b: str) -> int:
    count = 0
    for x, y in zip(a.split("/"), b.split("/"), strict=False):
        if x != y:
            break
        count += 1
    return count


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
        depth_unit_m: what one step of 16-bit depth is, m.
        rectified: the images are rectified: their camera is P of camera_info, not K.

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
        depth_unit_m: float = MILLIMETRE_M,
        rectified: bool = False,
    ) -> None:
        if not 0 <= tolerance_s <= _LONGEST_TOLERANCE_S:
            raise ValueError(f"tolerance_s: expected 0 to {_LONGEST_TOLERANCE_S:g} s, got {tolerance_s:g}")
        unknown = sorted(set(topics or {}) - set(_TYPES))
        if unknown:
            raise ValueError(f"topics: expected {', '.join(_TYPES)}, got {', '.join(unknown)}")
        self.path, self.skipped = Path(path), SkipLog()
        self.cameras: tuple[CameraTopics, ...] = ()
        self.taken: tuple[str, ...] = ()
        self._modality, self._wanted = modality, topics
        self._tolerance_ns = int(tolerance_s * 1e9)
        self._readers: list[Any] = []
        self._count, self._reading = 0, Reading(depth_unit_m, rectified)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> BagRecording:
        try:
            self._readers = open_readers(self.path, self._stack, self.skipped)
            self.cameras = self._chosen_cameras()
            self.taken = tuple(map(_described, self.cameras))
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
            CameraStream(c, self._modality, self._tolerance_ns, self.skipped, reading=self._reading)
            for c in self.cameras
        ]
        for stream in streams:
            self._read_first_intrinsics(stream)
        by_topic: dict[str, list[CameraStream]] = {}
        for stream in streams:
            for topic in (stream.main_topic, stream.partner_topic, stream.topics.camera_info):
                if topic is not None:
                    by_topic.setdefault(topic, []).append(stream)
        for topic, stamp_ns, content in self._messages(set(by_topic)):
            for stream in by_topic[topic]:
                yield from stream.take(topic, stamp_ns, content)
        for stream in streams:
            yield from stream.settle(finished=True)
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
            cameras = discover_cameras(sorted(self._topics_with_messages()), self._modality)
            if not cameras:
                raise ValueError(
                    f"{self.path}: expected topics with {self._modality} images, "
                    f"got {', '.join(images) or 'none'}"
                )
            return self._with_camera_infos(cameras)
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
        main = self._wanted[needed[0]]
        camera = CameraTopics(_camera_of(main), **self._wanted)
        if camera.camera_info is None:
            infos = [t for t, kind in there if kind == _INFO_TYPE and _camera_of(t) == camera.name]
            camera = replace(camera, camera_info=_nearest(infos, main))
        return self._with_camera_infos((camera,))

    def _topics_with_messages(self) -> set[tuple[str, str]]:
        """Return (name, message type) of topics on which something came; a file without counts has all."""
        found = set()
        for reader in self._readers:
            counts = any(connection.msgcount for connection in reader.connections)
            found |= {(c.topic, c.msgtype) for c in reader.connections if c.msgcount or not counts}
        return found

    def _with_camera_infos(self, cameras: tuple[CameraTopics, ...]) -> tuple[CameraTopics, ...]:
        """Report the cameras that have none."""
        for camera in cameras:
            if camera.camera_info is None:
                self.skipped.add(camera.name, "no camera_info topic: poses stay in px")
        return cameras

    def _messages(self, topics: set[str]) -> Iterator[tuple[str, int, Any]]:
        """Yield (topic, stamp, message); what cannot be read is reported, and a broken file ends early."""
        for reader in self._readers:
            connections = [c for c in reader.connections if c.topic in topics]
            if not connections:
                continue
            messages, found = reader.messages(connections=connections), Counter[int]()
            while True:
                try:
                    connection, log_ns, raw = next(messages)
                except StopIteration:
                    self._report_lost_images(connections, found)
                    break
                except Exception as error:  # sqlite3, struct, zstd, rosbags: whatever a damaged file causes
                    self.skipped.add(str(self.path), f"the rest cannot be read: {error}")
                    break
                found[connection.id] += 1
                try:
                    content = reader.deserialize(decompressed(raw), connection.msgtype)
                except Exception as error:
                    self.skipped.add(connection.topic, f"a message cannot be read: {error}", log_ns)
                    continue
                stamp = content.header.stamp
                stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
                yield connection.topic, stamp_ns or log_ns, content

    def _report_lost_images(self, connections: Iterable[Any], found: Mapping[int, int]) -> None:
        """Report images that the bag counts and that are not found in it."""
        for connection in connections:
            count, there = connection.msgcount, found[connection.id]
            if there < count and connection.msgtype in _IMAGE_TYPES:
                self.skipped.add(connection.topic, f"{there} of {count} images are found: the bag is damaged")

    def _read_first_intrinsics(self, stream: CameraStream) -> None:
        """Give a stream its first camera_info: it may be recorded after the first image."""
        if stream.topics.camera_info is None:
            return
        for _, stamp_ns, content in self._messages({stream.topics.camera_info}):
            stream.take_camera_info(stamp_ns, content)
            if stream.intrinsics is not None:
                return
