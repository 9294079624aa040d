"""Bags whose files are compressed as a whole: how often they are unpacked, and what is left behind."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from orpose_core.data.image_messages import encode_depth
from orpose_core.data.recordings.bag_messages import BagMessages
from orpose_core.data.recordings.opening import open_recording
from orpose_core.data.skeleton_messages import rosbags_types

TYPESTORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = rosbags_types(TYPESTORE)
IMAGE, TEXT = "sensor_msgs/msg/Image", "std_msgs/msg/String"
DEPTH, NOTES = "/ward/depth/image_raw", "/notes"
STAMPS_NS = [10**9 * (k + 1) for k in range(6)]
ENTRY = "rosbag2_bagfile_information"


def write_bag(folder: Path, storage: StoragePlugin, stamps_ns: list[int], note: str = "") -> Path:
    """Write depth images and at the end a text into a bag of one packed file."""
    writer = Writer(folder, version=9, storage_plugin=storage)
    writer.set_compression(CompressionMode.FILE, CompressionFormat.ZSTD)
    with writer:
        depth = writer.add_connection(DEPTH, IMAGE, typestore=TYPESTORE)
        for k, stamp_ns in enumerate(stamps_ns):
            content = encode_depth(np.full((4, 6), 1 + k, np.float32))
            message = TYPES.lookup(IMAGE)(header=TYPES.header(stamp_ns, "ward"), **content)
            writer.write(depth, stamp_ns, TYPESTORE.serialize_cdr(message, IMAGE))
        if note:
            notes = writer.add_connection(NOTES, TEXT, typestore=TYPESTORE)
            text = TYPESTORE.serialize_cdr(TYPESTORE.types[TEXT](note), TEXT)
            writer.write(notes, stamps_ns[-1] + 1, text)
    return folder


def write_bags(root: Path, storage: StoragePlugin, parts: int) -> Path:
    """Write a folder of bags; their order is that of their messages, not that of their names."""
    root.mkdir()
    size = len(STAMPS_NS) // parts
    for k in range(parts):
        note = "the end" if k == parts - 1 else ""
        write_bag(root / f"rec_{parts - k}", storage, STAMPS_NS[k * size : (k + 1) * size], note)
    return root


def write_split_bag(root: Path, storage: StoragePlugin, parts: int) -> Path:
    """Write one bag whose recorder began a new file now and then."""
    bags = write_bags(root.with_name("bags"), storage, parts)
    root.mkdir()
    merged: dict = {}
    topics: dict[str, dict] = {}
    for k in range(parts):
        folder = bags / f"rec_{parts - k}"
        said = yaml.safe_load((folder / "metadata.yaml").read_text())[ENTRY]
        shutil.move(folder / said["relative_file_paths"][0], root)
        for topic in said["topics_with_message_count"]:
            known = topics.setdefault(topic["topic_metadata"]["name"], topic | {"message_count": 0})
            known["message_count"] += topic["message_count"]
        if merged:
            merged["relative_file_paths"] += said["relative_file_paths"]
            merged["files"] += said["files"]
            merged["message_count"] += said["message_count"]
        else:
            merged = said
    merged["topics_with_message_count"] = list(topics.values())
    (root / "metadata.yaml").write_text(yaml.safe_dump({ENTRY: merged}))
    return root


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name the files that are unpacked, in that order."""
    from orpose_core.data.recordings.unpacking import UnpackedFile

    files: list[str] = []
    usual = UnpackedFile.__init__

    def noted(self: UnpackedFile, path: Path) -> None:
        files.append(path.name)
        usual(self, path)

    monkeypatch.setattr(UnpackedFile, "__init__", noted)
    return files


def stamps(path: Path) -> tuple[list[int], str]:
    with open_recording(path) as recording:
        assert recording.frame_count() == len(STAMPS_NS)
        found = [recorded.frame.stamp_ns for recorded in recording.frames()]
        return found, "\n".join(recording.skipped.sentences())


@pytest.mark.parametrize("write", [write_bags, write_split_bag])
@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_each_file_is_unpacked_once(
    write, storage: StoragePlugin, tmp_path: Path, unpacked: list[str]
) -> None:
    path = write(tmp_path / "bag", storage, 3)
    found, said = stamps(path)
    assert found == STAMPS_NS and "cannot be read" not in said and "jumps back" not in said
    ending = "mcap" if storage == StoragePlugin.MCAP else "db3"
    assert unpacked == [f"rec_{k}.{ending}.zstd" for k in (3, 2, 1)]


