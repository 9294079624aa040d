"""What `orpose estimate` does: a recording in, files out, with no ROS graph.

Every frame is brought to low resolution before anything else sees it, as the gateway does beside the camera;
poses are written in px of the image that was recorded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from orpose_core.data.coco_results import poses_as_results
from orpose_core.data.recordings.recording import RecordedFrame, Recording
from orpose_core.estimators import PoseEstimator
from orpose_core.files import replacing, write_json, write_picture
from orpose_core.image_ops import low_resolution_frame
from orpose_core.render import overlay
from orpose_core.tracking import Tracker
from orpose_core.types import Intrinsics, Poses, Resize, RgbdFrame, Source3D

logger = logging.getLogger(__name__)

Progress = Callable[[int], object]


@dataclass(frozen=True)
class RunOptions:
    """How a recording is run through a model.

    Attributes:
        every: take each k-th frame.
        limit: at most so many frames; None = all.
        overlays: write so many overlay pictures, spread over the recording.
        low_resolution_hw: size to which frames are brought first; None = the model's input.
        batch: frames per call of the estimator.
        track: give people ids.
        intrinsics: of frames that bring none, px of the recorded image; None = poses stay in px.
    """

    every: int = 1
    limit: int | None = None
    overlays: int = 20
    low_resolution_hw: tuple[int, int] | None = None
    batch: int = 4
    track: bool = True
    intrinsics: Intrinsics | None = None

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("limit", 1), ("overlays", 0), ("batch", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: expected {least} or more, got {value}")


@dataclass(frozen=True)
class RunSummary:
    """What came of a run.

    Attributes:
        frames: how many were estimated.
        people: skeletons in all of them.
        joints_3d: joints with a place in space.
        skipped: one line per reason for which something was left out.
        files: what was written.
    """

    frames: int
    people: int
    joints_3d: int
    skipped: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class EstimatedFrame:
    """A frame and who is in it.

    Attributes:
        recorded: its name and camera; its images at low resolution alone.
        image_hw: (height, width) of the image that was recorded.
        poses: px of that image.
    """

    recorded: RecordedFrame
    image_hw: tuple[int, int]
    poses: Poses


def estimated_frames(
    recording: Recording, estimator: PoseEstimator, options: RunOptions | None = None
) -> Iterator[EstimatedFrame]:
    """Estimate a recording that was entered, frame by frame in its order; memory stays flat.

    Frames that the model cannot read are left out and reported in ``recording.skipped``.
    """
    options = options or RunOptions()
    wanted = islice(recording.frames(), 0, None, options.every)
    if options.limit is not None:
        wanted = islice(wanted, options.limit)
    trackers: dict[str, Tracker] = {}
    while batch := list(islice(wanted, options.batch)):
        small = [_shrunk(recorded, estimator, options, recording) for recorded in batch]
        ready = [(recorded, s) for recorded, s in zip(batch, small, strict=True) if s is not None]
        found = estimator.estimate([frame for _, frame in ready])
        for (recorded, frame), poses in zip(ready, found, strict=True):
            image_hw = recorded.frame.size_hw
            poses = poses.resized(Resize(frame.size_hw, image_hw))
            if options.track:
                tracker = trackers.setdefault(recorded.camera, Tracker())
                poses = tracker.update(poses, recorded.frame.stamp_ns)
            yield EstimatedFrame(replace(recorded, frame=frame), image_hw, poses)


def _shrunk(
    recorded: RecordedFrame, estimator: PoseEstimator, options: RunOptions, recording: Recording
) -> RgbdFrame | None:
    """Return the frame at low resolution, or None, and a report, where it is too small for the model."""
    frame = recorded.frame
    given = options.intrinsics
    if frame.intrinsics is None and given is not None:
        if (given.height, given.width) != frame.size_hw:
            raise ValueError(
                f"{recorded.name}: the intrinsics given are for {given.width}x{given.height}, "
                f"the image is {frame.size_hw[1]}x{frame.size_hw[0]}"
            )
        frame = replace(frame, intrinsics=given)
    size_hw = options.low_resolution_hw or estimator.info.input_hw
    height, width = frame.size_hw
    if height < size_hw[0] or width < size_hw[1]:
        if estimator.info.enlarges:
            return frame
        why = f"{width}x{height} is less than the {size_hw[1]}x{size_hw[0]} wanted"
        recording.skipped.add(recorded.camera or "images", why, frame.stamp_ns)
        return None
    config = estimator.config
    return low_resolution_frame(frame, size_hw, config.depth_method, config.color_method)


def estimate_recording(
    recording: Recording,
    estimator: PoseEstimator,
    out: str | Path,
    options: RunOptions | None = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Run a model over a recording and write what it finds.

    Files, all of them written under a temporary name first:

    * ``results.json``: COCO results; ``image_id`` counts the frames from 1.
    * ``skeletons_3d.json``: per frame its stamp, and per person the joints in metres with sigma and source.
    * ``run.json``: model, options, the frames with name, stamp and size, and what was skipped and why.
    * ``overlays/NAME.png``: people on the enlarged low-resolution image.

    Args:
        recording: not yet entered.
        estimator: the model.
        out: folder to write into; made where it is missing.
        options: see :class:`RunOptions`.
        progress: is told how many frames are done.

    Raises:
        ValueError: not one frame could be estimated.
    """
    options, out = options or RunOptions(), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    frames = people = joints_3d = 0
    overlays: list[Path] = []
    paths = out / "results.json", out / "skeletons_3d.json"
    with recording, _json_list(paths[0]) as add_result, _json_list(paths[1]) as add_skeletons:
        step = _overlay_step(recording.frame_count(), options)
        images: list[dict[str, Any]] = []
        for estimated in estimated_frames(recording, estimator, options):
            frames += 1
            poses, frame = estimated.poses, estimated.recorded.frame
            people += len(poses)
            joints_3d += 0 if poses.source_3d is None else int((poses.source_3d != Source3D.NONE).sum())
            images.append(_image_entry(frames, estimated))
            for result in poses_as_results(poses, frames):
                add_result(result)
            add_skeletons({"image_id": frames, "stamp_ns": frame.stamp_ns, "people": people_3d(poses)})
            if step and (frames - 1) % step == 0 and len(overlays) < options.overlays:
                path = out / "overlays" / f"{estimated.recorded.name}.png"
                write_picture(path, overlay(frame, poses, estimated.image_hw, estimator.info.modality))
                overlays.append(path)
            if progress is not None:
                progress(frames)
        skipped = tuple(recording.skipped.sentences())
        if frames == 0:
            raise ValueError(f"expected frames to estimate, got none: {'; '.join(skipped) or 'it is empty'}")
    write_json(out / "run.json", _run_entry(estimator, options, images, skipped))
    return RunSummary(frames, people, joints_3d, skipped, (*paths, out / "run.json", *overlays))


