"""The messages of a bag as their recorded bytes, for whoever sends them again."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.interfaces import QosDurability, QosReliability
from rosbags.typesys import Stores, get_typestore

from orpose_core.data.recordings.bag_files import decompressed, open_readers
from orpose_core.data.recordings.recording import SkipLog


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag.

    Attributes:
        name: of the topic.
        message_type: ``package/msg/Type``.
        best_effort: whether all its publishers were best effort.
        latched: whether all its publishers were transient local, or it is ``tf_static``.
    """

    name: str
    message_type: str
    best_effort: bool
    latched: bool


class BagMessages:
    """A bag, or several in one folder, message by message; read as the offline commands read it.

    Attributes:
        topics: by name.
        skipped: what was left out so far.

    Args:
        path: folder or file: rosbag2 (sqlite3 or mcap, compressed or not, closed or not) or ROS 1.

    Raises:
        ValueError: nothing there that can be read.
        OSError: the file cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._path, self.skipped = Path(path), SkipLog()
        self._stack = contextlib.ExitStack()
        if not self._path.exists():
            raise ValueError(f"{path}: expected a bag, but there is no such file or folder")
        try:
            self._readers = open_readers(self._path, self._stack, self.skipped)
        except BaseException:
            self._stack.close()
            raise
        connections: dict[str, list[Any]] = {}
        for reader in self._readers:
            for connection in reader.connections:
                connections.setdefault(connection.topic, []).append(connection)
        self.topics = {name: _topic(name, there) for name, there in connections.items()}

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, time of recording in ns, message in CDR) in the order of the recording.

        What cannot be read is reported in ``skipped``; a file that is broken ends early.
        """
        types = {id(reader): _ros2_types(reader) for reader in self._readers if not reader.is2}
        for reader in self._readers:
            wanted = [c for c in reader.connections if c.topic in topics and self._is_of_topic(c)]
            messages = reader.messages(connections=wanted) if wanted else iter(())
            while True:
                try:
                    connection, log_ns, raw = next(messages)
                    data = decompressed(raw)
                    if not reader.is2:
                        data = types[id(reader)].ros1_to_cdr(data, connection.msgtype)
                except StopIteration:
                    break
                except Exception as error:  # sqlite3, struct, zstd, rosbags: whatever a damaged file causes
                    self.skipped.add(str(self._path), f"the rest cannot be read: {error}")
                    break
                yield connection.topic, log_ns, bytes(data)

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def _is_of_topic(self, connection: Any) -> bool:
        kind, own = self.topics[connection.topic].message_type, connection.msgtype
        if own != kind:
            self.skipped.add(connection.topic, f"messages of type {own} are left out: the first is {kind}")
        return bool(own == kind)


def _ros2_types(reader: Any) -> Any:
    """Return the types of a ROS 1 bag as ROS 2 knows them: its header has no sequence number."""
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register({k: v for k, v in reader.typestore.fielddefs.items() if k not in types.fielddefs})
    return types


def _topic(name: str, connections: list[Any]) -> BagTopic:
    offered = [q for c in connections for q in getattr(c.ext, "offered_qos_profiles", None) or []]
    ros1_latched = all(bool(getattr(c.ext, "latching", None)) for c in connections)
    return BagTopic(
        name,
        connections[0].msgtype,
        {q.reliability for q in offered} == {QosReliability.BEST_EFFORT},
        {q.durability for q in offered} == {QosDurability.TRANSIENT_LOCAL}
        or ros1_latched
        or name.endswith("/tf_static"),
    )
