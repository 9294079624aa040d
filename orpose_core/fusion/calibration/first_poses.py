"""Cameras' poses from nothing: people stand upright and walk, and depth says where.

Each camera alone sees which way is up and how high it hangs: people's trunks point up and their hips are at a
known height. What remains between two cameras is a turn about the vertical and a shift, which two places of
one person give; a search over such pairs of places (RANSAC) keeps the one that most people agree with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.body_prior import HEIGHTS_M
from orpose_core.fusion.calibration.sightings import Sighting
from orpose_core.types import Poses

Float64Array = NDArray[np.float64]

_NEAR_M = 0.35  # people this near are the same, as far as a first guess can tell
_APART_M = 0.6  # two places nearer than this do not tell a direction
_SAME_FACING = 0.6  # cosine
_LEAST_AGREEMENT = 10  # moments
_TRIALS = 3000


def upward(poses: Poses) -> Float64Array:
    """Return a vector that points about upwards for each person, (m, 3), NaN = unknown.

    From the ankles to the hips where both legs are seen, as legs lean less; else from hips to shoulders.
    """
    low, high = trunks(poses)
    up = high - low
    if poses.xyz_cam_m is not None and {"left_ankle", "right_ankle"} <= set(poses.skeleton.joints):
        ankles = [poses.skeleton.index("left_ankle"), poses.skeleton.index("right_ankle")]
        legs = low - poses.xyz_cam_m[:, ankles].astype(np.float64).mean(axis=1)
        up = np.where(np.isfinite(legs), legs, up)
    return up


def trunks(poses: Poses) -> tuple[Float64Array, Float64Array]:
    """Return the middle of the hips and of the shoulders of each person, (m, 3) m each, NaN = unknown."""
    if poses.xyz_cam_m is None:
        unknown = np.full((len(poses), 3), np.nan)
        return unknown, unknown
    xyz = poses.xyz_cam_m.astype(np.float64)

    def middle(part: str) -> Float64Array:
        return xyz[:, [poses.skeleton.index(f"{side}_{part}") for side in ("left", "right")]].mean(axis=1)

    return middle("hip"), middle("shoulder")


def level_camera(views: Sequence[Poses]) -> Float64Array | None:
    """Return a transform, (4, 4), from the optical frame to one that is level, its floor at 0, or None.

    The camera stays above the origin, looking along x.
    """
    ups, hips = [], []
    for poses in views:
        low, high = trunks(poses)
        directions = upward(poses)
        known = np.isfinite(low + high + directions).all(axis=1)
        ups.append(directions[known])
        hips.append(low[known])
    up, hip = np.concatenate(ups), np.concatenate(hips)
    if len(up) < _LEAST_AGREEMENT:
        return None
    directions = up / np.linalg.norm(up, axis=1, keepdims=True)
    z = np.median(directions, axis=0)
    for _ in range(10):  # people bend in all directions: the middle is upright, whoever bends far is left out
        z = z / np.linalg.norm(z)
        near = directions @ z > np.cos(0.5)
        z = directions[near].mean(axis=0) if near.any() else z
    z /= np.linalg.norm(z)
    forward = np.array([0.0, 0.0, 1.0])
    x = forward - (forward @ z) * z
    x = x / np.linalg.norm(x) if np.linalg.norm(x) > 0.1 else np.array([1.0, 0.0, 0.0])
    x -= (x @ z) * z
    x /= np.linalg.norm(x)
    out = np.eye(4)
    out[:3, :3] = np.stack([x, np.cross(z, x), z])
    out[2, 3] = HEIGHTS_M["pelvis"] - np.median(hip @ z)
    return out


def places(moments: Sequence[Sighting], camera: str, level: Float64Array) -> list[Float64Array]:
    """Return where on the floor a camera has people at each moment, and how they are turned.

    float64 (m, 3) each: x and y, m of the camera's level frame, and the angle of the body's left, rad.
    """
    out = []
    for moment in moments:
        poses = moment.views.get(camera)
        if poses is None or poses.xyz_cam_m is None:
            out.append(np.zeros((0, 3)))
            continue
        low, high = trunks(poses)
        xyz, index = poses.xyz_cam_m.astype(np.float64), poses.skeleton.index
        left = xyz[:, index("left_shoulder")] - xyz[:, index("right_shoulder")]
        left = (left + xyz[:, index("left_hip")] - xyz[:, index("right_hip")]) @ level[:3, :3].T
        middle = (low + high) / 2 @ level[:3, :3].T + level[:3, 3]
        spot = np.c_[middle[:, :2], np.arctan2(left[:, 1], left[:, 0])]
        out.append(spot[np.isfinite(spot).all(axis=1)])
    return out


def between(
    first: Sequence[Float64Array], second: Sequence[Float64Array], rng: np.random.Generator
) -> tuple[Float64Array, int]:
    """Return the transform, (4, 4), from the second level frame to the first, and how many moments agree.

    Args:
        first: places of people at each moment, see :func:`places`.
        second: of the other camera at the same moments.
        rng: decides which pairs of places are tried.
    """
    both = [i for i in range(len(first)) if len(first[i]) and len(second[i])]
    best = np.eye(4)
    if len(both) < 2:
        return best, 0
    # Moments with few people are surer: they are tried more often.
    weights = np.array([1.0 / (len(first[i]) * len(second[i])) for i in both])
    tries = rng.choice(len(both), size=(_TRIALS, 2), p=weights / weights.sum())
    draws = rng.random((_TRIALS, 4))
    p, q = _padded([first[i] for i in both]), _padded([second[i] for i in both])
    angle, x, y, count = _search(p, q, tries, draws)
    best[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    best[:2, 3] = x, y
    return best, int(count)


def _padded(spots: Sequence[Float64Array]) -> Float64Array:
    """Return places as one array, (moments, people, 3), NaN = nobody more."""
    out = np.full((len(spots), max(map(len, spots)), 3), np.nan)
    for row, people in zip(out, spots, strict=True):
        row[: len(people)] = people
    return out


@numba.njit(cache=True)
def _search(p: NDArray, q: NDArray, tries: NDArray, draws: NDArray) -> tuple[float, float, float, int]:
    """Return the turn and shift, of those that pairs of moments give, with which most moments agree."""
    counts = np.zeros((len(p), 2), np.int64)
    for m in range(len(p)):
        for side in range(2):
            places = p if side == 0 else q
            for k in range(places.shape[1]):
                counts[m, side] += np.isfinite(places[m, k, 0])
    best_angle, best_x, best_y, best = 0.0, 0.0, 0.0, 0
    for t in range(len(tries)):
        i, j = tries[t, 0], tries[t, 1]
        p0, p1 = p[i, int(draws[t, 0] * counts[i, 0])], p[j, int(draws[t, 1] * counts[j, 0])]
        q0, q1 = q[i, int(draws[t, 2] * counts[i, 1])], q[j, int(draws[t, 3] * counts[j, 1])]
        px, py, qx, qy = p1[0] - p0[0], p1[1] - p0[1], q1[0] - q0[0], q1[1] - q0[1]
        longer, shorter = math.hypot(px, py), math.hypot(qx, qy)
        if min(longer, shorter) < _APART_M or abs(longer - shorter) > _NEAR_M:
            continue
        angle = math.atan2(py, px) - math.atan2(qy, qx)
        c, s = math.cos(angle), math.sin(angle)
        mx, my = (q0[0] + q1[0]) / 2, (q0[1] + q1[1]) / 2
        x, y = (p0[0] + p1[0]) / 2 - c * mx + s * my, (p0[1] + p1[1]) / 2 - s * mx - c * my
        count = 0
        for m in range(len(p)):
            agrees = False
            for b in range(counts[m, 1]):
                bx, by = c * q[m, b, 0] - s * q[m, b, 1] + x, s * q[m, b, 0] + c * q[m, b, 1] + y
                for a in range(counts[m, 0]):
                    turned = math.cos(p[m, a, 2] - q[m, b, 2] - angle)  # people face the same way, too
                    near = math.hypot(p[m, a, 0] - bx, p[m, a, 1] - by) < _NEAR_M
                    agrees = agrees or (near and turned > _SAME_FACING)
            count += agrees
        if count > best:
            best_angle, best_x, best_y, best = angle, x, y, count
    return best_angle, best_x, best_y, best


def first_poses(
    moments: Sequence[Sighting], cameras: Sequence[str], seed: int = 0
) -> dict[str, Float64Array]:
    """Return room_from_camera, (4, 4), of every camera; the first stands over the origin, looking along x.

    Raises:
        ValueError: a camera cannot be placed; the message says why.
    """
    levels = {}
    for camera in cameras:
        views = [moment.views[camera] for moment in moments if camera in moment.views]
        level = level_camera(views)
        if level is None:
            raise ValueError(
                f"camera {camera}: expected at least {_LEAST_AGREEMENT} people with metric shoulders and "
                "hips (skeletons_3d, from depth); without depth, give a rough guess of the cameras' places"
            )
        levels[camera] = level
    spots = {camera: places(moments, camera, levels[camera]) for camera in cameras}
    rng = np.random.default_rng(seed)
    placed: Mapping[str, Float64Array] = {cameras[0]: np.eye(4)}
    while len(placed) < len(cameras):
        found = [
            (*between(spots[known], spots[camera], rng), known, camera)
            for known in placed
            for camera in cameras
            if camera not in placed
        ]
        step, count, known, camera = max(found, key=lambda f: f[1])
        if count < _LEAST_AGREEMENT:
            raise ValueError(
                f"camera {camera}: at {count} moments it and {known} saw the same person; expected "
                f"{_LEAST_AGREEMENT} or more. Let people walk where both cameras see them"
            )
        placed = {**placed, camera: placed[known] @ step}
    return {camera: placed[camera] @ levels[camera] for camera in cameras}
