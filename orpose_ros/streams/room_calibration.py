"""Poses of a room's cameras, from a calibration file, or from ``tf`` and ``camera_info``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from orpose_core.fusion.rig import RoomCamera
from orpose_core.fusion.rig_files import read_rig, transform_of
from orpose_ros import conversions
from orpose_ros.streams.frame_tree import plain_frame


def rig_of_file(path: str, cameras: Sequence[str]) -> dict[str, RoomCamera]:
    """Return the cameras of a calibration file by name; a ValueError names missing ones."""
    try:
        rig = {camera.name: camera for camera in read_rig(path)}
    except OSError as error:
        raise ValueError(f"parameter calibration: {path} cannot be read: {error}") from error
    missing = [name for name in cameras if name not in rig]
    if missing:
        raise ValueError(
            f"parameter calibration: {path} has no camera {', '.join(missing)}; it has {', '.join(rig)}"
        )
    return {name: rig[name] for name in cameras}


class TransformCalibration:
    """Looks up the poses of cameras in ``tf``; intrinsics come from ``camera_info``."""

    def __init__(self, node: Node, room_frame: str) -> None:
        try:
            from tf2_ros import Buffer, TransformListener
        except ImportError as error:
            raise ValueError(
                "parameter calibration: expected a file, as tf2_ros is not installed here and the cameras' "
                "places cannot be had from tf"
            ) from error
        self._room_frame = room_frame
        self._buffer: Any = Buffer()
        self._listener: Any = TransformListener(self._buffer, node)

    def camera(self, name: str, frame_id: str, info: CameraInfo | None) -> RoomCamera:
        """Return a camera; a ValueError names what is not known yet."""
        if info is None:
            raise ValueError(f"camera {name}: no camera_info has come yet")
        try:
            found = self._buffer.lookup_transform(
                plain_frame(self._room_frame), plain_frame(frame_id), Time()
            )
        except Exception as error:  # tf2 raises errors of its own for unknown and unconnected frames
            raise ValueError(
                f"camera {name}: no transform from {frame_id} to {self._room_frame}: {error}"
            ) from error
        t, q = found.transform.translation, found.transform.rotation
        pose = transform_of((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
        return RoomCamera(name, conversions.intrinsics_of(info), pose, frame_id)

    def close(self) -> None:
        """Unsubscribe from the transforms."""
        self._listener.unregister()


def of_image(camera: RoomCamera, image_hw: tuple[int, int]) -> RoomCamera:
    """Return the camera with the intrinsics of an image of this size: the same view, shrunk."""
    if (camera.intrinsics.height, camera.intrinsics.width) == image_hw:
        return camera
    return replace(camera, intrinsics=camera.intrinsics.resized(image_hw))
