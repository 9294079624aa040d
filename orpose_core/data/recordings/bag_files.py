"""Opening bags as they lie on disks: folders, single files, parts, compressed, cut off, without metadata."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from orpose_core.data.recordings.damaged_mcap import RepairedMcap
from orpose_core.data.recordings.image_kinds import IMAGE_SUFFIXES
from orpose_core.data.recordings.natural_order import natural_key
from orpose_core.data.recordings.packed_bags import METADATA_KEY, PackedBag, PackedParts, PackedReader
from orpose_core.data.recordings.recording import SkipLog
from orpose_core.data.recordings.unpacking import PACKED, OneUnpacked, Open, PlainFile, UnpackedFile, zstd
from orpose_core.files import stranger

BAG_SUFFIXES = (".mcap", ".db3", ".bag")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def looks_like_bag(path: Path) -> bool:
    """Whether a path is a bag file, or a folder of a bag or of several bags.

    A folder with images in it is one of images, whatever lies beside them, unless it is a rosbag2.
    """
    if not path.is_dir():
        return _is_bag_file(path)
    if _has_metadata(path):
        return True
    parts = _parts(path)
    if any(part.suffix.lower() in (".mcap", ".db3") for part in parts):
        return True
    return bool(parts) and not any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir())


def decompressed(message: bytes | memoryview) -> bytes | memoryview:
    """Return a message; one that is compressed is of a bag without the metadata that would say so."""
    return zstd.decompress(bytes(message)) if bytes(message[:4]) == _ZSTD_MAGIC else message


def open_readers(path: Path, stack: contextlib.ExitStack, skipped: SkipLog) -> list[Any]:
    """Open a bag, or all bags of a folder.

    Parts are in the order of their first messages. Of a bag that is damaged or was never closed, what can be
    read is opened, and ``skipped`` says what cannot.

    Args:
        path: file or folder.
        stack: closes what is opened.
        skipped: takes what is left out.

    Returns:
        ``AnyReader`` of `rosbags`, at least one.

    Raises:
        ValueError: nothing there that can be read.
    """
    if not path.exists():
        raise ValueError(f"{path}: expected a bag (rosbag2 in mcap or sqlite3, or ROS 1); nothing is there")
    whole, first = "", ""
    unpacked = OneUnpacked()
    stack.callback(unpacked.close)
    if path.is_dir() and _has_metadata(path) and not _is_packed(path):
        try:
            return _told([_opened(path, stack)], path, skipped)
        except Exception as error:  # rosbags' own errors, sqlite3's, zstd's and those of struct
            whole = str(error)
            skipped.add("metadata.yaml", f"not used, the files are read one by one: {_short(whole)}")
    readers: list[tuple[int, Any]] = []
    for part in _parts_to_open(path, skipped):
        own = part.folder if isinstance(part, PackedParts) else part
        name = own.name if path.is_dir() else str(path)
        try:
            reader = _opened_part(part, stack, unpacked, name, skipped)
            readers.append((_first_ns(reader), reader))
        except Exception as error:
            first = first or str(error)
            skipped.add(name, f"cannot be read: {_short(str(error))}")
    readers.sort(key=lambda pair: pair[0])
    while readers and (why_not := _why_unreadable(readers[0][1])):
        first = first or why_not
        del readers[0]
    if not readers:
        why = _short(first or whole) or "no file of a bag is in it"
        raise ValueError(f"{path}: expected a bag (rosbag2 in mcap or sqlite3, or ROS 1), but: {why}")
    return _told([reader for _, reader in readers], path, skipped)


def _parts_to_open(path: Path, skipped: SkipLog) -> list[Path | PackedParts]:
    """Return files, folders of bags, and for bags of packed files what their metadata says."""
    if not path.is_dir():
        return [path]
    parts = _parts(path)
    if not _is_packed(path):
        return [
            one for part in parts for one in (_parts_to_open(part, skipped) if _is_packed(part) else [part])
        ]
    if _has_metadata(path):
        try:
            return [PackedParts.read(path, parts)]
        except (ValueError, OSError) as error:
            skipped.add("metadata.yaml", f"not used, the files are read one by one: {_short(str(error))}")
    return list(parts)


def _why_unreadable(reader: Any) -> str:
    """Return why nothing of a reader can be read, "" = it can; of a packed bag, nothing was read so far."""
    if isinstance(reader, PackedBag):
        try:
            reader.open_first()
        except ValueError as error:
            return str(error) or "its files cannot be read"
    return ""


def _told(readers: list[Any], path: Path, skipped: SkipLog) -> list[Any]:
    """Return the readers; what is wrong with their message definitions is noted."""
    for reader in readers:
        if reader.problem:
            skipped.add(str(path), reader.problem)
    return readers


def _opened(what: Any, stack: contextlib.ExitStack) -> Any:
    return stack.enter_context(_reader(what))


def _reader(what: Any) -> Any:
    """Return a reader that does not refuse a bag for one message definition that it cannot use."""
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_typestore

    class Reader(AnyReader):
        problem = ""

        def _open(self) -> None:
            try:
                super()._open()
            except Exception as error:  # of definitions and of files alike
                try:
                    self.connections = [c for reader in self.readers for c in reader.connections]
                except Exception:
                    raise error from None
                if not self.is2 or not self.connections:
                    raise
                self.typestore = get_typestore(Stores.ROS2_JAZZY)
                self.problem = f"its message definitions are not used: {_short(str(error))}"

    return Reader([what], default_typestore=get_typestore(Stores.ROS2_JAZZY))


def _opened_part(
    part: Path | PackedParts, stack: contextlib.ExitStack, unpacked: OneUnpacked, name: str, skipped: SkipLog
) -> Any:
    """Open a bag file or the folder of one; a file without its index is read as far as it goes."""
    if isinstance(part, PackedParts):
        return PackedBag(part, unpacked, lambda file: _opener(file.name, skipped), skipped)
    if part.is_dir():
        return _opened(part, stack)
    if (instead := stranger(part)) is not None:
        raise ValueError(instead)
    if part.suffix.lower() not in PACKED:
        file = part if part.suffix in BAG_SUFFIXES else PlainFile(part)
        return _opened_file(file, stack, name, skipped)
    return PackedReader(part, unpacked, _opener(name, skipped))


def _opener(name: str, skipped: SkipLog) -> Open:
    """Return what opens the unpacked copy of a file; when it is opened again, nothing new is said."""
    told = iter([skipped])

    def opened(file: UnpackedFile, its_stack: contextlib.ExitStack) -> Any:
        return _opened_file(file, its_stack, name, next(told, SkipLog()))

    return opened


def _opened_file(file: Any, stack: contextlib.ExitStack, name: str, skipped: SkipLog) -> Any:
    try:
        return _opened(file, stack)
    except Exception as error:
        if file.suffix != ".mcap":
            raise
        reader = _opened(RepairedMcap(file), stack)
        skipped.add(name, f"read without its index, as far as it goes: {_short(str(error))}")
        return reader


def _is_bag_file(path: Path) -> bool:
    name = path.name.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name.endswith(BAG_SUFFIXES)


def _has_metadata(folder: Path) -> bool:
    file = folder / "metadata.yaml"
    if not file.is_file():
        return False
    with file.open("rb") as lines:
        return METADATA_KEY.encode() in lines.read(4096)


def _parts(folder: Path) -> list[Path]:
    """Return the bag files of a folder, or where it has none the folders of bags in it."""
    there = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural_key)
    files = [p for p in there if p.is_file() and _is_bag_file(p)]
    if files:
        return files
    return [p for p in there if p.is_dir() and (_has_metadata(p) or any(map(_is_bag_file, p.iterdir())))]


def _is_packed(folder: Path) -> bool:
    """Whether a path is a folder of packed files, which `rosbags` would unpack into files with names."""
    return folder.is_dir() and any(part.suffix.lower() in PACKED for part in _parts(folder))


def _first_ns(reader: Any) -> int:
    """Return the time of the first message, ns; an unindexed file is read up to there."""
    if isinstance(reader, PackedBag):
        return reader.first_ns
    try:
        return int(next(reader.messages())[1])
    except Exception:  # no message, or one that cannot be read
        return 2**63 - 1


def _short(text: str) -> str:
    """Return an error of a library as one line."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:297]}..."
