"""The recording at a path, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from orpose_core.data.recordings.bag_files import looks_like_bag
from orpose_core.data.recordings.bags import BagRecording
from orpose_core.data.recordings.image_folders import ImageRecording
from orpose_core.data.recordings.mvor import MvorRecording
from orpose_core.data.recordings.recording import Modality, Recording
from orpose_core.data.recordings.videos import NOT_READABLE, VIDEO_SUFFIXES, VideoRecording


def open_recording(
    path: str | Path,
    modality: Modality = "depth",
    *,
    topics: dict[str, str] | None = None,
    tolerance_s: float = 0.05,
) -> Recording:
    """Return the recording at a path.

    That is a rosbag2, a ROS 1 bag, a folder of them, an image folder, an image, a video, or MVOR's list of
    images.

    Args:
        path: what to read.
        modality: what is wanted of it.
        topics: ``color``, ``depth`` and ``camera_info`` topics of a bag's one camera; None = look for them.
        tolerance_s: color and depth of one moment may be so far apart.

    Raises:
        ValueError: nothing there that can be read; says what was expected.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise ValueError(f"{path}: expected a bag, a folder of images, an image or a video; nothing is there")
    if looks_like_bag(path):
        return BagRecording(path, modality, topics=topics, tolerance_s=tolerance_s)
    suffix = path.suffix.lower() if path.is_file() else ""
    if suffix in NOT_READABLE:
        raise ValueError(f"{path}: not readable: {NOT_READABLE[suffix]}")
    if suffix in VIDEO_SUFFIXES:
        return VideoRecording(path, modality)
    if suffix == ".json":
        return MvorRecording(path, modality)
    return ImageRecording(path, modality)
