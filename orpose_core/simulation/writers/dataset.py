"""Synthetic recordings on disk: a folder in MVOR's conventions with exact annotations.

A folder holds::

    simulation.json                         the settings; a later run must use the same ones
    roomNNNNN/camC/color/MMMMMM.png         uint8 RGB
    roomNNNNN/camC/depth/MMMMMM.png         uint16, millimetres, 0 = no return
    roomNNNNN/camC/truth/MMMMMM.json        all 24 joints, visibility, ids, roles, calibration of this image
    annotations.json                        COCO keypoints (17), MVOR's 10 joints in 2D and 3D, calibration

The truth file of an image is written last, so it marks a complete frame. Every file is written to a
temporary file and renamed. A run that was killed leaves nothing incomplete, and the next run writes
only the missing files.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from orpose_core.data.coco_writing import write_coco
from orpose_core.data.mvor import PLUS_2D_KEY, PLUS_3D_KEY
from orpose_core.data.poses_json import poses_from_json, poses_to_json
from orpose_core.files import read_json, remove_temporaries, write_depth, write_json, write_picture
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.skeleton import COCO17, MVOR10
from orpose_core.types import Poses, Visibility, xywh_of_boxes

MANIFEST = "simulation.json"
ANNOTATIONS = "annotations.json"
FORMAT_VERSION = 1

Progress = Callable[[int], None]
"""Called with the number of frames that are done."""


def write_dataset(
    config: StreamConfig,
    frames: int,
    folder: str | os.PathLike,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Write the first ``frames`` images of a synthetic recording; resumes where an earlier run stopped.

    Args:
        config: of the recording.
        frames: how many images.
        folder: of the data set; created if it does not exist.
        workers: processes that render.
        progress: called with the number of finished images.

    Returns:
        The annotation file.

    Raises:
        ValueError: the folder holds another recording, or an argument is out of range.
        OSError: a file could not be written (a full disk, say).
    """
    _check(frames, workers)
    folder = Path(folder)
    _claim(config, frames, folder)
    missing = [i for i in range(frames) if not (folder / _place(config, i, "truth")).is_file()]
    done = frames - len(missing)
    if progress is not None and done:
        progress(done)
    for count, _ in enumerate(_write_all(config, missing, folder, workers), start=1):
        if progress is not None:
            progress(done + count)
    records = (read_json(folder / _place(config, i, "truth")) for i in range(frames))
    info = {"description": f"synthetic {config.domain} recording, seed {config.seed}", "version": "1.0"}
    licenses = [{"id": 1, "name": "Apache-2.0"}]
    write_coco(folder / ANNOTATIONS, _entries(config, records), info=info, licenses=licenses)
    return folder / ANNOTATIONS


def _check(frames: int, workers: int) -> None:
    if frames < 1:
        raise ValueError(f"frames: expected at least 1, got {frames}")
    if not 1 <= workers <= 1024:
        raise ValueError(f"workers: expected 1 to 1024, got {workers}")


def _claim(config: StreamConfig, frames: int, folder: Path) -> None:
    """Write the manifest, or check that the one there asks for the same recording."""
    wanted = {"format": FORMAT_VERSION, "frames": frames, "config": json.loads(json.dumps(asdict(config)))}
    manifest = folder / MANIFEST
    if folder.is_dir():
        remove_temporaries(folder)  # a kill while the manifest was written must not lock this folder
    if manifest.is_file():
        there = _complete(read_json(manifest))
        if {**there, "frames": frames} != wanted:
            raise ValueError(
                f"{manifest}: the folder holds another recording; expected {wanted['config']}, "
                f"got {there['config']}"
            )
        if there.get("frames") == frames:
            return
    elif folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder}: expected an empty folder or one with {MANIFEST}, got other files")
    elif folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder, got a file")
    write_json(manifest, wanted)


