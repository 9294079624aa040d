"""What an adaptation will take, said before anything long starts: frames, time and disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orpose_core.adaptation.options import AdaptOptions
from orpose_core.data.recordings.opening import open_recording
from orpose_core.files.depth import encoded_png, millimetres
from orpose_core.teacher.teacher import Teacher
from orpose_core.types import RgbdFrame

_TRAINING_BYTES = 200_000_000
"""Checkpoint, curves and weights of a run, at most."""


@dataclass(frozen=True)
class Survey:
    """What will be done.

    Attributes:
        recorded: frames with color and depth in all recordings, about.
        every: every k-th of them is labelled.
        frames: about how many that are.
        label_s: about how long the teacher takes for one, s.
        frame_bytes: of one depth image on disk, about.
        free_bytes: of the disk.
        stored_bytes: of the images that an interrupted run has stored already.
    """

    recorded: int
    every: int
    frames: int
    label_s: float
    frame_bytes: int
    free_bytes: int
    stored_bytes: int = 0

    @property
    def needed_bytes(self) -> int:
        """Of the disk, about."""
        return max(self.frames * self.frame_bytes - self.stored_bytes, 0) + _TRAINING_BYTES

    def check_disk(self, out: Path) -> None:
        """Refuse a run that does not fit the disk."""
        if self.needed_bytes > self.free_bytes:
            raise ValueError(
                f"{out}: expected {self.needed_bytes / 1e6:.0f} MB of free disk for {self.frames} depth "
                f"images, got {self.free_bytes / 1e6:.0f} MB; label fewer with --frames"
            )

    def lines(self, out: Path, options: AdaptOptions) -> list[str]:
        """Return what is said before the start, for people."""
        label_min = self.frames * self.label_s / 60
        fate = "kept" if options.keep_depth else "removed when all is done; --keep-depth keeps it"
        return [
            f"{self.recorded} frames of color and depth, of which about {self.frames} are labeled",
            f"labeling: about {label_min:.0f} min ({self.label_s:.1f} s per frame), training: "
            f"{options.minutes:g} min, scoring: a few minutes",
            f"disk: about {self.needed_bytes / 1e6:.0f} MB of {self.free_bytes / 1e6:.0f} MB free. Full-size "
            f"depth is stored in {out}/labels/images and {fate}; color is not stored",
            "if it is interrupted, the same command continues where it stopped",
        ]


def survey(sources: Sequence[str | Path], teacher: Teacher, out: Path, options: AdaptOptions) -> Survey:
    """Count the frames, time the teacher on the first of them and measure the disk.

    Raises:
        ValueError: no recording has a frame with color and registered depth; says what was left out.
    """
    looks = [_look(source, options) for source in sources]
    first = next((look.first for look in looks if look.first is not None), None)
    counts = [look.count for look in looks]
    if first is None:
        raise ValueError(
            "expected a frame with color and depth that is registered to it, got none: "
            + ("; ".join(why for look in looks for why in look.reasons) or "the recordings are empty")
        )
    recorded = sum(counts)
    every = max(1, round(recorded / options.frames))
    frames = sum(-(-count // every) for count in counts)
    free = shutil.disk_usage(out).free
    stored = sum(file.stat().st_size for file in (out / "labels" / "images").rglob("*.png"))
    return Survey(recorded, every, frames, _seconds(teacher, first), _depth_bytes(first), free, stored)


@dataclass(frozen=True)
class _Look:
    """How many frames a recording has, its first one, and what was left out up to it."""

    count: int
    first: RgbdFrame | None
    reasons: list[str]


def _look(source: str | Path, options: AdaptOptions) -> _Look:
    try:
        with open_recording(
            source,
            "rgbd",
            tolerance_s=options.tolerance_s,
            depth_unit_m=options.depth_unit_m,
            rectified=options.rectified,
        ) as recording:
            first = next(recording.frames(), None)
            count = 0 if first is None else recording.frame_count()
            return _Look(count, None if first is None else first.frame, recording.skipped.sentences())
    except (ValueError, OSError) as error:
        return _Look(0, None, [str(error)])


def _seconds(teacher: Teacher, frame: RgbdFrame) -> float:
    """Return how long the teacher takes for a frame, once it is warm."""
    assert frame.rgb is not None
    teacher.label([frame.rgb], [0])
    start = time.perf_counter()
    teacher.label([frame.rgb], [0])
    return time.perf_counter() - start


def _depth_bytes(frame: RgbdFrame) -> int:
    assert frame.depth_m is not None
    return len(encoded_png("depth.png", millimetres(frame.depth_m), False))
