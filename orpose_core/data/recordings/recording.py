"""What every recording gives, be it bag, folder or file: named frames, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
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

    def add_file(self, file: str, why: str) -> None:
        """Note that a file was left out; of files with the same reason the first stands for all."""
        known = self._entries.get(("", why))
        if known is None and len(self._entries) >= _MOST_KINDS:
            self.add("other files", "for other reasons")
        else:
            self._entries["", why] = (
                Skipped(file, why) if known is None else replace(known, count=known.count + 1)
            )

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
        lines = []
        for (source, _), entry in self._entries.items():
            times = "" if entry.count == 1 else f" ({entry.count} {'times' if source else 'such files'})"
            lines.append(f"{entry.source}: {entry.why}{times}")
        return lines


class Recording(Protocol):
    """Where frames come from.

    Attributes:
        skipped: what was left out so far.
        taken: what is read, one line per kind or camera; complete once the recording is open.
    """

    skipped: SkipLog
    taken: tuple[str, ...]

    def __enter__(self) -> Recording:
        """Open it."""

    def __exit__(self, *error: object) -> None:
        """Close it."""

    def frame_count(self) -> int:
        """About how many frames there are, for a progress bar."""

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the frames one by one; never more than a few are in memory."""


def every_kth(frames: Iterator[RecordedFrame], every: int) -> Iterator[RecordedFrame]:
    """Yield the first frame of each camera and every k-th one after it.

    Every k-th frame of the recording would often be of one camera alone, because cameras take turns.
    """
    count: Counter[str] = Counter()
    for recorded in frames:
        if count[recorded.camera] % every == 0:
            yield recorded
        count[recorded.camera] += 1


def uniquely_named(frames: Iterator[RecordedFrame]) -> Iterator[RecordedFrame]:
    """Yield the frames; names made of stamps get a number once a camera's clock stands or jumps back.

    Else the images of a moment that comes twice would overwrite each other.
    """
    newest_ns: dict[str, int] = {}
    jumps: dict[str, int] = {}
    for recorded in frames:
        stamp, camera = recorded.frame.stamp_ns, recorded.camera
        if stamp and str(stamp) in recorded.name:
            jumps[camera] = jumps.get(camera, 0) + int(stamp <= newest_ns.get(camera, 0))
            newest_ns[camera] = stamp
        again = jumps.get(camera, 0)
        yield replace(recorded, name=f"{recorded.name}_{again}") if again else recorded