def _complete(manifest: Any) -> dict[str, Any]:
    """Return a manifest with the defaults of the settings that were added after it was written."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("config"), dict):
        return {"config": manifest}
    defaults = json.loads(json.dumps(asdict(StreamConfig())))
    return {**manifest, "config": {**defaults, **manifest["config"]}}


def _place(config: StreamConfig, index: int, kind: str) -> Path:
    """Return the path of a frame's file inside the folder; ``kind`` is color, depth or truth."""
    camera = index % config.cameras
    sequence, moment = divmod(index // config.cameras, config.frames_per_sequence)
    suffix = ".json" if kind == "truth" else ".png"
    return Path(f"room{sequence + 1:05d}") / f"cam{camera + 1}" / kind / f"{moment:06d}{suffix}"


def truth_place(image: str) -> Path:
    """Return the truth file of an image, both relative to the folder."""
    path = Path(image)
    return path.parent.parent / "truth" / f"{path.stem}.json"


def image_id(config: StreamConfig, index: int) -> int:
    """Return an image's id: room, camera and moment in one number (MVOR: day, camera, frame)."""
    camera = index % config.cameras
    sequence, moment = divmod(index // config.cameras, config.frames_per_sequence)
    return (sequence + 1) * 10_000_000_000 + (camera + 1) * 10_000_000 + moment


def chunked(indices: list[int], workers: int) -> list[list[int]]:
    """Split frame numbers into runs, long enough to meet the same room again, short enough to share."""
    size = max(1, min(16, len(indices) // (4 * workers)))
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def pool(workers: int) -> ProcessPoolExecutor:
    """Return processes that render.

    They are forked from a fresh server process: forking this one would copy locks that its threads
    (OpenCV's, the progress bar's) may hold, and a worker would wait for them forever.
    """
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(workers, context, initializer=_one_thread)


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _write_all(config: StreamConfig, indices: list[int], folder: Path, workers: int) -> Iterator[int]:
    """Write these frames, in any order, and yield each one's number when it is done."""
    if workers == 1 or len(indices) < 2:
        for index in indices:
            _write_frame(config, index, folder)
            yield index
        return
    with pool(workers) as processes:
        chunks = chunked(indices, workers)
        try:
            for written in processes.map(
                _write_chunk, [config] * len(chunks), chunks, [folder] * len(chunks)
            ):
                yield from written
        except BaseException:
            processes.shutdown(wait=True, cancel_futures=True)
            raise


def _write_chunk(config: StreamConfig, indices: list[int], folder: Path) -> list[int]:
    for index in indices:
        _write_frame(config, index, folder)
    return indices


def _write_frame(config: StreamConfig, index: int, folder: Path) -> None:
    """Write the images of one frame, then its truth."""
    simulated = simulate_frame(config, index)
    frame = simulated.frame
    if frame.rgb is not None:
        write_picture(folder / _place(config, index, "color"), frame.rgb, fast=True)
    if frame.depth_m is not None:
        write_depth(folder / _place(config, index, "depth"), frame.depth_m, fast=True)
    write_json(folder / _place(config, index, "truth"), truth_record(config, simulated))


def truth_record(config: StreamConfig, simulated: SimulatedFrame) -> dict[str, Any]:
    """Return the ground truth of a frame as JSON values."""
    k = simulated.frame.intrinsics
    assert k is not None
    height, width = simulated.frame.size_hw
    return {
        "id": image_id(config, simulated.index),
        "index": simulated.index,
        "room": simulated.sequence + 1,
        "camera": simulated.index % config.cameras + 1,
        "moment": simulated.moment,
        "stamp_ns": simulated.frame.stamp_ns,
        "frame_id": simulated.frame.frame_id,
        "width": width,
        "height": height,
        "intrinsics": {name: float(getattr(k, name)) for name in ("fx", "fy", "cx", "cy")},
        "room_from_camera_m": simulated.room_from_camera.tolist(),
        "roles": list(simulated.roles),
        "areas_px": simulated.areas_px.tolist(),
        "poses": poses_to_json(simulated.poses),
    }


def _entries(
    config: StreamConfig, records: Iterator[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each image of the annotation file and its people."""
    kind = "depth" if config.modality == "depth" else "color"
    for record in records:
        image = {
            "id": record["id"],
            "file_name": _place(config, record["index"], kind).as_posix(),
            "width": record["width"],
            "height": record["height"],
            "cam_id": record["camera"],
            "day_id": record["room"],
            "stamp_ns": record["stamp_ns"],
            "intrinsics": record["intrinsics"],
            "room_from_camera_m": record["room_from_camera_m"],
        }
        yield image, _people_of(record)


def _people_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the COCO annotations of one image, without their ids."""
    poses = poses_from_json(record["poses"], f"image {record['id']}")
    if len(poses) == 0:
        return []
    assert poses.visibility is not None and poses.track_ids is not None
    coco, mvor = _flat_2d(poses, COCO17.joints), _flat_2d(poses, MVOR10.joints)
    points = _flat_3d(poses, MVOR10.joints)
    body = _flat_3d(poses, poses.skeleton.joints)
    xywh = xywh_of_boxes(poses.boxes_px.astype(np.float64))
    return [
        {
            "category_id": 1,
            "iscrowd": 0,
            "person_id": int(poses.track_ids[m]),
            "person_role": record["roles"][m],
            "only_bbox": 0,
            "bbox": xywh[m].tolist(),
            "area": float(record["areas_px"][m]),
            "num_keypoints": int((np.array(coco[m][2::3]) > 0).sum()),
            "keypoints": coco[m],
            PLUS_2D_KEY: mvor[m],
            PLUS_3D_KEY: points[m],
            "body24_cam_m": body[m],
        }
        for m in range(len(poses))
    ]


def _flat_2d(poses: Poses, joints: tuple[str, ...]) -> list[list[float]]:
    """Return x, y, v of these joints per person; all 0 where a joint is outside of the image."""
    rows = [poses.skeleton.index(j) for j in joints]
    assert poses.visibility is not None
    flags = poses.visibility[:, rows]
    xy = np.where((flags > Visibility.ABSENT)[..., None], poses.xy_px[:, rows], 0.0)
    return [
        [
            float(value)
            for (x, y), v in zip(xy[m].tolist(), flags[m].tolist(), strict=True)
            for value in (x, y, v)
        ]
        for m in range(len(poses))
    ]


def _flat_3d(poses: Poses, joints: tuple[str, ...]) -> list[list[float]]:
    """Return X, Y, Z, v of these joints per person, metres, camera frame; v as in 2D, 1 outside."""
    rows = [poses.skeleton.index(j) for j in joints]
    assert poses.visibility is not None and poses.xyz_cam_m is not None
    flags = np.maximum(poses.visibility[:, rows], Visibility.OCCLUDED).astype(np.float64)
    flat = np.concatenate([poses.xyz_cam_m[:, rows].astype(np.float64), flags[..., None]], axis=-1)
    return flat.reshape(len(poses), -1).tolist()
