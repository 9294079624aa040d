"""What `orpose label` does: recordings in, pseudo labels out.

Full-resolution pictures stay in memory. What reaches the disk is labels and, if wanted, images no larger than
the student will see; the labels are in px of the image that is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from orpose_core.data.json_files import write_json
from orpose_core.data.recordings import RecordedFrame, Recording, open_recording
from orpose_core.distillation.journal import Journal
from orpose_core.distillation.label_files import annotations_of, write_label_file
from orpose_core.distillation.label_sheet import write_label_sheet
from orpose_core.distillation.teacher import Teacher
from orpose_core.evaluation.run import in_source_pixels
from orpose_core.image_ops import Resize, low_resolution_frame
from orpose_core.render import write_picture
from orpose_core.types import PseudoLabels, RgbdFrame

logger = logging.getLogger(__name__)

LABELS, JOURNAL, REPORT, SHEET = "labels.json", "journal.jsonl", "report.json", "contact_sheet.png"
_FORMAT = "orpose-labels-1"


@dataclass(frozen=True)
class LabelOptions:
    """Which frames are labelled and what is kept of them.

    Attributes:
        keep: ``"lowres"`` writes images of at most ``low_resolution_hw``; ``"none"`` writes no image.
        low_resolution_hw: (height, width).
        every: take each k-th frame of a recording.
        rate_hz: take at most so many frames a second of each camera; None = all.
        limit: at most so many frames of each recording.
        min_people: frames with fewer are left out of the labels.
        batch: frames at once; part of what a result depends on, in its last bits.
        tolerance_s: color and depth of one moment may be so far apart.
    """

    keep: Literal["lowres", "none"] = "lowres"
    low_resolution_hw: tuple[int, int] = (60, 80)
    every: int = 1
    rate_hz: float | None = None
    limit: int | None = None
    min_people: int = 0
    batch: int = 4
    tolerance_s: float = 0.05

    def __post_init__(self) -> None:
        if self.keep not in ("lowres", "none"):
            raise ValueError(f"keep: expected 'lowres' or 'none', got {self.keep!r}")
        for name, least in (("every", 1), ("limit", 1), ("batch", 1), ("min_people", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: expected {least} or more, got {value}")
        if self.rate_hz is not None and not self.rate_hz > 0:
            raise ValueError(f"rate_hz: expected a number above 0, got {self.rate_hz}")


@dataclass(frozen=True)
class LabelSummary:
    """What came of a run.

    Attributes:
        frames: how many were looked at.
        images: how many are in the labels.
        people: how many were labelled.
        skipped: one line per reason for which something was left out.
        labels: the COCO file.
    """

    frames: int
    images: int
    people: int
    skipped: tuple[str, ...]
    labels: Path


Progress = Callable[[int, int], object]
"""Is told how many frames are done, and about how many there are."""


def label_recordings(
    sources: Sequence[str | Path],
    teacher: Teacher,
    out: str | Path,
    options: LabelOptions | None = None,
    progress: Progress | None = None,
) -> LabelSummary:
    """Write ``labels.json``, ``report.json``, ``contact_sheet.png`` and, if wanted, ``images/``.

    A killed run that is started again with the same arguments goes on after its last whole batch, and all
    files come out byte for byte as those of an unbroken run. A recording that cannot be read is reported and
    does not end the run.

    Args:
        sources: bags, folders of images, images.
        teacher: who labels.
        out: folder to write into.
        options: see :class:`LabelOptions`.
        progress: see :data:`Progress`.

    Raises:
        ValueError: the folder holds a run with other settings, or not one frame could be labelled.
    """
    options, out = options or LabelOptions(), Path(out)
    if not sources:
        raise ValueError("expected at least one bag, folder or image, got none")
    names = _source_names([Path(s) for s in sources])
    out.mkdir(parents=True, exist_ok=True)
    header = {
        "format": _FORMAT,
        "teacher": teacher.description(),
        "options": asdict(options) | {"low_resolution_hw": list(options.low_resolution_hw)},
        "recordings": names,
    }
    journal = Journal(out / JOURNAL, header)
    remove_unfinished(out)
    done, finished = _progress_so_far(journal)
    counts = [
        done.get(i, 0) if i in finished else expected_frames(Path(source), options)
        for i, source in enumerate(sources)
    ]
    for index, (source, name) in enumerate(zip(sources, names, strict=True)):
        if index in finished:
            continue
        run = _SourceRun(index, name, Path(source), teacher, out, options, journal)
        ahead, behind = sum(counts[:index]), sum(counts[index + 1 :])
        for frames in run.frames_done(done.get(index, 0)):
            if progress is not None:
                progress(ahead + frames, ahead + max(counts[index], frames) + behind)
        counts[index] = run.frames
    return assemble(journal, out, teacher, names, options)


def _source_names(sources: Sequence[Path]) -> list[str]:
    """Return a name per recording, unique and fit for a folder."""
    stems = [s.resolve().stem or "recording" for s in sources]
    many = len(sources) > 1
    return [f"{i:03d}_{stem}" if many else stem for i, stem in enumerate(stems)]


def remove_unfinished(out: Path) -> None:
    """Remove the files under temporary names that a kill left behind."""
    for file in [*out.glob(".*.tmp"), *out.rglob(".*.png")]:
        file.unlink()


def _progress_so_far(journal: Journal) -> tuple[dict[int, int], set[int]]:
    """Return the frames done of each recording, and the recordings that are finished."""
    done: dict[int, int] = {}
    finished: set[int] = set()
    for entry in journal.entries():
        if entry.get("finished"):
            finished.add(entry["recording"])
        else:
            done[entry["recording"]] = done.get(entry["recording"], 0) + len(entry["frames"])
    return done, finished


class _SourceRun:
    """Labels one recording, batch by batch."""

    def __init__(
        self,
        index: int,
        name: str,
        source: Path,
        teacher: Teacher,
        out: Path,
        options: LabelOptions,
        journal: Journal,
    ) -> None:
        self._index, self._name, self._source = index, name, source
        self._options, self._journal = options, journal
        self._labeller = FrameLabeller(name, teacher, out, options)
        self._skipped: list[str] = []
        self.frames = 0

    def frames_done(self, already: int) -> Iterator[int]:
        """Label what is left and yield how many frames are done after each batch."""
        with ExitStack() as stack:
            recording = self._opened(stack)
            if recording is not None:
                chosen = chosen_frames(self._until_it_breaks(recording.frames()), self._options)
                self.frames = sum(1 for _ in islice(chosen, already))
                while batch := list(islice(chosen, self._options.batch)):
                    self._journal.add({"recording": self._index, "frames": self._labeller.entries(batch)})
                    self.frames += len(batch)
                    yield self.frames
                self._skipped += [self._anonymous(s) for s in recording.skipped.sentences()]
        self._journal.add({"recording": self._index, "finished": True, "skipped": self._skipped})

    def _opened(self, stack: ExitStack) -> Recording | None:
        try:
            recording = open_recording(self._source, "color", tolerance_s=self._options.tolerance_s)
            return stack.enter_context(recording)
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
        return sentence.replace(f"{self._source}/", "").replace(str(self._source), self._name)


def chosen_frames(frames: Iterator[RecordedFrame], options: LabelOptions) -> Iterator[RecordedFrame]:
    """Yield the frames of one recording that the options pick."""
    frames = islice(frames, 0, None, options.every)
    if options.rate_hz is not None:
        frames = at_rate(frames, options.rate_hz)
    return frames if options.limit is None else islice(frames, options.limit)


class FrameLabeller:
    """Labels frames of one recording and writes what is kept of their images.

    Args:
        name: of the recording, fit for a folder.
        teacher: who labels.
        out: folder of the run.
        options: what is kept.
    """

    def __init__(self, name: str, teacher: Teacher, out: Path, options: LabelOptions) -> None:
        self._name, self._teacher, self._out, self._options = name, teacher, out, options

    def entries(self, batch: Sequence[RecordedFrame]) -> list[dict[str, Any]]:
        """Label a batch, write what is kept of its images and return its entries for the journal."""
        pictures = [r.frame.rgb for r in batch if r.frame.rgb is not None]
        assert len(pictures) == len(batch)  # a color recording has color
        labels = self._teacher.label(pictures, range(len(batch)))
        return [self._entry(r, one) for r, one in zip(batch, labels, strict=True)]

    def _entry(self, recorded: RecordedFrame, labels: PseudoLabels) -> dict[str, Any]:
        frame, options = recorded.frame, self._options
        if len(labels.soft) < options.min_people:
            return {"name": recorded.name, "people": len(labels.soft)}
        image: dict[str, Any] = {
            "recording": self._name,
            "name": recorded.name,
            "camera": recorded.camera,
            "frame_id": frame.frame_id,
            "stamp_ns": frame.stamp_ns,
            "recorded_width": frame.size_hw[1],
            "recorded_height": frame.size_hw[0],
        }
        image["file_name"] = f"{self._name}/{recorded.name}.png"
        if options.keep == "lowres":
            small = no_larger(frame, options.low_resolution_hw)
            to_small = Resize(small.size_hw, frame.size_hw)
            labels = replace(
                labels,
                soft=in_source_pixels(labels.soft, to_small),
                hard=in_source_pixels(labels.hard, to_small),
            )
            image |= self._kept(small, f"{self._name}/{recorded.name}")
            frame = small
        image["height"], image["width"] = frame.size_hw
        if frame.intrinsics is not None:
            image["intrinsics"] = {k: getattr(frame.intrinsics, k) for k in ("fx", "fy", "cx", "cy")}
        return {"image": image, "annotations": annotations_of(labels)}

    def _kept(self, frame: RgbdFrame, stem: str) -> dict[str, str]:
        """Write the low-resolution images and return their names."""
        assert frame.rgb is not None
        names = {"file_name": f"images/{stem}.png"}
        write_picture(self._out / names["file_name"], frame.rgb)
        if frame.depth_m is not None:
            names["depth_file_name"] = f"images/{stem}_depth.png"
            write_depth(self._out / names["depth_file_name"], frame)
        return names


def expected_frames(source: Path, options: LabelOptions) -> int:
    """Return about how many frames of a recording will be labelled: 0 if it cannot be read."""
    try:
        with open_recording(source, "color", tolerance_s=options.tolerance_s) as recording:
            count = -(-recording.frame_count() // options.every)
    except (ValueError, OSError):
        return 0
    return count if options.limit is None else min(count, options.limit)


def at_rate(frames: Iterator[RecordedFrame], rate_hz: float) -> Iterator[RecordedFrame]:
    """Yield at most so many frames a second of each camera; time that jumps back starts anew."""
    period_ns = round(1e9 / rate_hz)
    due: dict[str, int] = {}
    for recorded in frames:
        stamp = recorded.frame.stamp_ns
        next_ns = due.get(recorded.camera)
        if next_ns is None or stamp >= next_ns or stamp < next_ns - period_ns:
            # The grid stays where the first frame put it, unless frames were missing.
            late = next_ns is None or not next_ns <= stamp < next_ns + period_ns
            due[recorded.camera] = (stamp if late or next_ns is None else next_ns) + period_ns
            yield recorded


def no_larger(frame: RgbdFrame, size_hw: tuple[int, int]) -> RgbdFrame:
    """Return the frame brought to at most this size; one that is as small on both sides stays as it is.

    A frame that is smaller on one side alone keeps that side.
    """
    height, width = frame.size_hw
    target = min(height, size_hw[0]), min(width, size_hw[1])
    return frame if target == (height, width) else low_resolution_frame(frame, target)


def write_depth(path: Path, frame: RgbdFrame) -> None:
    """Write the depth image as a 16-bit PNG in mm, 0 = no return, all or nothing."""
    assert frame.depth_m is not None
    depth_mm = np.nan_to_num(np.round(frame.depth_m * 1000.0), nan=0.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    cv2.imwrite(str(temporary), np.clip(depth_mm, 0, 65535).astype(np.uint16))
    temporary.replace(path)


def assemble(
    journal: Journal,
    out: Path,
    teacher: Teacher,
    names: Sequence[str],
    options: LabelOptions,
    more: Mapping[str, Any] | None = None,
) -> LabelSummary:
    """Write the labels and the report from the journal, one batch in memory at a time.

    Args:
        journal: of the run.
        out: its folder.
        teacher: who labelled.
        names: of the recordings.
        options: of the run.
        more: what else the report tells; its ``skipped`` come after those of the journal.

    Raises:
        ValueError: not one frame was labelled; the files are written all the same.
    """
    info = {
        "description": "pseudo labels of a teacher; nobody drew them",
        "teacher": teacher.description(),
        "teacher_sha256": teacher.fingerprint,
        "trained": teacher.trained,
        "kept_images": options.keep,
    }
    frames = too_few = 0
    skipped: list[str] = []

    def entries() -> Iterator[tuple[dict[str, Any], list[dict]]]:
        nonlocal frames, too_few
        for entry in journal.entries():
            if entry.get("finished"):
                skipped.extend(f"{names[entry['recording']]}: {why}" for why in entry["skipped"])
                continue
            for one in entry["frames"]:
                frames += 1
                if "image" in one:
                    yield one["image"], one["annotations"]
                else:
                    too_few += 1

    images, people = write_label_file(out / LABELS, info, entries())
    if too_few:
        skipped.append(f"{too_few} frames with fewer than {options.min_people} people")
    labelled = (one for e in journal.entries() for one in e.get("frames", ()) if "image" in one)
    write_label_sheet(out / SHEET, out, labelled, images)
    told = dict(more or {})
    skipped += told.pop("skipped", [])
    report = {"frames": frames, "images": images, "people": people, "skipped": skipped} | told
    write_json(out / REPORT, report)
    if frames == 0:
        raise ValueError(f"expected frames to label, got none: {'; '.join(skipped) or 'they are empty'}")
    return LabelSummary(frames, images, people, tuple(skipped), out / LABELS)
