"""How a camera hangs that nobody has calibrated: people stand upright, and their feet are on the floor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orpose_core.types import Float64Array
from orpose_core.view.moments import CameraMoment

_STEADY = 0.5  # length of the mean of unit vectors: below it people do not agree on where up is
_HEIGHT_M = (0.5, 4.0)  # of a camera above the floor


def level_pose(moments: Sequence[CameraMoment]) -> Float64Array | None:
    """Return room_from_camera of a room below the camera, from the trunks of the people that it sees.

    Up is the median direction from hips to shoulders. The floor is where the lowest 2 % of the joints are. A
    patient who lies alone does not tell.

    Args:
        moments: of one camera.

    Returns:
        float64 (4, 4), the camera above the origin and looking along x; None where it cannot be told.
    """
    spines, joints = [], []
    for moment in moments:
        poses = moment.poses
        if poses is None or poses.xyz_cam_m is None or not len(poses):
            continue
        names = poses.skeleton.joints
        if not {"left_shoulder", "right_shoulder", "left_hip", "right_hip"} <= set(names):
            continue
        xyz = poses.xyz_cam_m.astype(np.float64)
        shoulders, hips = (
            xyz[:, [names.index(f"left_{part}"), names.index(f"right_{part}")]].mean(axis=1)
            for part in ("shoulder", "hip")
        )
        spine = shoulders - hips
        spines.append(spine[np.isfinite(spine).all(axis=-1)])
        joints.append(xyz[np.isfinite(xyz).all(axis=-1)])
    trunk = np.concatenate([np.zeros((0, 3)), *spines])
    if not len(trunk):
        return None
    up = np.median(trunk / np.maximum(np.linalg.norm(trunk, axis=-1, keepdims=True), 1e-6), axis=0)
    length = float(np.linalg.norm(up))
    if length < _STEADY or up[1] > 0:
        return None
    return _pose(up / length, np.concatenate(joints))


def _pose(up: Float64Array, joints_m: Float64Array) -> Float64Array | None:
    """Return the pose of a camera whose frame has this up, and in which people have these joints."""
    forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
    if np.linalg.norm(forward) < 0.1:
        forward = np.array([0.0, -1.0, 0.0]) + up[1] * up  # it looks straight down
    forward /= np.linalg.norm(forward)
    pose = np.eye(4)
    pose[:3, :3] = forward, np.cross(up, forward), up
    pose[2, 3] = float(np.clip(-np.quantile(joints_m @ up, 0.02), *_HEIGHT_M))
    return pose