def test_looking_at_a_recording_unpacks_its_first_file_alone(tmp_path: Path, unpacked: list[str]) -> None:
    path = write_split_bag(tmp_path / "bag", StoragePlugin.MCAP, 3)
    with open_recording(path) as recording:
        assert next(recording.frames()).frame.stamp_ns == STAMPS_NS[0]
    assert unpacked == ["rec_3.mcap.zstd"]


def test_without_metadata_the_files_are_looked_up_one_by_one(tmp_path: Path, unpacked: list[str]) -> None:
    path = write_split_bag(tmp_path / "bag", StoragePlugin.MCAP, 3)
    (path / "metadata.yaml").unlink()
    assert stamps(path)[0] == STAMPS_NS
    assert max(Counter(unpacked).values()) == 2


@pytest.mark.parametrize("broken", ["other files", "no topics", "no YAML"])
def test_metadata_that_does_not_describe_the_files_is_not_used(broken: str, tmp_path: Path) -> None:
    path = write_split_bag(tmp_path / "bag", StoragePlugin.MCAP, 3)
    file = path / "metadata.yaml"
    content = yaml.safe_load(file.read_text())
    if broken == "other files":
        content[ENTRY]["relative_file_paths"].pop()
    elif broken == "no topics":
        del content[ENTRY]["topics_with_message_count"]
    file.write_text(yaml.safe_dump(content) + ("]" if broken == "no YAML" else ""))
    found, said = stamps(path)
    assert found == STAMPS_NS
    assert "metadata.yaml: not used, the files are read one by one: " in said


def test_a_topic_that_begins_in_a_later_file_is_read(tmp_path: Path) -> None:
    messages = BagMessages(write_split_bag(tmp_path / "bag", StoragePlugin.MCAP, 3))
    assert messages.topics[NOTES].message_type == TEXT
    ((topic, _, content),) = messages.messages({NOTES})
    assert topic == NOTES and TYPESTORE.deserialize_cdr(content, TEXT).data == "the end"
    messages.close()


@pytest.mark.parametrize("damaged", [1, 2, 3])
def test_only_the_damaged_file_is_left_out(damaged: int, tmp_path: Path, unpacked: list[str]) -> None:
    path = write_split_bag(tmp_path / "bag", StoragePlugin.MCAP, 3)
    name = f"rec_{4 - damaged}.mcap.zstd"
    (path / name).write_bytes((path / name).read_bytes()[:-40])
    found, said = stamps(path)
    assert found == [s for k, s in enumerate(STAMPS_NS) if k // 2 != damaged - 1]
    assert said.count(f"{name}: cannot be read: ") == 1 and "4 of 6 images are found" in said
    assert Counter(unpacked) == Counter([f"rec_{k}.mcap.zstd" for k in (1, 2, 3)])


def test_a_bag_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    path = write_split_bag(tmp_path / "bag", StoragePlugin.MCAP, 2)
    for file in path.glob("*.zstd"):
        file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ValueError, match=r"expected a bag .*, but: it is a pointer of Git LFS"):
        open_recording(path).__enter__()


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("write", [write_bags, write_split_bag])
@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_nothing_of_a_packed_recording_has_a_name_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write, storage: StoragePlugin, parts: int
) -> None:
    path = write(tmp_path / "bag", storage, parts)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def open_copies() -> int:
        links = [file.readlink() for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
        return sum(str(link).startswith(str(temporary)) for link in links)

    found = []
    with open_recording(path) as recording:
        for frame in recording.frames():
            found.append(frame.frame.stamp_ns)
            assert not list(temporary.iterdir()) and open_copies() == 1
    assert found == STAMPS_NS and open_copies() == 0


@pytest.mark.parametrize("metadata", [True, False])
def test_a_disk_that_is_full_while_a_recording_is_unpacked_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: bool
) -> None:
    path = write_bag(tmp_path / "bag", StoragePlugin.MCAP, STAMPS_NS)
    if not metadata:
        (path / "metadata.yaml").unlink()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(ValueError, match=rf"No space left .* unpacked copy: '{tempfile.gettempdir()}'"):
        open_recording(path).__enter__()
