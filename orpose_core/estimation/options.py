"""How a recording is run through a model, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orpose_core.rotation import ROTATIONS
from orpose_core.types import Intrinsics

FORMATS = ("json", "csv", "parquet")


@dataclass(frozen=True)
class RunOptions:
    """How a recording is run through a model.

    Attributes:
        every: take every k-th frame of each camera.
        limit: at most this many frames; None = all.
        overlays: write about this many overlay pictures, spread over the recording.
        low_resolution_hw: size to which frames are brought first; None = the model's input.
        batch: frames per call of the estimator; part of what a result depends on, in its last bits.
        track: give people ids.
        intrinsics: fx, fy, cx, cy in px of the recorded image, of frames that bring none; None = poses of
            such frames stay in px.
        rotation: by how many degrees images are turned clockwise to be upright: 0, 90, 180 or 270. Poses are
            in px of the image as it was recorded.
        reading: how the recording is read, its topics say: JSON values by which a run is known again.
        resume: go on with the run that is in the folder, instead of starting again.
        format: of the table that is written beside the JSON files: "json" = none, "csv", "parquet".
    """

    every: int = 1
    limit: int | None = None
    overlays: int = 20
    low_resolution_hw: tuple[int, int] | None = None
    batch: int = 4
    track: bool = True
    intrinsics: tuple[float, float, float, float] | None = None
    rotation: int = 0
    reading: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    format: str = "json"

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("limit", 1), ("overlays", 0), ("batch", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: expected {least} or more, got {value}")
        if self.intrinsics is not None:
            Intrinsics(*self.intrinsics, 1, 1)  # says what is wrong with them
        if self.rotation not in ROTATIONS:
            raise ValueError(f"rotation: expected one of {ROTATIONS} degrees, got {self.rotation}")
        if self.format not in FORMATS:
            raise ValueError(f"format: expected one of {', '.join(FORMATS)}, got {self.format!r}")

    def settings(self) -> dict[str, Any]:
        """Return what the poses of a frame depend on, as JSON values, by which a run is known again."""
        settings = asdict(self)
        for name in ("limit", "overlays", "resume", "format", "track"):
            del settings[name]
        for name in ("low_resolution_hw", "intrinsics"):
            settings[name] = None if settings[name] is None else list(settings[name])
        return settings


@dataclass(frozen=True)
class RunSummary:
    """What came of a run.

    Attributes:
        frames: how many were estimated, those of an earlier run that was resumed included.
        people: skeletons in all of them.
        joints_3d: joints with a place in space.
        taken: what was read, one line per kind.
        skipped: one line per reason for which something was left out.
        remarks: what was missing for 3D, and what else may be wrong with the recording.
        files: what was written.
        interrupted: whether the recording was not read to its end.
    """

    frames: int
    people: int
    joints_3d: int
    taken: tuple[str, ...]
    skipped: tuple[str, ...]
    remarks: tuple[str, ...]
    files: tuple[Path, ...]
    interrupted: bool = False
