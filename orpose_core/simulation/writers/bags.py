"""Synthetic recordings as rosbag2: images, calibration, tf_static and ground-truth skeletons."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.data.image_messages import encode_color, encode_depth, encode_intrinsics
from orpose_core.data.skeleton_messages import (
    MessageTypes,
    rosbags_types,
    to_skeleton_info,
    to_skeletons_2d,
    to_skeletons_3d,
)
from orpose_core.files import write_text
from orpose_core.simulation import SimulatedFrame, StreamConfig, simulate_frame
from orpose_core.simulation.writers.dataset import Progress, chunked, pool
from orpose_core.skeleton import BODY24

ROOM_FRAME = "room"
STORAGES = ("mcap", "sqlite3")


def write_bag(
    config: StreamConfig,
    frames: int,
    path: str | os.PathLike,
    storage: str = "mcap",
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Write the first ``frames`` images of a synthetic recording as a rosbag2.

    Topics, in the namespace of each camera (``camera_1``, ...): ``color/image_raw`` (rgb8),
    ``depth/image_raw`` (16UC1, mm), ``camera_info``, ``ground_truth/skeletons_2d`` and
    ``ground_truth/skeletons_3d``; and for all of them ``tf_static`` (``room`` to the optical frames) and
    ``ground_truth/skeleton_info``. A run that was killed leaves a folder ``NAME.partial``, which readers do
    not accept as a bag and the next run removes.

    Args:
        config: of the recording; all frames must be of one room, so that ``tf_static`` holds.
        frames: how many images, all cameras together.
        path: of the bag, a folder that must not exist yet.
        storage: "mcap" or "sqlite3".
        workers: processes that render.
        progress: called with the number of finished images.

    Raises:
        ValueError: an argument is out of range, or the bag exists.
        OSError: the bag could not be written.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    path = Path(path)
    _check(config, frames, path, storage)
    partial = path.with_name(path.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    typestore = get_typestore(Stores.ROS2_JAZZY)
    types = rosbags_types(typestore)
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    try:
        with Writer(partial, version=9, storage_plugin=plugin) as bag:
            recorder = _Recorder(bag, typestore, types)
            for count, simulated in enumerate(_frames(config, frames, workers), start=1):
                recorder.write(simulated)
                if progress is not None:
                    progress(count)
        _name_files(partial, path.name)
        partial.replace(path)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, sqlite3.Error):  # not an OSError, even where the disk is full
            raise OSError(f"{path}: could not be written: {error}") from error
        raise
    return path


def _check(config: StreamConfig, frames: int, path: Path, storage: str) -> None:
    if storage not in STORAGES:
        raise ValueError(f"storage: expected one of {', '.join(STORAGES)}, got {storage!r}")
    if frames < 1:
        raise ValueError(f"frames: expected at least 1, got {frames}")
    same_room = config.domain == "site"  # on every day
    if not same_room and frames > config.frames_per_sequence * config.cameras:
        raise ValueError(
            f"a bag is of one room: expected at most {config.frames_per_sequence * config.cameras} frames "
            f"(frames_per_sequence x cameras), got {frames}"
        )
    if config.modality != "rgbd":
        raise ValueError(f"a bag holds color and depth: expected modality rgbd, got {config.modality!r}")
    if path.exists():
        raise ValueError(f"{path}: expected a bag that does not exist yet, got one")


def _name_files(partial: Path, name: str) -> None:
    """Name the bag's files after the bag, as rosbag2 does; they were named after the partial folder."""
    metadata = partial / "metadata.yaml"
    text = metadata.read_text()
    for file in partial.iterdir():
        if file.name.startswith(partial.name):
            new = name + file.name.removeprefix(partial.name)
            text = text.replace(file.name, new)
            file.rename(file.with_name(new))
    write_text(metadata, text)


def _frames(config: StreamConfig, frames: int, workers: int) -> Iterator[SimulatedFrame]:
    """Yield frames in order, rendered by several processes."""
    indices = list(range(frames))
    if workers == 1 or frames < 2:
        yield from (simulate_frame(config, i) for i in indices)
        return
    with pool(workers) as processes:
        chunks = chunked(indices, workers)
        for rendered in processes.map(_render_chunk, [config] * len(chunks), chunks):
            yield from rendered


def _render_chunk(config: StreamConfig, indices: Sequence[int]) -> list[SimulatedFrame]:
    return [simulate_frame(config, i) for i in indices]


