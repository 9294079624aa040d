"""What `orpose demo` does: a synthetic room, a model, a picture, a video and JSON, with no ROS at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orpose_core.data.recordings.recording import RecordedFrame, SkipLog
from orpose_core.estimation.estimate import Progress, estimate_recording
from orpose_core.estimation.frames import estimated_frames
from orpose_core.estimation.options import RunOptions
from orpose_core.estimators import PoseEstimator
from orpose_core.files import write_picture
from orpose_core.render import Picture, beside, contact_sheet, overlay, view_3d, write_video
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.types import Poses, Visibility

MODEL = "fastpose_64x48"
"""The weights that the demo takes unless it is told otherwise."""

_CLOSE_M = 0.15
_SEEN_WELL = 6  # joints in view


@dataclass(frozen=True)
class DemoOptions:
    """What the demo shows.

    Attributes:
        domain: "or", "general" or "everyday".
        seconds: length of the scene.
        rate_hz: frames a second.
        seed: of the scene.
    """

    domain: str = "or"
    seconds: float = 3.0
    rate_hz: float = 10.0
    seed: int = 7

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.rate_hz > 0):
            raise ValueError(f"demo: expected a positive duration and rate, got {self}")

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return max(1, round(self.seconds * self.rate_hz))

    @property
    def stream(self) -> StreamConfig:
        """The synthetic recording."""
        return StreamConfig(
            self.domain, (480, 640), "rgbd", self.seed, frames_per_sequence=self.frames, rate_hz=self.rate_hz
        )


class SimulatedRecording:
    """Frames of the synthetic room as a recording; what was rendered stays at hand in ``rendered``."""

    def __init__(self, options: DemoOptions) -> None:
        self.skipped = SkipLog()
        self.taken: tuple[str, ...] = ("color and depth: frames of a simulated room",)
        self._options = options
        self.rendered: list[SimulatedFrame] = []

    def __enter__(self) -> SimulatedRecording:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def frame_count(self) -> int:
        """How many frames there are."""
        return self._options.frames

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the frames, rendering each when it is asked for."""
        for index in range(self._options.frames):
            if index >= len(self.rendered):
                self.rendered.append(simulate_frame(self._options.stream, index))
            simulated = self.rendered[index]
            yield RecordedFrame(simulated.frame, f"frame_{index:04d}", simulated.camera)


def run_demo(
    estimator: PoseEstimator,
    out: str | Path,
    options: DemoOptions | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Render a scene, estimate it, write pictures, video and JSON; return what was done, line by line.

    Files: those of :func:`estimate.estimate_recording`, ``demo.png`` and ``demo.mp4``: left what the network
    sees with the people found, right the people in space.
    """
    options, out = options or DemoOptions(), Path(out)
    recording = SimulatedRecording(options)
    run = RunOptions(overlays=4)
    summary = estimate_recording(recording, estimator, out, run, progress)
    pictures: list[Picture] = []
    found: list[Poses] = []
    up = recording.rendered[0].room_from_camera[2, :3]  # the room's z axis in the camera's frame
    for estimated in estimated_frames(recording, estimator, run):
        frame, modality = estimated.recorded.frame, estimator.info.modality
        seen = overlay(frame, estimated.poses, estimated.image_hw, modality, range_m=5.0)
        pictures.append(beside(seen, view_3d(estimated.poses, (480, 640), up)))
        found.append(estimated.poses)
    write_video(out / "demo.mp4", pictures, options.rate_hz)
    middle = len(pictures) // 2
    write_picture(out / "demo.png", contact_sheet([pictures[middle]], [f"{estimator.info.name}"], 1))
    info = estimator.info
    width, height = info.input_hw[1], info.input_hw[0]
    people = sum(len(s.poses) for s in recording.rendered)
    lines = [
        f"rendered {options.frames} frames of a synthetic room ({options.domain}, seed {options.seed}), "
        f"{people} people in all",
        f"estimated with {info.name} on {info.backend} from {width}x{height} {info.modality} images: "
        f"{summary.people} skeletons, {summary.joints_3d} joints in space",
        _against_truth(recording.rendered, found),
        f"written to {out}: demo.png, demo.mp4, results.json, skeletons_3d.json, run.json, overlays/",
    ]
    if not info.trained:
        lines.insert(0, "THE MODEL IS NOT TRAINED: its skeletons mean nothing; this only shows the way.")
    return lines


def _against_truth(rendered: list[SimulatedFrame], found: list[Poses]) -> str:
    """Say how many of the people in view were found, and how far their joints are from the truth."""
    people = matched = 0
    errors: list[np.ndarray] = []
    for simulated, poses in zip(rendered, found, strict=True):
        truth = simulated.poses.converted(poses.skeleton)
        assert truth.visibility is not None
        seen = np.asarray(truth.visibility == Visibility.VISIBLE)
        truth = truth.select(np.flatnonzero(seen.sum(axis=1) >= _SEEN_WELL))
        people += len(truth)
        if not len(truth) or not len(poses):
            continue
        distance = np.linalg.norm(poses.xy_px[:, None] - truth.xy_px[None], axis=-1)
        known = np.isfinite(distance).sum(axis=-1)
        mean = np.where(known >= 3, np.nansum(distance, axis=-1) / np.maximum(known, 1), np.inf)
        best = mean.argmin(axis=0)
        size = np.sqrt(np.prod(truth.boxes_px[:, 2:] - truth.boxes_px[:, :2], axis=1))
        for t in np.flatnonzero(mean.min(axis=0) < 0.2 * size):
            matched += 1
            if poses.xyz_cam_m is not None and truth.xyz_cam_m is not None:
                errors.append(np.linalg.norm(poses.xyz_cam_m[best[t]] - truth.xyz_cam_m[t], axis=-1))
    line = f"of {people} people seen well, {matched} were found"
    if errors:
        metres = np.concatenate(errors)
        metres = metres[np.isfinite(metres)]
        if metres.size:
            line += f"; their joints are {100 * np.median(metres):.0f} cm off in space (median)"
            line += f", {100 * (metres < _CLOSE_M).mean():.0f} % within {100 * _CLOSE_M:.0f} cm"
    return line
