"""What the cameras of a room saw of people, at moments when two or more saw somebody."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.image_messages import decode_depth, intrinsics_of
from orpose_core.data.recordings.bag_files import open_readers
from orpose_core.data.recordings.recording import SkipLog
from orpose_core.data.skeleton_messages import from_skeletons, register_messages, stamp_ns_of
from orpose_core.geometry import back_project
from orpose_core.types import Intrinsics, Poses

Float64Array = NDArray[np.float64]
_EVERY_NS, _MOST_IMAGES = 10_000_000_000, 30  # depth images that are used of a recording


@dataclass(frozen=True)
class Sighting:
    """One moment.

    Attributes:
        stamp_ns: of it.
        views: by camera name, the people it saw; px of the camera's intrinsics, metric joints where known.
    """

    stamp_ns: int
    views: Mapping[str, Poses]


@dataclass(frozen=True)
class Recorded:
    """What a recording holds of a room.

    Attributes:
        sightings: moments, by time.
        intrinsics: by camera, of the images in whose px the people are.
        surfaces: by camera, float64 (k, 3), points of what stands still in its depth images, optical frame,
            m; none where there is no depth.
        frame_ids: by camera, of its optical frame.
    """

    sightings: list[Sighting]
    intrinsics: dict[str, Intrinsics]
    surfaces: dict[str, Float64Array]
    frame_ids: dict[str, str]


def read_sightings(
    bag: str | os.PathLike, cameras: Sequence[str], images: str = "lowres", skeletons: str = "",
    slop_s: float = 0.05,
) -> Recorded:  # fmt: skip
    """Read the skeletons, calibration and depth of each camera from a bag.

    Args:
        bag: a rosbag2, for example of ``ros2 bag record`` beside the pose node.
        cameras: namespaces.
        images: name below a camera's namespace where ``camera_info`` and ``depth/image_raw`` are.
        skeletons: name below it where ``skeletons_2d`` and ``skeletons_3d`` are.
        slop_s: views so far apart are of one moment.

    Raises:
        ValueError: a camera's skeletons or camera_info are missing; the message names the topic.
    """

    def topic(camera: str, folder: str, name: str) -> str:
        return "/" + "/".join(part.strip("/") for part in (camera, folder, name) if part)

    kinds = {
        topic(c, f, n): (c, n)
        for c in cameras
        for f, n in ((skeletons, "skeletons_2d"), (skeletons, "skeletons_3d"), (images, "camera_info"),
                     (images, "depth/image_raw"))
    }  # fmt: skip
    flat: dict[str, dict[int, Any]] = {camera: {} for camera in cameras}
    space: dict[str, dict[int, Any]] = {camera: {} for camera in cameras}
    infos: dict[str, Any] = {}
    depths: dict[str, list[NDArray[np.float32]]] = {camera: [] for camera in cameras}
    next_ns = dict.fromkeys(cameras, 0)
    with contextlib.ExitStack() as stack:
        for reader in open_readers(Path(bag), stack, SkipLog()):
            register_messages(reader.typestore)
            wanted = [c for c in reader.connections if c.topic in kinds]
            for connection, recorded_ns, raw in reader.messages(wanted) if wanted else ():  # none: of all
                camera, name = kinds[connection.topic]
                if (name == "camera_info" and camera in infos) or (
                    name == "depth/image_raw"
                    and (recorded_ns < next_ns[camera] or len(depths[camera]) >= _MOST_IMAGES)
                ):
                    continue
                message = reader.deserialize(raw, connection.msgtype)
                if name == "camera_info":
                    infos[camera] = message
                elif name == "depth/image_raw":
                    depths[camera].append(decode_depth(message))
                    next_ns[camera] = recorded_ns + _EVERY_NS
                else:
                    (flat if name == "skeletons_2d" else space)[camera][stamp_ns_of(message)] = message
    for camera in cameras:
        if not flat[camera]:
            raise ValueError(f"{bag}: expected skeletons on {topic(camera, skeletons, 'skeletons_2d')}")
        if camera not in infos:
            raise ValueError(f"{bag}: expected the optics on {topic(camera, images, 'camera_info')}")
    intrinsics, surfaces, frame_ids = {}, {}, {}
    for camera in cameras:
        own = intrinsics_of(infos[camera])
        first = next(iter(flat[camera].values()))
        frame_ids[camera] = str(first.header.frame_id)
        intrinsics[camera] = own.resized((int(first.image_height), int(first.image_width)))
        if depths[camera]:
            surfaces[camera] = points_of(still_depth(depths[camera]), own)
    return Recorded(_moments(flat, space, int(slop_s * 1e9)), intrinsics, surfaces, frame_ids)


def still_depth(images: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the depth, float32 (h, w) m, of what stands still in depth images: whoever walks by is left out.

    NaN where fewer than a third of the images have a depth. Images of another size than the first's are left
    out.
    """
    stack = np.stack([image for image in images if image.shape == images[0].shape])
    often = np.isfinite(stack).sum(axis=0) * 3 >= len(stack)
    out = np.full(stack.shape[1:], np.nan, np.float32)
    out[often] = np.nanmedian(stack[:, often], axis=0)
    return out


def points_of(depth_m: NDArray[np.float32], intrinsics: Intrinsics, most: int = 4000) -> Float64Array:
    """Return points of a depth image, float64 (k, 3), optical frame, m, evenly spread over the image."""
    height, width = depth_m.shape
    rows, columns = np.nonzero(np.isfinite(depth_m))
    step = max(1, len(rows) // most)
    rows, columns = rows[::step], columns[::step]
    xy = np.stack([columns, rows], axis=-1).astype(np.float64)
    return back_project(xy, depth_m[rows, columns].astype(np.float64), intrinsics.resized((height, width)))


def _moments(
    flat: Mapping[str, Mapping[int, Any]], space: Mapping[str, Mapping[int, Any]], slop_ns: int
) -> list[Sighting]:
    """Return moments: views of cameras whose stamps are near each other."""
    entries = sorted((stamp, camera) for camera, messages in flat.items() for stamp in messages)
    moments: list[Sighting] = []
    begin = 0
    while begin < len(entries):
        end, chosen = begin, dict[str, int]()
        while end < len(entries) and entries[end][0] - entries[begin][0] <= slop_ns:
            stamp, camera = entries[end]
            chosen.setdefault(camera, stamp)
            end += 1
        views = {c: from_skeletons(flat[c][s], space[c].get(s)) for c, s in chosen.items()}
        if len(views) > 1:
            moments.append(Sighting(entries[begin][0], views))
        begin = end
    return moments
