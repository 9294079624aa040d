"""Bags whose files are compressed as a whole, one unpacked at a time (:mod:`unpacking`).

Where ``metadata.yaml`` describes them, topics and times are looked up there, and each file is unpacked once,
when its messages are wanted. A file without metadata is unpacked to look it up, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2.metadata import parse_qos

from orpose_core.data.recordings.recording import SkipLog
from orpose_core.data.recordings.unpacking import PACKED, OneUnpacked, Open
from orpose_core.files import read_yaml, stranger

METADATA_KEY = "rosbag2_bagfile_information"


class PackedReader:
    """Reads a packed file like an ``AnyReader`` of `rosbags`; it is unpacked where its messages are wanted.

    Attributes:
        connections: topics of the file.
        is2: whether it is of ROS 2.
        typestore: message definitions.
        problem: what is wrong with these, "" = nothing.

    Args:
        path: of the file.
        unpacked: who keeps its reader open, or that of another file.
        open_: opens it.
    """

    def __init__(self, path: Path, unpacked: OneUnpacked, open_: Open) -> None:
        self._path, self._unpacked, self._open = path, unpacked, open_
        reader = unpacked.reader(path, open_)
        self.connections = list(reader.connections)
        self.is2, self.typestore, self.problem = reader.is2, reader.typestore, reader.problem

    def messages(self, connections: Collection[Any] = ()) -> Iterator[tuple[Any, int, bytes]]:
        """Yield connection, time of recording in ns, and content of messages; no connections = of all."""
        own = {connection.id: connection for connection in connections or self.connections}
        reader = self._unpacked.reader(self._path, self._open)
        chosen = [connection for connection in reader.connections if connection.id in own]
        for connection, log_ns, content in reader.messages(connections=chosen):
            yield own[connection.id], log_ns, content

    def deserialize(self, content: bytes, kind: str) -> Any:
        """Return a message."""
        read = self.typestore.deserialize_cdr if self.is2 else self.typestore.deserialize_ros1
        return read(content, kind)


@dataclass(frozen=True)
class PackedParts:
    """What ``metadata.yaml`` says of a bag whose files are packed, so that none is unpacked to look it up.

    Attributes:
        folder: of the bag.
        files: in the order of the recording.
        connections: topics of the bag, with the number of messages in all files.
        first_ns: time of the first message, ns.
    """

    folder: Path
    files: tuple[Path, ...]
    connections: tuple[Connection, ...]
    first_ns: int

    @classmethod
    def read(cls, folder: Path, files: Sequence[Path]) -> PackedParts:
        """Read the metadata of a bag.

        Args:
            folder: of the bag.
            files: bag files that are there.

        Raises:
            ValueError: the metadata is damaged, or describes other files.
        """
        path = folder / "metadata.yaml"
        content = read_yaml(path)
        try:
            said = content[METADATA_KEY]
            names = [_plain_name(PurePath(name).name) for name in said["relative_file_paths"]]
            topics = [
                _connection(number, one, folder)
                for number, one in enumerate(said["topics_with_message_count"], start=1)
            ]
            first_ns = int(said["starting_time"]["nanoseconds_since_epoch"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: expected the metadata of a bag, got: {error!r}") from error
        there = {_plain_name(file.name): file for file in files}
        if sorted(names) != sorted(_plain_name(file.name) for file in files):
            raise ValueError(f"{path}: expected {', '.join(names)}, got {', '.join(there)}")
        return cls(folder, tuple(there[name] for name in names), tuple(topics), first_ns)


def _plain_name(name: str) -> str:
    """Return the name of a bag file without the ending of its compression."""
    lower = name.lower()
    return next((name[: -len(ending)] for ending in PACKED if lower.endswith(ending)), name)


def _connection(number: int, counted: Any, folder: Path) -> Connection:
    topic = counted["topic_metadata"]
    ext = ConnectionExtRosbag2(
        topic["serialization_format"], parse_qos(topic.get("offered_qos_profiles", []))
    )
    return Connection(
        id=number,
        topic=topic["name"],
        msgtype=topic["type"],
        msgdef=MessageDefinition(MessageDefinitionFormat.NONE, ""),
        digest=topic.get("type_description_hash", ""),
        msgcount=int(counted["message_count"]),
        ext=ext,
        owner=folder,
    )


class PackedBag:
    """Reads the packed files of one bag like an ``AnyReader`` of `rosbags`, one after the other.

    A file is unpacked when its messages are wanted. One that cannot be read is reported and left out.

    Attributes:
        connections: topics of the bag.
        first_ns: time of the first message, ns.
        is2: always.
        problem: always "": what is wrong with the message definitions of a file is reported once it is open.

    Args:
        parts: what the metadata says.
        unpacked: who keeps the reader of one file open.
        opener: returns what opens a file.
        skipped: takes what is left out.
    """

    is2, problem = True, ""

    def __init__(
        self, parts: PackedParts, unpacked: OneUnpacked, opener: Callable[[Path], Open], skipped: SkipLog
    ) -> None:
        self.connections, self.first_ns = list(parts.connections), parts.first_ns
        self._unpacked, self._skipped = unpacked, skipped
        self._openers = {file: opener(file) for file in parts.files}
        self._known: set[Path] = set()
        self._first_error = ""
        self._typestore: Any = None

    @property
    def typestore(self) -> Any:
        """Message definitions of the files that were open so far; of the first one, where none was."""
        if self._typestore is None:
            self.open_first()
        return self._typestore

    def open_first(self) -> None:
        """Open the first file that can be read.

        Raises:
            ValueError: there is none; says why the first one cannot be.
        """
        if not any(self._reader_of(file) is not None for file in list(self._openers)):
            raise ValueError(self._first_error)

    def messages(self, connections: Collection[Any] = ()) -> Iterator[tuple[Any, int, bytes]]:
        """Yield connection, time of recording in ns, and content of messages; no connections = of all."""
        own = {(c.topic, c.msgtype): c for c in connections or self.connections}
        for file in list(self._openers):
            yield from self._messages_of(file, own)

    def deserialize(self, content: bytes, kind: str) -> Any:
        """Return a message."""
        return self.typestore.deserialize_cdr(content, kind)

    def _messages_of(
        self, file: Path, own: Mapping[tuple[str, str], Any]
    ) -> Iterator[tuple[Any, int, bytes]]:
        reader = self._reader_of(file)
        if reader is None:
            return
        chosen = [c for c in reader.connections if (c.topic, c.msgtype) in own]
        if not chosen:  # without connections, a reader of `rosbags` gives all messages
            return
        try:
            for one, log_ns, content in reader.messages(connections=chosen):
                yield own[one.topic, one.msgtype], log_ns, content
        except Exception as error:  # rosbags' own errors, sqlite3's, zstd's and those of struct
            self._skipped.add(file.name, f"the rest cannot be read: {_line(error)}")

    def _reader_of(self, file: Path) -> Any:
        """Return the reader of a file; None for one that cannot be opened, which is not tried again."""
        if file not in self._openers:
            return None
        try:
            if file not in self._known and (instead := stranger(file)) is not None:
                raise ValueError(instead)
            reader = self._unpacked.reader(file, self._openers[file])
        except Exception as error:
            self._first_error = self._first_error or str(error)
            self._skipped.add(file.name, f"cannot be read: {_line(error)}")
            del self._openers[file]
            return None
        if self._typestore is None:
            self._typestore = reader.typestore
        if file not in self._known:
            self._known.add(file)
            if reader.problem:
                self._skipped.add(file.name, reader.problem)
            types = self._typestore.fielddefs
            self._typestore.register({k: v for k, v in reader.typestore.fielddefs.items() if k not in types})
        return reader


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
