"""Bundle adjustment: cameras' poses, people's joints, the floor and the depths' scales together.

(Triggs et al., "Bundle Adjustment", 2000.) Residuals are 2D joints and, where a camera measures it, their
depth, in standard deviations, with a robust loss; and how far the floor that each camera's depth image shows
is from the one floor of the room. Depth cameras measure a little too near or too far, each in its own way:
each has a scale, held to 1 by a prior. The first camera stays where it is; without depth the first guess's
size is kept by holding the distances between the cameras.
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

_ROBUST = 1.5  # deviations from which on a joint, or a point of the floor, counts less


@dataclass(frozen=True)
class Observations:
    """Joints that cameras saw, r rows, and points of the floor, f rows.

    Attributes:
        camera: int64 (r,), number of the camera.
        point: int64 (r,), number of the joint (of one person at one moment).
        xy: float64 (r, 2), px.
        sigma: float64 (r,), px.
        z: float64 (r,), measured depth along the optical axis, m, NaN = not measured.
        sigma_z: float64 (r,), m.
        floor_camera: int64 (f,), number of the camera.
        floor: float64 (f, 3), points of the floor as measured, optical frame, m.
    """

    camera: NDArray[np.int64]
    point: NDArray[np.int64]
    xy: Float64Array
    sigma: Float64Array
    z: Float64Array
    sigma_z: Float64Array
    floor_camera: NDArray[np.int64]
    floor: Float64Array


@dataclass(frozen=True)
class Trust:
    """How far measurements are trusted.

    Attributes:
        independent: the joints of a camera count as at most this many independent ones: a network puts a
            joint off in the same direction at many moments.
        floor_m: deviation of a point of the floor.
        scale: deviation of the depth cameras' scales.
        hold: cameras are held to where the guess has them, with this deviation, m and rad; None = by the
            data alone.
    """

    independent: float = 300.0
    floor_m: float = 0.01
    scale: float = 0.01
    hold: float | None = None


@dataclass(frozen=True)
class Adjusted:
    """What came out.

    Attributes:
        room_from_camera: float64 (c, 4, 4).
        points: float64 (p, 3), room frame, m.
        residuals_px: float64 (r,), distance of each 2D joint from where it projects.
        scales: float64 (c,), true depth by measured depth.
        floor: float64 (3,), (a, b, c) of the floor ``z = a x + b y + c``.
    """

    room_from_camera: Float64Array
    points: Float64Array
    residuals_px: Float64Array
    scales: Float64Array
    floor: Float64Array


def adjust(
    room_from_camera: Float64Array, intrinsics: list[Intrinsics], points: Float64Array, seen: Observations,
    trust: Trust, evaluations: int = 200,
) -> Adjusted:  # fmt: skip
    """Refine poses and joints.

    Args:
        room_from_camera: float64 (c, 4, 4), first guess, z up and the floor about at 0.
        intrinsics: of the cameras.
        points: float64 (p, 3), first guess, m.
        seen: what was seen.
        trust: how far it is trusted.
        evaluations: at most.
    """
    problem = Problem(room_from_camera, intrinsics, points, seen, trust)
    found = least_squares(
        problem.residuals, problem.start(points), problem.jacobian, method="trf", x_scale="jac",
        loss=problem.loss, tr_solver="lsmr", tr_options={"maxiter": 100}, max_nfev=evaluations, ftol=1e-6,
    )  # fmt: skip
    state = problem.unpacked(found.x)
    off = problem.projected(problem.in_cameras(state)) - seen.xy
    distances = np.asarray(np.linalg.norm(off, axis=1), np.float64)
    poses = np.asarray(np.linalg.inv(state.poses), np.float64)
    return Adjusted(poses, state.points, distances, state.scales, state.floor)


@dataclass(frozen=True)
class State:
    """What the parameters stand for.

    Attributes:
        poses: float64 (c, 4, 4), camera_from_room.
        turns: float64 (c, 3, 3), from the guess's rotation to the pose's.
        scales: float64 (c,), true depth by measured depth.
        floor: float64 (3,), (a, b, c) of ``z = a x + b y + c``.
        points: float64 (p, 3), room frame, m.
    """

    poses: Float64Array
    turns: Float64Array
    scales: Float64Array
    floor: Float64Array
    points: Float64Array


class Problem:
    """Residuals and their sparse Jacobian. A pose is its guess, turned by a rotation vector and shifted.

    Parameters: 6 of each camera but the first, the logarithms of the scales, the floor, the points.
    """

    def __init__(
        self, room_from_camera: Float64Array, intrinsics: list[Intrinsics], points: Float64Array,
        seen: Observations, trust: Trust,
    ) -> None:  # fmt: skip
        self.guess = np.linalg.inv(room_from_camera)  # camera_from_room
        self.seen, self.trust = seen, trust
        cameras = len(self.guess)
        self.free = cameras - 1
        self.k = np.array([(i.fx, i.fy, i.cx, i.cy) for i in intrinsics])[seen.camera]
        self.deep = np.flatnonzero(np.isfinite(seen.z))
        self.scale_at = 6 * self.free
        self.floor_at = self.scale_at + cameras
        self.points_at = self.floor_at + 3
        self.size = self.points_at + 3 * len(points)
        share = np.minimum(
            1.0, trust.independent / np.maximum(np.bincount(seen.camera, minlength=cameras), 1)
        )
        joints = share[seen.camera]
        floor = np.ones(len(seen.floor))
        self.weights = np.concatenate([np.repeat(joints, 2), joints[self.deep], floor])

    def start(self, points: Float64Array) -> Float64Array:
        """Return the parameters of the guess."""
        return np.concatenate([np.zeros(self.points_at), points.ravel()])

    def unpacked(self, x: Float64Array) -> State:
        """Return what the parameters stand for."""
        poses = self.guess.copy()
        steps = self._steps(x)
        turns = Rotation.from_rotvec(steps[:, :3]).as_matrix()
        poses[:, :3, :3] = turns @ self.guess[:, :3, :3]
        poses[:, :3, 3] = np.einsum("cij,cj->ci", turns, self.guess[:, :3, 3]) + steps[:, 3:]
        scales = np.exp(x[self.scale_at : self.floor_at])
        return State(
            poses, turns, scales, x[self.floor_at : self.points_at], x[self.points_at :].reshape(-1, 3)
        )

    def _steps(self, x: Float64Array) -> Float64Array:
        return np.concatenate([np.zeros((1, 6)), x[: self.scale_at].reshape(-1, 6)])

    def in_cameras(self, state: State) -> Float64Array:
        """Return each observed point in its camera's frame, (r, 3)."""
        pose = state.poses[self.seen.camera]
        return np.einsum("rij,rj->ri", pose[:, :3, :3], state.points[self.seen.point]) + pose[:, :3, 3]

    def projected(self, in_cam: Float64Array) -> Float64Array:
        """Return px, (r, 2)."""
        z = np.maximum(in_cam[:, 2:], 0.1)
        return in_cam[:, :2] / z * self.k[:, :2] + self.k[:, 2:]

    def loss(self, squares: Float64Array) -> Float64Array:
        """Return the loss of squared residuals and its derivatives, (3, rows); what is held is not robust."""
        robust = len(self.weights)
        out = np.stack([squares, np.ones_like(squares), np.zeros_like(squares)])
        inner = 1 + squares[:robust] / _ROBUST**2
        out[0, :robust] = self.weights * 2 * _ROBUST**2 * (np.sqrt(inner) - 1)
        out[1, :robust] = self.weights / np.sqrt(inner)
        out[2, :robust] = -0.5 * self.weights * inner**-1.5 / _ROBUST**2
        return out

    def residuals(self, x: Float64Array) -> Float64Array:
        """Return all residuals, in deviations: joints, depths, floor, scales, and what is held."""
        state, seen = self.unpacked(x), self.seen
        in_cam = self.in_cameras(state)
        flat = (self.projected(in_cam) - seen.xy) / seen.sigma[:, None]
        # As the camera would measure it: compared in true metres, all would be smaller in a smaller room.
        measured = in_cam[self.deep, 2] / state.scales[seen.camera[self.deep]]
        deep = (measured - seen.z[self.deep]) / seen.sigma_z[self.deep]
        in_room, normal = self._floor_in_room(state)
        floor = (in_room @ normal - state.floor[2]) / self.trust.floor_m
        held = np.zeros(0) if self.trust.hold is None else x[: self.scale_at] / self.trust.hold
        scales = x[self.scale_at : self.floor_at] / self.trust.scale
        return np.concatenate([flat.ravel(), deep, floor, scales, held])

    def _floor_in_room(self, state: State) -> tuple[Float64Array, Float64Array]:
        """Return the floor's points in the room, (f, 3), and the floor's normal, (3,), of about length 1."""
        pose = state.poses[self.seen.floor_camera]
        scaled = self.seen.floor * state.scales[self.seen.floor_camera, None] - pose[:, :3, 3]
        in_room = np.einsum("fji,fj->fi", pose[:, :3, :3], scaled)
        return in_room, np.array([-state.floor[0], -state.floor[1], 1.0])

    def jacobian(self, x: Float64Array) -> csr_matrix:
        """Return d residuals / d parameters."""
        state, seen = self.unpacked(x), self.seen
        rows = len(seen.camera)
        joints = 2 * rows + len(self.deep)
        in_cam = self.in_cameras(state)
        blocks = self._joint_blocks(x, state, in_cam)
        deep, camera = np.arange(2 * rows, joints), seen.camera[self.deep]
        measured = in_cam[self.deep, 2] / state.scales[camera]
        blocks.append((deep, self.scale_at + camera, -measured / seen.sigma_z[self.deep]))
        blocks += self._floor_blocks(x, state, joints + np.arange(len(seen.floor)))
        total, cameras = joints + len(seen.floor), len(self.guess)
        count = np.arange(cameras)
        blocks.append((total + count, self.scale_at + count, np.full(cameras, 1 / self.trust.scale)))
        total += cameras
        if self.trust.hold is not None:
            held = np.arange(self.scale_at)
            blocks.append((total + held, held, np.full(len(held), 1 / self.trust.hold)))
            total += len(held)
        i, j, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return csr_matrix((values, (i, j)), shape=(total, self.size))

    def _joint_blocks(
        self, x: Float64Array, state: State, in_cam: Float64Array
    ) -> list[tuple[NDArray, NDArray, NDArray]]:
        """Return the triplets of the joints' residuals by poses and points."""
        seen, rows = self.seen, len(self.seen.camera)
        z = np.maximum(in_cam[:, 2], 0.1)
        by_cam = np.zeros((rows, 3, 3))  # d (u, v, depth) / d place in the camera's frame, in deviations
        by_cam[:, 0, 0], by_cam[:, 1, 1] = self.k[:, 0] / z, self.k[:, 1] / z
        by_cam[:, 0, 2] = -self.k[:, 0] * in_cam[:, 0] / z**2
        by_cam[:, 1, 2] = -self.k[:, 1] * in_cam[:, 1] / z**2
        by_cam[:, :2] /= seen.sigma[:, None, None]
        by_cam[:, 2, 2] = 1 / (np.where(np.isfinite(seen.z), seen.sigma_z, 1.0) * state.scales[seen.camera])
        by_point = by_cam @ state.poses[seen.camera][:, :3, :3]
        before = self._before_turn(x, state, in_cam, seen.camera)
        right = self._right(x)[seen.camera]
        turned = -state.turns[seen.camera] @ _cross(before) @ right
        by_pose = np.concatenate([by_cam @ turned, by_cam], axis=2)  # (r, 3, 6)
        flat, deep = np.arange(2 * rows).reshape(rows, 2), np.full(rows, -1)
        deep[self.deep] = 2 * rows + np.arange(len(self.deep))
        target = np.concatenate([flat, deep[:, None]], axis=1)  # (r, 3), row of each residual, -1 = none
        free = seen.camera > 0
        return [
            _block(target, self.points_at + 3 * seen.point[:, None] + np.arange(3), by_point),
            _block(target[free], 6 * (seen.camera[free] - 1)[:, None] + np.arange(6), by_pose[free]),
        ]

    def _floor_blocks(
        self, x: Float64Array, state: State, rows: NDArray[np.int64]
    ) -> list[tuple[NDArray, NDArray, NDArray]]:
        """Return the triplets of the floor's residuals by poses, scales and the floor."""
        camera = self.seen.floor_camera
        in_room, normal = self._floor_in_room(state)
        scaled = self.seen.floor * state.scales[camera, None]
        in_cam = state.poses[camera][:, :3, :3] @ normal  # the normal in the cameras' frames, (f, 3)
        before = self._before_turn(x, state, scaled, camera)
        by_turn = np.einsum("fi,fij->fj", self.guess[camera][:, :3, :3] @ normal,
                            _cross(before) @ self._right(x)[camera])  # fmt: skip
        by_pose = np.concatenate([by_turn, -in_cam], axis=1)[:, None] / self.trust.floor_m  # (f, 1, 6)
        by_scale = (in_cam * scaled).sum(axis=1) / self.trust.floor_m
        by_floor = np.stack([-in_room[:, 0], -in_room[:, 1], -np.ones(len(rows))], axis=1)[:, None]
        free = camera > 0
        return [
            _block(rows[free, None], 6 * (camera[free] - 1)[:, None] + np.arange(6), by_pose[free]),
            (rows, self.scale_at + camera, by_scale),
            _block(rows[:, None], self.floor_at + np.tile(np.arange(3), (len(rows), 1)),
                   by_floor / self.trust.floor_m),
        ]  # fmt: skip

    def _before_turn(
        self, x: Float64Array, state: State, in_cam: Float64Array, camera: NDArray[np.int64]
    ) -> Float64Array:
        """Return points of cameras' frames as they were before the turn and the shift, (r, 3)."""
        return np.einsum("rji,rj->ri", state.turns[camera], in_cam - self._steps(x)[camera, 3:])

    def _right(self, x: Float64Array) -> Float64Array:
        """Return the right Jacobians J of SO(3), (c, 3, 3): R(w + dw) p = R(w) p - R(w) [p] J(w) dw."""
        return np.stack([_right_jacobian(w) for w in self._steps(x)[:, :3]])


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
