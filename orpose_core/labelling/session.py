"""Labelling of live or replayed messages; writes the same files as `orpose label`.

A frame is identified by its camera and stamp. A session that is started again in the same folder resumes:
frames in the journal are not labelled again, so a replay of the same recording gives the same result as an
uninterrupted session. The networks process only full batches, except before a pause, so the same frames
always form the same batches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from orpose_core.data.reading import Reading
from orpose_core.data.recordings.camera_streams import CameraStream, CameraTopics
from orpose_core.data.recordings.recording import Modality, RecordedFrame
from orpose_core.files import MOST_PIXELS, remove_temporaries
from orpose_core.labelling.frame_labeller import FrameLabeller, prepare_folder
from orpose_core.labelling.journal import Journal
from orpose_core.labelling.labelling import JOURNAL
from orpose_core.labelling.notes import SessionNotes
from orpose_core.labelling.options import LabelOptions
from orpose_core.labelling.picking import chosen_frames
from orpose_core.labelling.results import LabelSummary, assemble
from orpose_core.labelling.stamp_gaps import StampGaps
from orpose_core.teacher.teacher import Teacher

logger = logging.getLogger(__name__)

_FORMAT = "orpose-labels-live-1"
_MOST_WORDS = 300


@dataclass(frozen=True)
class Heard:
    """A message of a topic, in the order of arrival.

    Attributes:
        topic: its full name.
        stamp_ns: of its header.
        message: an image or camera_info, anything with the fields of the ROS message; None = it came but was
            let go, because too many waited.
    """

    topic: str
    stamp_ns: int
    message: Any | None


class LabelSession:
    """Labels the frames of some cameras into a folder, which nobody else can write to until :meth:`close`.

    Attributes:
        frames: how many the journal has, those of earlier sessions included.

    Args:
        name: of the recording, fit for a folder.
        cameras: their topics; color is needed.
        teacher: who labels.
        out: folder to write into.
        options: which frames, and what is kept; ``limit`` counts earlier sessions too.
        most_waiting: images of a camera that wait for depth or for the first camera_info, at most.
        most_pixels: compressed images with more px, according to their header, are left out undecoded.
        skipped: told at once what is left out: topic and why.

    Raises:
        ValueError: the folder holds another run, or an argument is wrong.
    """

    def __init__(
        self,
        name: str,
        cameras: Sequence[CameraTopics],
        teacher: Teacher,
        out: str | Path,
        options: LabelOptions | None = None,
        *,
        most_waiting: int = 16,
        most_pixels: int = MOST_PIXELS,
        skipped: Callable[[str, str], object] | None = None,
    ) -> None:
        if not name or name != Path(name).name or name.startswith("."):
            raise ValueError(f"recording: expected a name fit for a folder, got {name!r}")
        if not cameras or len({c.frame_name(0) for c in cameras}) != len(cameras):
            raise ValueError(f"cameras: expected different names, got {[c.name for c in cameras]}")
        self._name, self._cameras, self._teacher, self._out = name, tuple(cameras), teacher, Path(out)
        self._options, self._most_waiting = options or LabelOptions(), most_waiting
        self._reading = Reading(self._options.depth_unit_m, self._options.rectified, most_pixels)
        prepare_folder(self._out, self._options)
        self._notes = SessionNotes(skipped or (lambda source, why: None))
        self._known: set[str] = set()
        self._written: LabelSummary | None = None
        self._labeller = FrameLabeller(name, teacher, self._out, self._options)
        with ExitStack() as stack:
            self._journal = stack.enter_context(Journal(self._out / JOURNAL, self._header()))
            remove_temporaries(self._out, recursive=True)
            for entry in self._journal.entries():
                self._notes.recall(entry)
                self._known |= {_name_of(frame) for frame in entry["frames"]}
            self._held = stack.pop_all()  # until close; a journal that cannot be read is let go at once
        self.frames = len(self._known)

    def _header(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "teacher": self._teacher.description(),
            "options": self._options.as_dict(),
            "recordings": [self._name],
            "cameras": [asdict(camera) for camera in self._cameras],
        }

    @property
    def never_came(self) -> int:
        """Frames that this session missed, by the stamps of the others."""
        return self._notes.never_came

    @property
    def missed(self) -> dict[str, dict[str, int]]:
        """Frames of each camera that were missed: let go since too many waited, or never heard."""
        return self._notes.missed([c.name for c in self._cameras], self._known)

    @property
    def is_written(self) -> bool:
        """Whether the files are those of all frames so far."""
        return self._written is not None

    def run(self, events: Iterable[Heard]) -> Iterator[list[RecordedFrame]]:
        """Label what comes until the events end, and yield each batch once it is in the journal."""
        events = iter(events)
        frames = chosen_frames(self._heard_frames(events), replace(self._options, limit=None))
        new = (frame for frame in frames if self._is_new(frame))
        while batch := list(islice(new, self._room())):
            self._label(batch)
            yield batch
        for _ in events:  # the limit is reached; what comes is not wanted, and not missed
            pass
        self._write_down([])

    def write(self) -> LabelSummary:
        """Write labels, report and contact sheet of all frames so far, unless they are written already.

        Raises:
            ValueError: there is not one frame; the files are written all the same.
        """
        if self._written is None:
            skipped = [f"{self._name}: {why}" for why in self._notes.sentences()]
            told = {"skipped": skipped, "missed": self.missed}
            out, teacher = self._out, self._teacher
            self._written = assemble(self._journal, out, teacher, [self._name], self._options, told)
        return self._written

    def close(self) -> None:
        """Let others write to the folder."""
        self._held.close()

    def _room(self) -> int:
        """How many frames the next batch may have."""
        limit = self._options.limit
        return self._options.batch if limit is None else min(self._options.batch, max(limit - self.frames, 0))

    def _is_new(self, frame: RecordedFrame) -> bool:
        if frame.name in self._known:
            return False
        self._known.add(frame.name)
        return True

    def _heard_frames(self, events: Iterator[Heard]) -> Iterator[RecordedFrame]:
        """Bring the messages together to frames, and note what is missing."""
        tolerance_ns = int(self._options.tolerance_s * 1e9)
        modality: Modality = "rgbd" if self._options.keep == "depth" else "color"
        streams = {
            camera.name: CameraStream(
                camera, modality, tolerance_ns, self._notes.skips,
                most_waiting=self._most_waiting, await_camera_info=True,
                reading=self._reading,
            )
            for camera in self._cameras
        }  # fmt: skip
        gaps = {name: StampGaps() for name in streams}
        by_topic: dict[str, list[CameraStream]] = {}
        for stream in streams.values():
            for topic in {stream.main_topic, stream.partner_topic, stream.topics.camera_info} - {None}:
                by_topic.setdefault(str(topic), []).append(stream)
        for event in events:
            for stream in by_topic[event.topic]:
                name = stream.topics.name
                if event.topic == stream.main_topic:
                    self._notes.add_gaps(name, gaps[name].add(event.stamp_ns))
                    if event.message is None:
                        self._notes.add_dropped(name, event.stamp_ns)
                if event.message is None:
                    continue
                try:
                    yield from stream.take(event.topic, event.stamp_ns, event.message)
                except Exception as error:  # one bad message must not end the session
                    why = f"message lost: {type(error).__name__}: {error}"[:_MOST_WORDS]
                    self._notes.skips.add(event.topic, why, event.stamp_ns)
        for name, stream in streams.items():
            yield from stream.settle(finished=True)
            self._notes.add_gaps(name, gaps[name].settle())

    def _label(self, batch: Sequence[RecordedFrame]) -> None:
        """Label a batch; if that fails, each frame alone: one must not spoil the others."""
        try:
            entries = self._labeller.entries(batch)
            self._write_down(entries, until_ns=max(frame.frame.stamp_ns for frame in batch))
        except OSError:  # a full disk: nothing is done, the frames may come again
            self._known.difference_update(frame.name for frame in batch)
            raise
        except Exception as error:  # whatever torch raises: out of memory, say
            if len(batch) > 1:
                for frame in batch:
                    self._label([frame])
                return
            self._known.discard(batch[0].name)
            why = f"not labeled: {type(error).__name__}: {error}"[:_MOST_WORDS]
            self._notes.skips.add(batch[0].camera, why, batch[0].frame.stamp_ns)

    def _write_down(self, entries: list[dict[str, Any]], until_ns: int | None = None) -> None:
        """Add a line to the journal, with the notes that are not of later moments."""
        notes = self._notes.due(until_ns)
        if entries or notes:
            self._written = None
            self._journal.add({"recording": 0, "frames": entries} | notes)
            self._notes.written(until_ns)
        self.frames += len(entries)


def _name_of(entry: dict[str, Any]) -> str:
    """Return the name of a frame in the journal; one with too few people has nothing else."""
    return str(entry["image"]["name"] if "image" in entry else entry["name"])
