"""What was recorded, brought into a history: the results of `orpose estimate`, or a recording itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orpose_core.data.recordings.opening import open_recording
from orpose_core.data.recordings.recording import Modality, Recording, uniquely_named
from orpose_core.estimation.frame_log import FRAMES, read_frames
from orpose_core.estimation.frames import Trackers, estimated_frames
from orpose_core.estimation.options import RunOptions
from orpose_core.estimators import PoseEstimator
from orpose_core.fusion.rig import RoomCamera
from orpose_core.image_ops import MAX_PRIVATE_PIXELS, low_resolution_frame
from orpose_core.rotation import upright
from orpose_core.types import Picture
from orpose_core.view.feeding import Feed, picture_of
from orpose_core.view.history import History

_WITHOUT_TIME_NS = 100_000_000
"""Images without a time are shown at 10 Hz."""

Progress = Callable[[str], object]
"""Is told, in a few words, how far it is."""


def is_results(path: Path) -> bool:
    """Return whether a folder was written by `orpose estimate`."""
    return (path / FRAMES).is_file()


@dataclass
class _Clock:
    """The time of each frame: its stamp, or its number where stamps do not grow."""

    last_ns: dict[str, int]
    count: dict[str, int]

    def stamp_ns(self, camera: str, stamp_ns: int) -> int:
        self.count[camera] = self.count.get(camera, 0) + 1
        last = self.last_ns.get(camera)
        if stamp_ns <= 0 or (last is not None and stamp_ns <= last):
            stamp_ns = self.count[camera] * _WITHOUT_TIME_NS if last is None else last + _WITHOUT_TIME_NS
        self.last_ns[camera] = stamp_ns
        return stamp_ns


def show_results(
    folder: Path, history: History, rig: Sequence[RoomCamera] = (), images: Recording | None = None
) -> int:
    """Bring the results of a run into a history.

    Args:
        folder: of the run.
        history: that is filled.
        rig: where the cameras hang; see :class:`Feed`.
        images: the recording that was estimated, for its images; None = people alone are shown.

    Returns:
        How many frames there are.

    Raises:
        ValueError: no such run, or a damaged one.
    """
    run, entries = read_frames(folder)
    feed, trackers, clock = Feed(history, rig), Trackers(True), _Clock({}, {})
    pictures = {} if images is None else dict(_pictures(images, run))
    count = 0
    for image, poses in entries:
        camera = str(image["camera"])
        stamp_ns = clock.stamp_ns(camera, int(image["stamp_ns"]))
        poses = trackers.update(camera, poses, stamp_ns)
        size_hw = int(image["height"]), int(image["width"])
        feed.add(camera, stamp_ns, size_hw, poses, pictures.get(image["name"]))
        count += 1
    feed.finish()
    return count


def images_of_run(folder: Path, source: Path) -> Recording:
    """Open the recording of a run as the run read it."""
    run, _ = read_frames(folder)
    modality: Modality = "depth" if run["model"]["modality"] == "depth" else "color"
    return open_recording(source, modality, **run["settings"].get("reading", {}))


def show_recording(
    recording: Recording,
    estimator: PoseEstimator,
    history: History,
    rig: Sequence[RoomCamera] = (),
    options: RunOptions | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Find the people of a recording while it is shown.

    Args:
        recording: not yet entered.
        estimator: the model.
        history: that grows.
        rig: where the cameras hang; see :class:`Feed`.
        options: how frames are taken.
        stop: ends it early.

    Returns:
        How many frames were shown.
    """
    feed, clock, count = Feed(history, rig), _Clock({}, {}), 0
    with recording:
        for found in estimated_frames(recording, estimator, options):
            camera, frame = found.recorded.camera, found.recorded.frame
            stamp_ns = clock.stamp_ns(camera, frame.stamp_ns)
            if options is not None and options.rotation:
                frame = upright(frame, (360 - options.rotation) % 360)
            picture = picture_of(frame, estimator.info.modality)
            feed.add(camera, stamp_ns, found.image_hw, found.poses, picture)
            count += 1
            if stop is not None and stop.is_set():
                break
    feed.finish()
    return count


def _pictures(recording: Recording, run: dict[str, Any]) -> Iterator[tuple[str, Picture]]:
    """Yield the name and the picture of each frame, at the resolution that the model saw."""
    height, width = run["settings"].get("low_resolution_hw") or run["model"]["input_hw"]
    modality = str(run["model"]["modality"])
    with recording:
        for recorded in uniquely_named(recording.frames()):
            frame = recorded.frame
            size_hw = min(height, frame.size_hw[0]), min(width, frame.size_hw[1])
            if size_hw[0] * size_hw[1] <= MAX_PRIVATE_PIXELS:
                frame = low_resolution_frame(replace(frame, intrinsics=None), size_hw)
            yield recorded.name, picture_of(frame, modality)
