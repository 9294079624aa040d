"""What every recording gives, be it bag, folder or file: named frames, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from orpose_core.types import RgbdFrame

Modality = Literal["depth", "color", "rgbd"]
"""What is wanted of a recording: ``"depth"`` alone; ``"color"``, with depth where there is some; or both."""

_MOST_KINDS = 50


@dataclass(frozen=True)
class RecordedFrame:
    """One frame of a recording.

    Attributes:
        frame: the images.
        name: unique in the recording, fit for a file name.
        camera: which camera of the recording took it; "" where there is one.
    """

    frame: RgbdFrame
    name: str
    camera: str = ""


@dataclass(frozen=True)
class Skipped:
    """Something that was left out.

    Attributes:
        source: topic or file.
        why: one sentence.
        count: how often.
        first_stamp_ns: when first, nanoseconds; None where there is no time.
    """

    source: str
    why: str
    count: int = 1
    first_stamp_ns: int | None = None


class SkipLog:
    """What was left out of a recording and why; of equal reasons a count, so that it stays small."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Skipped] = {}

    def add(self, source: str, why: str, stamp_ns: int | None = None) -> None:
        """Note that something of ``source`` was left out."""
        key = (source, why)
        if key not in self._entries and len(self._entries) >= _MOST_KINDS:
            key = (source, "for other reasons")
        known = self._entries.get(key)
        self._entries[key] = (
            Skipped(*key, first_stamp_ns=stamp_ns) if known is None else replace(known, count=known.count + 1)
        )

    @property
    def entries(self) -> tuple[Skipped, ...]:
        """In the order of their first appearance."""
        return tuple(self._entries.values())

    def __len__(self) -> int:
        return sum(entry.count for entry in self._entries.values())

    def sentences(self) -> list[str]:
        """Return one line per reason, for people."""
        return [f"{e.source}: {e.why}" + (f" ({e.count} times)" if e.count > 1 else "") for e in self.entries]


class Recording(Protocol):
    """Where frames come from.

    Attributes:
        skipped: what was left out so far.
    """

    skipped: SkipLog

    def __enter__(self) -> Recording:
        """Open it."""

    def __exit__(self, *error: object) -> None:
        """Close it."""

    def frame_count(self) -> int:
        """About how many frames there are, for a progress bar."""

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the frames one by one; never more than a few are in memory."""


def open_recording(
    path: str | Path,
    modality: Modality = "depth",
    *,
    topics: dict[str, str] | None = None,
    tolerance_s: float = 0.05,
) -> Recording:
    """Return the recording at a path: a rosbag2, a ROS 1 bag, image folder, image, or MVOR's list of images.

    Args:
        path: what to read.
        modality: what is wanted of it.
        topics: ``color``, ``depth`` and ``camera_info`` topics of a bag's one camera; None = look for them.
        tolerance_s: color and depth of one moment may be so far apart.

    Raises:
        ValueError: nothing there that can be read; says what was expected.
    """
    from orpose_core.data.bags import BagRecording, looks_like_bag
    from orpose_core.data.image_folders import ImageRecording
    from orpose_core.data.mvor_recordings import MvorRecording

    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: expected a bag, a folder of images or an image, but nothing is there")
    if looks_like_bag(path):
        return BagRecording(path, modality, topics=topics, tolerance_s=tolerance_s)
    if path.suffix == ".json":
        return MvorRecording(path, modality)
    return ImageRecording(path, modality)
