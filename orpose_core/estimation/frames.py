"""Frames of a recording through a model, batch by batch; memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from orpose_core.data.recordings.recording import RecordedFrame, Recording, every_kth, uniquely_named
from orpose_core.estimation.options import RunOptions
from orpose_core.estimators import PoseEstimator
from orpose_core.image_ops import low_resolution_frame
from orpose_core.rotation import turned_back, upright
from orpose_core.tracking import Tracker
from orpose_core.types import Intrinsics, Poses, Resize, RgbdFrame


@dataclass(frozen=True)
class EstimatedFrame:
    """A frame and who is in it.

    Attributes:
        recorded: its name and camera; its images at low resolution alone.
        image_hw: (height, width) of the image that was recorded.
        poses: px of that image.
        index: its place among the frames that were taken of the recording.
        upright_hw: (height, width) of that image once it was turned upright.
    """

    recorded: RecordedFrame
    image_hw: tuple[int, int]
    poses: Poses
    index: int = 0
    upright_hw: tuple[int, int] | None = None


class Trackers:
    """A tracker per camera.

    Args:
        on: False = poses stay as they are.
    """

    def __init__(self, on: bool) -> None:
        self._on = on
        self._trackers: dict[str, Tracker] = {}

    def update(self, camera: str, poses: Poses, stamp_ns: int) -> Poses:
        """Return the poses of the camera's next frame with ids."""
        if not self._on:
            return poses
        return self._trackers.setdefault(camera, Tracker()).update(poses, stamp_ns)


def estimated_frames(
    recording: Recording, estimator: PoseEstimator, options: RunOptions | None = None
) -> Iterator[EstimatedFrame]:
    """Estimate a recording that was entered, frame by frame in its order.

    Frames that the model cannot read are left out and reported in ``recording.skipped``.
    """
    options = options or RunOptions()
    trackers = Trackers(options.track)
    for batch in estimated_batches(recording, estimator, options):
        for found in batch:
            poses = trackers.update(found.recorded.camera, found.poses, found.recorded.frame.stamp_ns)
            yield replace(found, poses=poses)


def estimated_batches(
    recording: Recording, estimator: PoseEstimator, options: RunOptions, done: int = 0
) -> Iterator[list[EstimatedFrame]]:
    """Estimate a recording that was entered, batch by batch, without tracking.

    Args:
        recording: of the frames.
        estimator: the model.
        options: see :class:`RunOptions`.
        done: how many frames to leave out at the beginning, a multiple of ``options.batch``.
    """
    taken = every_kth(uniquely_named(recording.frames()), options.every)
    wanted = islice(enumerate(taken), done, options.limit)
    while batch := list(islice(wanted, options.batch)):
        turned = [(i, r, _upright(r.frame, options)) for i, r in batch]
        small = [_shrunk(recorded, frame, estimator, options, recording) for _, recorded, frame in turned]
        ready = [(*one, s) for one, s in zip(turned, small, strict=True) if s is not None]
        found = estimator.estimate([frame for *_, frame in ready])
        estimated = []
        for (index, recorded, whole, frame), poses in zip(ready, found, strict=True):
            image_hw = recorded.frame.size_hw
            poses = poses.resized(Resize(frame.size_hw, whole.size_hw))
            poses = turned_back(poses, options.rotation, image_hw)
            seen = replace(recorded, frame=frame)
            estimated.append(EstimatedFrame(seen, image_hw, poses, index, whole.size_hw))
        yield estimated


def _upright(frame: RgbdFrame, options: RunOptions) -> RgbdFrame:
    """Return a frame as a camera that hangs upright would give it, with its intrinsics."""
    if frame.intrinsics is None and options.intrinsics is not None:
        height, width = frame.size_hw
        frame = replace(frame, intrinsics=Intrinsics(*options.intrinsics, width, height))
    return upright(frame, options.rotation)


def _shrunk(
    recorded: RecordedFrame,
    frame: RgbdFrame,
    estimator: PoseEstimator,
    options: RunOptions,
    recording: Recording,
) -> RgbdFrame | None:
    """Return the frame at low resolution, or None, and a report, where it is too small for the model."""
    height, width = frame.size_hw
    size_hw = options.low_resolution_hw or estimator.info.input_hw
    if height < size_hw[0] or width < size_hw[1]:
        if estimator.info.enlarges:
            return frame
        why = f"{width}x{height} is less than the {size_hw[1]}x{size_hw[0]} wanted"
        recording.skipped.add(recorded.camera or "images", why, frame.stamp_ns)
        return None
    config = estimator.config
    return low_resolution_frame(frame, size_hw, config.depth_method, config.color_method)
