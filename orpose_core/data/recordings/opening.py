"""The recording at a path, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from orpose_core.data.recordings.bag_files import looks_like_bag
from orpose_core.data.recordings.bags import BagRecording
from orpose_core.data.recordings.image_folders import ImageRecording
from orpose_core.data.recordings.mvor import MvorRecording
from orpose_core.data.recordings.recording import Modality, Recording
from orpose_core.data.recordings.videos import NOT_READABLE, VIDEO_SUFFIXES, VideoRecording
from orpose_core.files import MILLIMETRE_M

_OF_SIMULATE = ("simulation.json", "annotations.json")
"""What `orpose simulate` writes beside its images; the second file lists them, with cameras and times."""


def open_recording(
    path: str | Path,
    modality: Modality = "depth",
    *,
    topics: dict[str, str] | None = None,
    tolerance_s: float = 0.05,
    depth_unit_m: float = MILLIMETRE_M,
    rectified: bool = False,
) -> Recording:
    """Return the recording at a path.

    That is a rosbag2, a ROS 1 bag, a folder of them, an image folder, an image, a video, MVOR's list of
    images, or a folder that `orpose simulate` wrote.

    Args:
        path: what to read.
        modality: what is wanted of it.
        topics: ``color``, ``depth`` and ``camera_info`` topics of a bag's one camera; None = look for them.
        tolerance_s: color and depth of one moment may be so far apart.
        depth_unit_m: what one step of 16-bit depth is, m; MVOR's is known.
        rectified: the images of a bag are rectified: their camera is P of camera_info, not K.

    Raises:
        ValueError: nothing there that can be read; says what was expected.
    """
    if not 0 < depth_unit_m < 100:
        raise ValueError(f"depth unit: expected a length above 0 m, got {depth_unit_m:g} m")
    path = Path(path).expanduser()
    if not path.exists():
        raise ValueError(f"{path}: expected a bag, a folder of images, an image or a video; nothing is there")
    if looks_like_bag(path):
        return BagRecording(
            path, modality, topics=topics, tolerance_s=tolerance_s, depth_unit_m=depth_unit_m,
            rectified=rectified,
        )  # fmt: skip
    suffix = path.suffix.lower() if path.is_file() else ""
    if suffix in NOT_READABLE:
        raise ValueError(f"{path}: not readable: {NOT_READABLE[suffix]}")
    if suffix in VIDEO_SUFFIXES:
        return VideoRecording(path, modality)
    if suffix == ".json":
        return MvorRecording(path, modality)
    if all((path / name).is_file() for name in _OF_SIMULATE):
        return MvorRecording(path / _OF_SIMULATE[1], modality)
    return ImageRecording(path, modality, depth_unit_m=depth_unit_m)
