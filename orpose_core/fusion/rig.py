"""The cameras of a room: their poses and intrinsics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orpose_core.types import Float64Array, Intrinsics, Poses

_NEAREST_M = 0.3  # what is nearer to a camera is not in its image


@dataclass(frozen=True)
class RoomCamera:
    """A calibrated camera.

    Attributes:
        name: of the camera; its topics' namespace.
        intrinsics: of the images in whose px its skeletons are given.
        room_from_camera: float64 (4, 4), rigid, metres, from the optical frame to the room (z up, floor 0).
        frame_id: of its optical frame.
        depth_scale: true depth by what its depth images say.
    """

    name: str
    intrinsics: Intrinsics
    room_from_camera: Float64Array
    frame_id: str = ""
    depth_scale: float = 1.0

    def __post_init__(self) -> None:
        matrix = np.asarray(self.room_from_camera, np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise ValueError(
                f"RoomCamera {self.name}: expected a finite 4x4 room_from_camera, got {matrix.shape}"
            )
        rotation = matrix[:3, :3]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise ValueError(f"RoomCamera {self.name}: the rotation of room_from_camera is not one")
        if not 0.5 < self.depth_scale < 2.0:
            raise ValueError(
                f"RoomCamera {self.name}: expected a depth_scale of about 1, got {self.depth_scale}"
            )
        object.__setattr__(self, "room_from_camera", matrix)

    @property
    def camera_from_room(self) -> Float64Array:
        """The inverse of ``room_from_camera``, float64 (4, 4)."""
        out = np.eye(4)
        out[:3, :3] = self.room_from_camera[:3, :3].T
        out[:3, 3] = -out[:3, :3] @ self.room_from_camera[:3, 3]
        return out

    @cached_property
    def projection(self) -> Float64Array:
        """float64 (3, 4), from homogeneous points of the room to px times depth."""
        i = self.intrinsics
        return np.array([[i.fx, 0, i.cx], [0, i.fy, i.cy], [0, 0, 1.0]]) @ self.camera_from_room[:3]

    def image_of(self, xyz_room_m: Float64Array) -> Float64Array:
        """Return where points of the room, (n, 3) m, lie in the image: px, px and depth in m, (n, 3).

        What lies behind the camera has a depth below 0 and no meaningful place; NaN stays NaN.
        """
        image = xyz_room_m @ self.projection[:, :3].T + self.projection[:, 3]
        depth = np.where(np.abs(image[:, 2:]) < 1e-6, 1e-6, image[:, 2:])
        return np.hstack([image[:, :2] / depth, image[:, 2:]])

    def sees(self, xyz_room_m: Float64Array) -> NDArray[np.bool_]:
        """Return which points of the room, (n, 3) m, lie in the image, bool (n,); NaN does not."""
        return self.shows(self.image_of(xyz_room_m))

    def shows(self, image: Float64Array) -> NDArray[np.bool_]:
        """Return which places of :meth:`image_of`, (n, 3), lie in the image, bool (n,); NaN does not."""
        size = self.intrinsics.width, self.intrinsics.height
        inside = ((image[:, :2] > -0.5) & (image[:, :2] < np.array(size) - 0.5)).all(axis=1)
        return np.asarray(inside & (image[:, 2] > _NEAREST_M))


@dataclass(frozen=True)
class View:
    """What one camera saw of the room.

    Attributes:
        camera: which.
        poses: the people in its image; px of ``camera.intrinsics``.
        stamp_ns: time of the exposure.
    """

    camera: RoomCamera
    poses: Poses
    stamp_ns: int = 0


def check_rig(cameras: Sequence[RoomCamera]) -> None:
    """Raise ValueError unless there are cameras and their names differ."""
    names = [camera.name for camera in cameras]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"expected one or more cameras with names that differ, got {names}")
