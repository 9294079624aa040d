"""What a recording, or a list of live topics, gives the models of depth and of color."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from orpose_core.data.recordings.bags import discover_cameras
from orpose_core.data.recordings.camera_streams import CameraTopics
from orpose_core.data.recordings.opening import open_recording
from orpose_core.data.recordings.recording import Modality, RecordedFrame
from orpose_core.doctor.finding import Finding

_LOOKED_AT = 20
_PLAUSIBLE_M = (0.4, 12.0)
_TOPIC = re.compile(r"^\s*(/\S+)\s*\[\s*([\w/]+)")
_COMPRESSED = "/compressedDepth"
_MODALITIES: tuple[Modality, ...] = ("depth", "color")


def look_at_recording(path: Path) -> Iterator[Finding]:
    """Read the first frames of a recording and yield what is found."""
    usable = False
    for modality in _MODALITIES:
        what = f"{path.name} for models of {modality}"
        try:
            with open_recording(path, modality) as recording:
                frames = list(islice(recording.frames(), _LOOKED_AT))
                taken, skipped = recording.taken, recording.skipped.sentences()
                count = recording.frame_count()
        except (ValueError, OSError) as error:
            yield Finding(what, "note", f"not usable: {error}")
            continue
        if not frames:
            yield Finding(what, "bad", f"no frame can be read: {'; '.join(skipped) or 'it is empty'}")
            continue
        usable = True
        yield Finding(what, "good", f"about {count} frames; {'; '.join(taken)}")
        for line in skipped:
            yield Finding("left out", "note", line)
        yield from _look_at_frames(frames)
    if not usable:
        yield Finding(path.name, "bad", "neither models of depth nor of color can read it")


def look_at_topics(lines: Sequence[str]) -> Iterator[Finding]:
    """Say which cameras are among topics.

    Args:
        lines: as ``ros2 topic list -t`` prints them.
    """
    topics = [match.groups() for match in map(_TOPIC.match, lines) if match]
    if not topics:
        yield Finding("topics", "bad", "none in this list", "ros2 topic list -t | orpose doctor --topics -")
        return
    for modality in _MODALITIES:
        cameras = discover_cameras([(name, kind) for name, kind in topics], modality)
        if not cameras:
            yield Finding(f"topics for models of {modality}", "note", f"no camera among {len(topics)} topics")
        for camera in cameras:
            roles = {"color": camera.color, "depth": camera.depth, "camera_info": camera.camera_info}
            there = ", ".join(f"{role} {topic}" for role, topic in roles.items() if topic)
            yield Finding(f"{camera.name} for models of {modality}", "good", there)
            if camera.camera_info is None:
                yield Finding(
                    camera.name, "bad", "no camera_info: no metric 3D", "publish it beside the images"
                )
        if modality == "depth":
            yield from _how_to_launch(cameras)


def _how_to_launch(cameras: Sequence[CameraTopics]) -> Iterator[Finding]:
    """Give the command that starts the nodes for these depth cameras; low-resolution images are left out."""
    layouts: dict[tuple[str, str], list[str]] = {}
    compressed = False
    for camera in cameras:
        if camera.depth and camera.camera_info and not camera.name.endswith("/lowres"):
            own = f"{camera.name.rstrip('/')}/"
            compressed = compressed or camera.depth.endswith(_COMPRESSED)
            depth = camera.depth.removesuffix(_COMPRESSED)
            topics = depth.removeprefix(own), camera.camera_info.removeprefix(own)
            layouts.setdefault(topics, []).append(own.strip("/"))
    if len(layouts) > 1:
        said = "the cameras name their topics differently, and one launch expects the same names below each"
        yield Finding("launch", "note", said, "remap the topics of their drivers")
    elif layouts:
        ((depth, camera_info), names), *_ = layouts.items()
        given = {"cameras": ",".join(names), "depth_topic": depth, "camera_info_topic": camera_info}
        usual = {"cameras": "", "depth_topic": "depth/image_raw", "camera_info_topic": "camera_info"}
        words = [f"{name}:={value}" for name, value in given.items() if value != usual[name]]
        words += ["compressed_depth:=true"] if compressed else []
        said = " ".join(["ros2 launch orpose_ros or_pose.launch.py", *words])
        yield Finding("launch", "good", said)


def _look_at_frames(frames: Sequence[RecordedFrame]) -> Iterator[Finding]:
    without = sum(frame.frame.intrinsics is None for frame in frames)
    if without:
        mend = "orpose estimate ... --intrinsics FX,FY,CX,CY, or camera_info.yaml beside the images"
        yield Finding(
            "calibration", "bad", f"missing in {without} of {len(frames)} frames: no metric 3D", mend
        )
    depths = [f.frame.depth_m for f in frames if f.frame.depth_m is not None]
    if not depths:
        return
    shares = [float(np.isfinite(depth).mean()) for depth in depths]
    if np.mean(shares) < 0.2:
        yield Finding("depth", "bad", f"only {np.mean(shares):.0%} of the px have a return")
    known = np.concatenate([depth[np.isfinite(depth)] for depth in depths])
    if len(known) and not _PLAUSIBLE_M[0] <= (median_m := float(np.median(known))) <= _PLAUSIBLE_M[1]:
        mend = "orpose estimate ... --depth-unit 0.25mm (or 0.1mm, 1cm, 1m)"
        yield Finding("depth", "bad", f"its median is {median_m:.3g} m, which no room has", mend)
