"""The recording at a path, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from orpose_core.data.recordings.bags import BagRecording, looks_like_bag
from orpose_core.data.recordings.image_folders import ImageRecording
from orpose_core.data.recordings.mvor import MvorRecording
from orpose_core.data.recordings.recording import Modality, Recording


def open_recording(
    path: str | Path,
    modality: Modality = "depth",
    *,
    topics: dict[str, str] | None = None,
    tolerance_s: float = 0.05,
) -> Recording:
    """Return the recording at a path: a rosbag2, a ROS 1 bag, image folder, image, or MVOR's list of images.

    Args:
        path: what to read.
        modality: what is wanted of it.
        topics: ``color``, ``depth`` and ``camera_info`` topics of a bag's one camera; None = look for them.
        tolerance_s: color and depth of one moment may be so far apart.

    Raises:
        ValueError: nothing there that can be read; says what was expected.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: expected a bag, a folder of images or an image, but nothing is there")
    if looks_like_bag(path):
        return BagRecording(path, modality, topics=topics, tolerance_s=tolerance_s)
    if path.suffix == ".json":
        return MvorRecording(path, modality)
    return ImageRecording(path, modality)
