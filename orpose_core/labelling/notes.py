"""What a labelling session left out or missed, as recorded in its journal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from orpose_core.data.recordings.camera_streams import CameraTopics
from orpose_core.data.recordings.recording import SkipLog
from orpose_core.labelling.stamp_gaps import Gap

_SKIPPED, _DROPPED, _GAPS = "skipped", "dropped", "gaps"

Note = tuple[str, tuple[Any, ...]]


class _NotedSkips(SkipLog):
    """A log of what was left out, each time handed on."""

    def __init__(self, told: Callable[[str, str, int], None]) -> None:
        super().__init__()
        self._told = told

    def add(self, source: str, why: str, stamp_ns: int | None = None) -> None:
        """Note that something of ``source`` was left out."""
        self._told(source, why, stamp_ns or 0)


class SessionNotes:
    """Notes of this session and of earlier ones, each once however often a recording is replayed.

    Attributes:
        skips: where those who read messages say what they leave out.
        never_came: frames that this session missed, by the stamps of the others.

    Args:
        skipped: told topic and reason of each new thing that is left out.
    """

    def __init__(self, skipped: Callable[[str, str], object]) -> None:
        self.skips: SkipLog = _NotedSkips(self._skip)
        self.never_came = 0
        self._skipped = skipped
        self._notes: dict[Note, None] = {}  # in order
        self._new: list[tuple[int, Note]] = []

    def add_dropped(self, camera: str, stamp_ns: int) -> None:
        """Note a frame that came but was let go."""
        self._add(stamp_ns, (_DROPPED, (camera, stamp_ns)))

    def add_gaps(self, camera: str, gaps: Sequence[Gap]) -> None:
        """Note frames that never came."""
        for gap in gaps:
            self.never_came += gap.missing
            self._add(gap.before_ns, (_GAPS, (camera, *gap)))

    def due(self, until_ns: int | None = None) -> dict[str, list[list[Any]]]:
        """Return the notes that the journal does not have yet, of moments up to ``until_ns``."""
        found: dict[str, list[list[Any]]] = {}
        for stamp_ns, (kind, values) in sorted(self._new, key=lambda note: note[0]):
            if until_ns is None or stamp_ns <= until_ns:
                found.setdefault(kind, []).append(list(values))
        return found

    def written(self, until_ns: int | None = None) -> None:
        """Take note that the journal has what is due."""
        self._new = [n for n in self._new if until_ns is not None and n[0] > until_ns]

    def recall(self, entry: dict[str, Any]) -> None:
        """Take the notes of an entry of the journal."""
        for kind in (_SKIPPED, _DROPPED, _GAPS):
            for values in entry.get(kind, ()):
                self._notes[kind, tuple(values)] = None

    def sentences(self) -> list[str]:
        """Return one line per reason for which messages were left out."""
        log = SkipLog()
        for kind, values in self._notes:
            if kind == _SKIPPED:
                log.add(*values)
        return log.sentences()

    def missed(self, cameras: Sequence[str], labelled: Collection[str]) -> dict[str, dict[str, int]]:
        """Return per camera how many frames were let go or never came, and did not come later.

        Args:
            cameras: names.
            labelled: names of the frames that were labelled, now or in another session.
        """
        counts = {camera: {"dropped": 0, "never_came": 0} for camera in cameras}
        stamps: dict[str, set[int]] = {camera: set() for camera in cameras}
        for kind, (camera, *values) in self._notes:
            if kind == _DROPPED and CameraTopics(camera).frame_name(values[0]) not in labelled:
                counts[camera]["dropped"] += 1
                stamps[camera].add(values[0])
        for kind, (camera, *values) in self._notes:
            if kind == _GAPS:
                after_ns, before_ns, missing = values
                came = sum(after_ns < stamp < before_ns for stamp in stamps[camera])
                prefix = CameraTopics(camera).frame_name(0)[:-1]
                came += sum(
                    after_ns < int(name[len(prefix) :]) < before_ns
                    for name in labelled
                    if name.startswith(prefix) and name[len(prefix) :].isdigit()
                )
                counts[camera]["never_came"] += max(missing - came, 0)
        return counts

    def _skip(self, source: str, why: str, stamp_ns: int) -> None:
        if self._add(stamp_ns, (_SKIPPED, (source, why, stamp_ns))):
            self._skipped(source, why)

    def _add(self, stamp_ns: int, note: Note) -> bool:
        if note in self._notes:
            return False
        self._notes[note] = None
        self._new.append((stamp_ns, note))
        return True