class _Recorder:
    """Writes frames to an open bag; topics and latched messages come with the first frame of each camera."""

    def __init__(self, bag: Any, typestore: Any, types: MessageTypes) -> None:
        self.bag, self.typestore, self.types = bag, typestore, types
        self.connections: dict[str, Any] = {}
        self.known: set[str] = set()

    def write(self, simulated: SimulatedFrame) -> None:
        """Write all messages of one frame."""
        frame, camera = simulated.frame, simulated.camera
        assert frame.rgb is not None and frame.depth_m is not None and frame.intrinsics is not None
        stamp, types = frame.stamp_ns, self.types
        if camera not in self.known:
            self._introduce(simulated)
        image, info = types.lookup("sensor_msgs/msg/Image"), types.lookup("sensor_msgs/msg/CameraInfo")
        header = types.header(stamp, frame.frame_id)
        unset = {
            "binning_x": 0,
            "binning_y": 0,
            "roi": types.lookup("sensor_msgs/msg/RegionOfInterest")(
                x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        }
        self._put(
            f"/{camera}/camera_info",
            info(header=header, **encode_intrinsics(frame.intrinsics), **unset),
            stamp,
        )
        self._put(f"/{camera}/color/image_raw", image(header=header, **encode_color(frame.rgb)), stamp)
        depth = encode_depth(frame.depth_m, "16UC1")
        self._put(f"/{camera}/depth/image_raw", image(header=header, **depth), stamp)
        poses, size = simulated.poses, frame.size_hw
        flat = to_skeletons_2d(
            poses,
            types,
            stamp_ns=stamp,
            frame_id=frame.frame_id,
            image_hw=size,
            network_hw=size,
            modality="depth",
        )
        self._put(f"/{camera}/ground_truth/skeletons_2d", flat, stamp)
        solid = to_skeletons_3d(poses, types, stamp_ns=stamp, frame_id=frame.frame_id)
        self._put(f"/{camera}/ground_truth/skeletons_3d", solid, stamp)

    def _introduce(self, simulated: SimulatedFrame) -> None:
        """Write a camera's place, and with the first camera the skeleton."""
        stamp, types = simulated.frame.stamp_ns, self.types
        if not self.known:
            self._put("/ground_truth/skeleton_info", to_skeleton_info(BODY24, types), stamp, latched=True)
        self.known.add(simulated.camera)
        transform = types.lookup("geometry_msgs/msg/TransformStamped")(
            header=types.header(stamp, ROOM_FRAME),
            child_frame_id=simulated.frame.frame_id,
            transform=self._transform(simulated.room_from_camera),
        )
        message = types.lookup("tf2_msgs/msg/TFMessage")(transforms=[transform])
        self._put("/tf_static", message, stamp, latched=True)

    def _transform(self, matrix: NDArray[np.float64]) -> Any:
        vector = self.types.lookup("geometry_msgs/msg/Vector3")
        quaternion = self.types.lookup("geometry_msgs/msg/Quaternion")
        x, y, z, w = quaternion_of(matrix)
        tx, ty, tz = (float(value) for value in matrix[:3, 3])
        return self.types.lookup("geometry_msgs/msg/Transform")(
            translation=vector(x=tx, y=ty, z=tz), rotation=quaternion(x=x, y=y, z=z, w=w)
        )

    def _put(self, topic: str, message: Any, stamp_ns: int, latched: bool = False) -> None:
        if topic not in self.connections:
            self.connections[topic] = self.bag.add_connection(
                topic, message.__msgtype__, typestore=self.typestore, offered_qos_profiles=[_qos(latched)]
            )
        data = self.typestore.serialize_cdr(message, message.__msgtype__)
        self.bag.write(self.connections[topic], stamp_ns, data)


def _qos(latched: bool) -> Any:
    """Return reliable quality of service; ``latched``: late subscribers get it too, which tf_static needs."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        False,
    )


def quaternion_of(matrix: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return x, y, z, w of a rotation, float64 (3, 3) or (4, 4); the largest component is computed first."""
    m = [[float(matrix[i, j]) for j in range(3)] for i in range(3)]
    squares = [
        1.0 + m[0][0] - m[1][1] - m[2][2],
        1.0 - m[0][0] + m[1][1] - m[2][2],
        1.0 - m[0][0] - m[1][1] + m[2][2],
        1.0 + m[0][0] + m[1][1] + m[2][2],
    ]
    largest = max(range(4), key=lambda i: squares[i])
    s = 2.0 * math.sqrt(squares[largest])
    cross = (m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1])
    if largest == 3:
        return cross[0] / s, cross[1] / s, cross[2] / s, s / 4.0
    i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
    out = [0.0] * 4
    out[i], out[j], out[k] = s / 4.0, (m[i][j] + m[j][i]) / s, (m[i][k] + m[k][i]) / s
    out[3] = cross[i] / s
    return out[0], out[1], out[2], out[3]