def _overlay_step(count: int, options: RunOptions) -> int:
    """Each how many-th estimated frame is drawn; 0 = none."""
    if not options.overlays:
        return 0
    count = -(-count // options.every)
    count = min(count, options.limit) if options.limit is not None else count
    return max(1, -(-count // options.overlays))


def people_3d(poses: Poses) -> list[dict[str, Any]]:
    """Return each person's joints in space by name, unknown ones left out; metres, optical frame."""
    people = []
    for m in range(len(poses)):
        joints: dict[str, Any] = {}
        for j, name in enumerate(poses.skeleton.joints):
            joint: dict[str, Any] = {}
            for key in ("xyz_cam_m", "xyz_root_m"):
                values = getattr(poses, key)
                if values is not None and np.isfinite(values[m, j]).all():
                    joint[key] = [round(float(v), 4) for v in values[m, j]]
            if joint:
                joint["score"] = round(float(poses.scores[m, j]), 4)
                if poses.sigma_m is not None and np.isfinite(poses.sigma_m[m, j]):
                    joint["sigma_m"] = round(float(poses.sigma_m[m, j]), 4)
                if poses.source_3d is not None:
                    joint["source"] = Source3D(int(poses.source_3d[m, j])).name.lower()
                joints[name] = joint
        person: dict[str, Any] = {"score": float(poses.person_scores[m]), "joints": joints}
        if poses.track_ids is not None:
            person["track_id"] = int(poses.track_ids[m])
        people.append(person)
    return people


def _image_entry(image_id: int, estimated: EstimatedFrame) -> dict[str, Any]:
    frame, (height, width) = estimated.recorded.frame, estimated.image_hw
    return {
        "id": image_id,
        "name": estimated.recorded.name,
        "camera": estimated.recorded.camera,
        "frame_id": frame.frame_id,
        "stamp_ns": frame.stamp_ns,
        "width": width,
        "height": height,
        "seen_width": frame.size_hw[1],
        "seen_height": frame.size_hw[0],
        "metric_3d": frame.intrinsics is not None and frame.depth_m is not None,
    }


def _run_entry(
    estimator: PoseEstimator, options: RunOptions, images: list[dict[str, Any]], skipped: tuple[str, ...]
) -> dict[str, Any]:
    info = estimator.info
    model = {k: getattr(info, k) for k in ("name", "sha256", "licence", "backend", "modality", "trained")}
    model |= {"input_hw": list(info.input_hw), "skeleton": info.skeleton.name}
    size_hw = options.low_resolution_hw
    return {
        "model": model,
        "flip_test": estimator.config.flip_test,
        "every": options.every,
        "low_resolution_hw": None if size_hw is None else list(size_hw),
        "images": images,
        "skipped": list(skipped),
    }


@contextmanager
def _json_list(path: Path) -> Iterator[Callable[[Any], None]]:
    """Give a function that adds an item to a JSON list, which is written all or nothing."""
    separator = ""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:

        def add(item: Any) -> None:
            nonlocal separator
            file.write(separator + "\n" + json.dumps(item, allow_nan=False))
            separator = ","

        file.write("[")
        yield add
        file.write("\n]\n")
