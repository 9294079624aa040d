"""What a page shows of one camera, or of the room, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.people import RoomPeople
from orpose_core.fusion.rig import RoomCamera
from orpose_core.geometry import transform_points
from orpose_core.image_ops import MAX_PRIVATE_PIXELS
from orpose_core.skeleton import Skeleton
from orpose_core.types import Float64Array, Picture, Poses
from orpose_core.types.arrays import check_array

UNTRACKED = -1
"""The id of somebody whom no tracker follows."""


@dataclass(frozen=True)
class CameraMoment:
    """One image of a camera and who is in it.

    Attributes:
        stamp_ns: time of the exposure, ns.
        image_hw: (height, width) of the image in whose px the poses are.
        poses: the people, or None while they are not known yet.
        picture: uint8 (h, w, 3), the low-resolution image, red first, or None.
        latency_s: from the exposure to when this came, s; None = not known.
    """

    stamp_ns: int
    image_hw: tuple[int, int]
    poses: Poses | None = None
    picture: Picture | None = None
    latency_s: float | None = None

    def __post_init__(self) -> None:
        if self.picture is not None:
            check_array("CameraMoment.picture", self.picture, np.uint8, (None, None, 3))
        if min(self.image_hw) < 1:
            raise ValueError(f"CameraMoment: expected the size of the image, got {self.image_hw}")

    @property
    def people(self) -> int:
        """How many people the camera sees."""
        return 0 if self.poses is None else len(self.poses)

    @property
    def track_ids(self) -> NDArray[np.int64]:
        """int64 (m,), :data:`UNTRACKED` = none."""
        ids = None if self.poses is None else self.poses.track_ids
        return np.full(self.people, UNTRACKED, np.int64) if ids is None else ids

    @cached_property
    def roots_cam_m(self) -> Float64Array:
        """float64 (m, 3), optical frame of the camera; as :func:`roots_of`."""
        if self.poses is None or self.poses.xyz_cam_m is None:
            return np.full((self.people, 3), np.nan)
        return roots_of(self.poses.skeleton, self.poses.xyz_cam_m.astype(np.float64))


@dataclass(frozen=True)
class RoomMoment:
    """Everybody in a room at one moment.

    Attributes:
        stamp_ns: ns.
        skeleton: the joint set.
        track_ids: int64 (m,), :data:`UNTRACKED` = none.
        xyz_room_m: float64 (m, n, 3), room frame (z up, floor 0), NaN = unknown.
        sigma_m: float64 (m, n), NaN = unknown.
    """

    stamp_ns: int
    skeleton: Skeleton
    track_ids: NDArray[np.int64]
    xyz_room_m: Float64Array
    sigma_m: Float64Array

    def __post_init__(self) -> None:
        m, n = len(self.track_ids), len(self.skeleton)
        check_array("RoomMoment.track_ids", self.track_ids, np.int64, (m,))
        check_array("RoomMoment.xyz_room_m", self.xyz_room_m, np.float64, (m, n, 3))
        check_array("RoomMoment.sigma_m", self.sigma_m, np.float64, (m, n))

    def __len__(self) -> int:
        return len(self.track_ids)

    @classmethod
    def of_people(cls, people: RoomPeople, stamp_ns: int) -> RoomMoment:
        """Return the moment of fused people."""
        ids = people.track_ids
        ids = np.full(len(people), UNTRACKED, np.int64) if ids is None else ids
        return cls(stamp_ns, people.skeleton, ids, people.xyz_room_m, people.sigma_m)

    @classmethod
    def of_camera(cls, moment: CameraMoment, room_from_camera: Float64Array) -> RoomMoment | None:
        """Return the people of one camera in the room; None where it has no places in space."""
        poses = moment.poses
        if poses is None or poses.xyz_cam_m is None:
            return None
        return cls(
            moment.stamp_ns,
            poses.skeleton,
            moment.track_ids,
            transform_points(room_from_camera, poses.xyz_cam_m.astype(np.float64)),
            np.full(poses.scores.shape, np.nan) if poses.sigma_m is None else poses.sigma_m.astype(float),
        )

    @cached_property
    def roots_m(self) -> Float64Array:
        """float64 (m, 3), room frame; as :func:`roots_of`."""
        return roots_of(self.skeleton, self.xyz_room_m)


def roots_of(skeleton: Skeleton, xyz_m: Float64Array) -> Float64Array:
    """Return where people are: the mean of the hips, else of all known joints.

    Args:
        skeleton: the joint set.
        xyz_m: float64 (m, n, 3), NaN = unknown.

    Returns:
        float64 (m, 3), in the same frame, NaN = no joint is known.
    """
    hips = [skeleton.joints.index(name) for name in ("left_hip", "right_hip") if name in skeleton.joints]
    roots = np.full((len(xyz_m), 3), np.nan)
    for row, points in enumerate(xyz_m):
        known = np.isfinite(points).all(axis=-1)
        if hips and known[hips].all():
            roots[row] = points[hips].mean(axis=0)
        elif known.any():
            roots[row] = points[known].mean(axis=0)
    return roots


def check_private(size_hw: tuple[int, int], limit_px: int = MAX_PRIVATE_PIXELS) -> None:
    """Raise ValueError for an image above the limit: people could be recognised in it."""
    height, width = size_hw
    if height * width > limit_px:
        raise ValueError(
            f"the page takes images of at most {limit_px} px, got {width}x{height} = {height * width}: "
            "put lowres_gateway in front, or reduce the recording"
        )


@dataclass(frozen=True)
class ShownCamera:
    """A camera as a page knows it: its name, and where it hangs.

    Attributes:
        name: of the camera.
        place: its pose and optics, or None where nobody knows them.
        level: float64 (4, 4), room_from_camera as the people tell it, or None where they do not.
    """

    name: str
    place: RoomCamera | None = None
    level: Float64Array | None = None
