"""What `orpose label` does: recordings in, pseudo labels out.

Full-resolution images stay in memory. Only labels and, if requested, images no larger than the input of the
student are written to disk. The labels are in px of the stored image.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, Protocol

from orpose_core.data.recordings.opening import open_recording
from orpose_core.data.recordings.recording import RecordedFrame, Recording, uniquely_named
from orpose_core.files import remove_temporaries
from orpose_core.labelling.frame_labeller import FrameLabeller, prepare_folder
from orpose_core.labelling.journal import Done, Journal
from orpose_core.labelling.options import LabelOptions
from orpose_core.labelling.picking import chosen_frames
from orpose_core.labelling.results import LabelSummary, assemble, read_summary, remove_unlisted
from orpose_core.teacher.teacher import Teacher

logger = logging.getLogger(__name__)

JOURNAL = "journal.jsonl"
_FORMAT = "orpose-labels-2"


Progress = Callable[[int, int], object]
"""Is told how many frames are done, and about how many there are."""


class Group(Protocol):
    """The processes that label together."""

    @property
    def rank(self) -> int:
        """Number of this process; 0 puts the results together."""

    @property
    def world(self) -> int:
        """How many there are."""

    def wait_for_all(self) -> None:
        """Return when every process has come here."""


@dataclass(frozen=True)
class Alone:
    """A group of one."""

    rank: int = 0
    world: int = 1

    def wait_for_all(self) -> None:
        """Return at once."""


def label_recordings(
    sources: Sequence[str | Path],
    teacher: Teacher,
    out: str | Path,
    options: LabelOptions | None = None,
    progress: Progress | None = None,
    group: Group | None = None,
) -> LabelSummary:
    """Write ``labels.json``, ``report.json``, ``contact_sheet.png`` and, if wanted, ``images/``.

    A run that was killed and is started again with the same arguments resumes after its last complete batch,
    and all files are identical, byte for byte, to those of an uninterrupted run. A recording that cannot be
    read is reported and does not end the run. Several processes take the batches in turn and write the files
    of a single one; a run that was killed may resume with another number of them.

    Args:
        sources: bags, folders of images, images, MVOR's JSON list of images.
        teacher: who labels.
        out: folder to write into.
        options: see :class:`LabelOptions`.
        progress: see :data:`Progress`.
        group: the processes that call this with the same arguments; None = this one alone.

    Raises:
        ValueError: the folder holds a run with other settings or is written by another, a recording changed
            meanwhile, or not one frame could be labelled.
    """
    options, out, group = options or LabelOptions(), Path(out), group or Alone()
    if not sources:
        raise ValueError("expected at least one bag, folder or image, got none")
    names = source_names(sources)
    prepare_folder(out, options)
    header = {
        "format": _FORMAT,
        "teacher": teacher.description(),
        "options": options.as_dict(),
        "recordings": names,
    }
    with ExitStack() as stack:
        if group.rank == 0:
            journal = stack.enter_context(Journal(out / JOURNAL, header))
            remove_temporaries(out, recursive=True)
        group.wait_for_all()
        if group.rank != 0:
            journal = stack.enter_context(Journal(out / JOURNAL, header, group.rank))
        done = journal.done()
        group.wait_for_all()  # all share out what is left from the same state
        _label_share(sources, names, teacher, out, options, journal, done, group, progress)
        group.wait_for_all()
        try:
            if group.rank == 0:
                return _put_together(journal, out, teacher, names, options)
        finally:
            group.wait_for_all()
    return read_summary(out)


def _label_share(
    sources: Sequence[str | Path],
    names: Sequence[str],
    teacher: Teacher,
    out: Path,
    options: LabelOptions,
    journal: Journal,
    done: Mapping[int, Done],
    group: Group,
    progress: Progress | None,
) -> None:
    """Label what is left of all recordings, as far as it is this process's turn."""
    counts = [
        0 if progress is None else _expected(Path(source), options, done.get(i, Done()))
        for i, source in enumerate(sources)
    ]
    turns = (turn % group.world == group.rank for turn in count())
    for index, (source, name) in enumerate(zip(sources, names, strict=True)):
        before = done.get(index, Done())
        if before.finished:
            continue
        run = _SourceRun(index, name, Path(source), FrameLabeller(name, teacher, out, options), options)
        ahead, behind = sum(counts[:index]), sum(counts[index + 1 :])
        for frames in run.frames_done(journal, before, turns):
            if progress is not None:
                progress(ahead + frames, ahead + max(counts[index], frames) + behind)
        if group.rank == 0 and before.total is None:
            journal.add(run.end())
        counts[index] = run.frames


