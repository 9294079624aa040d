"""Bundle adjustment: cameras' poses and people's joints together (Triggs et al., "Bundle Adjustment", 2000).

Residuals are 2D joints and, where a camera measures it, their depth, in standard deviations, with a robust
loss. The first camera stays where it is; without depth the first guess's size is kept by holding the
distances between the cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation

from orpose_core.types import Intrinsics

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observations:
    """Joints that cameras saw, r rows.

    Attributes:
        camera: int64 (r,), number of the camera.
        point: int64 (r,), number of the joint (of one person at one moment).
        xy: float64 (r, 2), px.
        sigma: float64 (r,), px.
        z: float64 (r,), depth along the optical axis, m, NaN = not measured.
        sigma_z: float64 (r,), m.
    """

    camera: NDArray[np.int64]
    point: NDArray[np.int64]
    xy: Float64Array
    sigma: Float64Array
    z: Float64Array
    sigma_z: Float64Array


@dataclass(frozen=True)
class Adjusted:
    """What came out.

    Attributes:
        room_from_camera: float64 (c, 4, 4).
        points: float64 (p, 3), room frame, m.
        residuals_px: float64 (r,), distance of each 2D joint from where it projects.
    """

    room_from_camera: Float64Array
    points: Float64Array
    residuals_px: Float64Array


def adjust(
    room_from_camera: Float64Array, intrinsics: list[Intrinsics], points: Float64Array, seen: Observations,
    hold_m: float | None = None, evaluations: int = 200,
) -> Adjusted:  # fmt: skip
    """Refine poses and joints.

    Args:
        room_from_camera: float64 (c, 4, 4), first guess.
        intrinsics: of the cameras.
        points: float64 (p, 3), first guess, m.
        seen: what was seen.
        hold_m: hold cameras to where the guess has them, with this deviation; None = by the data alone.
        evaluations: at most.
    """
    problem = _Problem(room_from_camera, intrinsics, points, seen, hold_m)
    start = np.concatenate([np.zeros(6 * problem.free), points.ravel()])
    found = least_squares(
        problem.residuals, start, problem.jacobian, method="trf", x_scale="jac", loss="soft_l1", f_scale=1.5,
        tr_solver="lsmr", tr_options={"maxiter": 100}, max_nfev=evaluations, ftol=1e-6,
    )  # fmt: skip
    poses, moved = problem.unpacked(found.x)
    in_cam = problem.in_cameras(poses, moved)
    off = problem.projected(in_cam) - seen.xy
    distances = np.asarray(np.linalg.norm(off, axis=1), np.float64)
    return Adjusted(np.asarray(np.linalg.inv(poses), np.float64), moved, distances)


class _Problem:
    """Residuals and their sparse Jacobian. A pose is its guess, turned by a rotation vector and shifted."""

    def __init__(
        self, room_from_camera: Float64Array, intrinsics: list[Intrinsics], points: Float64Array,
        seen: Observations, hold_m: float | None,
    ) -> None:  # fmt: skip
        self.guess = np.linalg.inv(room_from_camera)  # camera_from_room
        self.seen = seen
        self.free = len(self.guess) - 1
        self.k = np.array([(i.fx, i.fy, i.cx, i.cy) for i in intrinsics])[seen.camera]
        self.deep = np.flatnonzero(np.isfinite(seen.z))
        self.hold_m = hold_m
        self.count = len(points)

    def unpacked(self, x: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return camera_from_room, (c, 4, 4), and the points."""
        poses = self.guess.copy()
        steps = x[: 6 * self.free].reshape(-1, 6)
        turns = Rotation.from_rotvec(steps[:, :3]).as_matrix()
        poses[1:, :3, :3] = turns @ self.guess[1:, :3, :3]
        poses[1:, :3, 3] = np.einsum("cij,cj->ci", turns, self.guess[1:, :3, 3]) + steps[:, 3:]
        return poses, x[6 * self.free :].reshape(-1, 3)

    def in_cameras(self, poses: Float64Array, points: Float64Array) -> Float64Array:
        """Return each observed point in its camera's frame, (r, 3)."""
        pose = poses[self.seen.camera]
        return np.einsum("rij,rj->ri", pose[:, :3, :3], points[self.seen.point]) + pose[:, :3, 3]

    def projected(self, in_cam: Float64Array) -> Float64Array:
        """Return px, (r, 2)."""
        z = np.maximum(in_cam[:, 2:], 0.1)
        return in_cam[:, :2] / z * self.k[:, :2] + self.k[:, 2:]

    def residuals(self, x: Float64Array) -> Float64Array:
        """Return all residuals, in deviations."""
        in_cam = self.in_cameras(*self.unpacked(x))
        flat = (self.projected(in_cam) - self.seen.xy) / self.seen.sigma[:, None]
        deep = (in_cam[self.deep, 2] - self.seen.z[self.deep]) / self.seen.sigma_z[self.deep]
        held = np.zeros(0) if self.hold_m is None else x[: 6 * self.free] / self.hold_m
        return np.concatenate([flat.ravel(), deep, held])

    def jacobian(self, x: Float64Array) -> csr_matrix:
        """Return d residuals / d parameters."""
        poses, points = self.unpacked(x)
        in_cam, rows = self.in_cameras(poses, points), len(self.seen.camera)
        z = np.maximum(in_cam[:, 2], 0.1)
        by_cam = np.zeros((rows, 3, 3))  # d (u, v, depth) / d place in the camera's frame, in deviations
        by_cam[:, 0, 0], by_cam[:, 1, 1] = self.k[:, 0] / z, self.k[:, 1] / z
        by_cam[:, 0, 2] = -self.k[:, 0] * in_cam[:, 0] / z**2
        by_cam[:, 1, 2] = -self.k[:, 1] * in_cam[:, 1] / z**2
        by_cam[:, :2] /= self.seen.sigma[:, None, None]
        by_cam[:, 2, 2] = 1 / np.where(np.isfinite(self.seen.z), self.seen.sigma_z, 1.0)
        by_point = by_cam @ poses[self.seen.camera][:, :3, :3]
        by_pose = np.concatenate([by_cam @ self._turned(x, in_cam), by_cam], axis=2)  # (r, 3, 6)
        flat, deep = np.arange(2 * rows).reshape(rows, 2), np.full(rows, -1)
        deep[self.deep] = 2 * rows + np.arange(len(self.deep))
        target = np.concatenate([flat, deep[:, None]], axis=1)  # (r, 3), row of each residual, -1 = none
        free = self.seen.camera > 0
        columns_pose = 6 * (self.seen.camera - 1)[:, None] + np.arange(6)
        columns_point = 6 * self.free + 3 * self.seen.point[:, None] + np.arange(3)
        blocks = [
            _block(target, columns_point, by_point),
            _block(target[free], columns_pose[free], by_pose[free]),
        ]
        total = 2 * rows + len(self.deep)
        if self.hold_m is not None:
            held = np.arange(6 * self.free)
            blocks.append((total + held, held, np.full(len(held), 1 / self.hold_m)))
            total += len(held)
        i, j, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return csr_matrix((values, (i, j)), shape=(total, len(x)))

    def _turned(self, x: Float64Array, in_cam: Float64Array) -> Float64Array:
        """Return d place in the camera's frame / d rotation vector, (r, 3, 3).

        With J the right Jacobian of SO(3): R(w + dw) p = R(w) p - R(w) [p] J(w) dw.
        """
        steps = np.concatenate([np.zeros((1, 6)), x[: 6 * self.free].reshape(-1, 6)])
        turns = Rotation.from_rotvec(steps[:, :3]).as_matrix()
        right = np.stack([_right_jacobian(w) for w in steps[:, :3]])
        before = np.einsum(
            "rji,rj->ri", turns[self.seen.camera], in_cam - steps[self.seen.camera, 3:]
        )  # the point before the turn
        return -turns[self.seen.camera] @ _cross(before) @ right[self.seen.camera]


def _block(
    rows: NDArray[np.int64], columns: NDArray[np.int64], values: Float64Array
) -> tuple[NDArray, NDArray, NDArray]:
    """Return the triplets of dense blocks; residuals of row -1 are left out."""
    i = np.broadcast_to(rows[:, :, None], values.shape)
    j = np.broadcast_to(columns[:, None, :], values.shape)
    keep = i >= 0
    return i[keep], j[keep], values[keep]


def _cross(v: Float64Array) -> Float64Array:
    """Return the matrices of the cross products with vectors, (r, 3, 3) of (r, 3)."""
    out = np.zeros((len(v), 3, 3))
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    return out - out.transpose(0, 2, 1)


def _right_jacobian(w: Float64Array) -> Float64Array:
    angle = float(np.linalg.norm(w))
    cross = _cross(w[None])[0]
    if angle < 1e-6:
        return np.eye(3) - 0.5 * cross
    return (
        np.eye(3) - (1 - np.cos(angle)) / angle**2 * cross
        + (angle - np.sin(angle)) / angle**3 * cross @ cross
    )  # fmt: skip