def _put_together(
    journal: Journal, out: Path, teacher: Teacher, names: Sequence[str], options: LabelOptions
) -> LabelSummary:
    """Write the results of all processes; of images that are not in the labels nothing stays."""
    done = journal.done()
    for index, name in enumerate(names):
        if not done.get(index, Done()).finished:
            raise ValueError(f"{name}: expected the same frames in every process, but the recording changed")
    journal.merge()
    try:
        return assemble(journal, out, teacher, names, options)
    finally:
        if options.keep != "none":
            remove_unlisted(journal, out, options)


def source_names(sources: Sequence[str | Path]) -> list[str]:
    """Return a name per recording, unique and fit for a folder; ValueError if one is given twice."""
    places = [Path(source).resolve() for source in sources]
    twice = [str(source) for source, place in zip(sources, places, strict=True) if places.count(place) > 1]
    if twice:
        raise ValueError(f"expected each recording once, got {', '.join(twice)}")
    stems = [place.stem or "recording" for place in places]
    many = len(sources) > 1
    return [f"{i:03d}_{stem}" if many else stem for i, stem in enumerate(stems)]


class _SourceRun:
    """Labels one recording, batch by batch."""

    def __init__(
        self, index: int, name: str, source: Path, labeller: FrameLabeller, options: LabelOptions
    ) -> None:
        self._index, self._name, self._source = index, name, source
        self._labeller, self._options = labeller, options
        self._skipped: list[str] = []
        self._left_out: dict[str, int] = {}
        self._batches = 0
        self.frames = 0

    def frames_done(self, journal: Journal, before: Done, turns: Iterator[bool]) -> Iterator[int]:
        """Label what is left and yield how many frames are done after each batch.

        Args:
            journal: takes the batches.
            before: what was done already.
            turns: for each batch that is left whether it is this process's.
        """
        with ExitStack() as stack:
            recording = self._opened(stack)
            if recording is None:
                return
            frames = uniquely_named(self._until_it_breaks(recording.frames()))
            chosen = chosen_frames(frames, self._options, self._left_out)
            while batch := list(islice(chosen, self._options.batch)):
                number = self._batches
                self._batches, self.frames = number + 1, self.frames + len(batch)
                if number not in before.batches and next(turns):
                    entries = self._labeller.entries(batch)
                    journal.add({"recording": self._index, "batch": number, "frames": entries})
                    yield self.frames
            self._skipped += [self._anonymous(s) for s in recording.skipped.sentences()]

    def end(self) -> dict[str, Any]:
        """Return the journal's last entry of this recording."""
        left_out = [f"{n} frames {why}" for why, n in self._left_out.items() if n]
        return {
            "recording": self._index,
            "finished": True,
            "batches": self._batches,
            "skipped": self._skipped + left_out,
        }

    def _opened(self, stack: ExitStack) -> Recording | None:
        try:
            return stack.enter_context(_recording(self._source, self._options))
        except (ValueError, OSError) as error:
            self._broken(error)
            return None

    def _until_it_breaks(self, frames: Iterator[RecordedFrame]) -> Iterator[RecordedFrame]:
        """Yield the frames; a recording that breaks off is reported, what came before it stays."""
        try:
            yield from frames
        except (ValueError, OSError) as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        why = self._anonymous(f"not read: {error}")
        logger.warning("%s: %s", self._name, why)
        self._skipped.append(why)

    def _anonymous(self, sentence: str) -> str:
        """Take the recording's folder out of a sentence: names of patients' folders are not written."""
        sentence = sentence.replace(f"{self._source}/", "").replace(str(self._source), self._name)
        for above in (self._source.resolve().parent, self._source.parent):
            if above.name:
                sentence = sentence.replace(f"{above}/", "")
        return sentence


def _recording(source: Path, options: LabelOptions) -> Recording:
    """Return a recording whose color is labelled; where depth is kept, frames without it are left out."""
    return open_recording(
        source,
        "rgbd" if options.keep == "depth" else "color",
        tolerance_s=options.tolerance_s,
        depth_unit_m=options.depth_unit_m,
        rectified=options.rectified,
    )


def _expected(source: Path, options: LabelOptions, done: Done) -> int:
    """Return about how many frames of a recording there are to label: 0 if it cannot be read."""
    if done.finished:
        return done.frames
    try:
        with _recording(source, options) as recording:
            frames = -(-recording.frame_count() // options.every)
    except (ValueError, OSError):
        return 0
    return frames if options.limit is None else min(frames, options.limit)
