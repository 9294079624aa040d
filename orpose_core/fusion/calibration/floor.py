"""The floor, and with it the room's frame: z up, floor at 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

ANKLE_HEIGHT_M = 0.07
"""Of a standing person's ankle over the floor, in the synthetic rooms."""
FLOOR_BAND_M = 0.5
"""The floor lies within this of where people's hips say it is."""
_THIN_M = 0.03  # points this near a plane are of it
_NOISE_M = 0.01  # points farther from the floor than this count less
_MOST_TILT_RAD = 0.2
_LEAST_POINTS, _LEAST_ANKLES = 60, 50


def floor_of_surfaces(
    points: Float64Array, band_m: float = FLOOR_BAND_M, seed: int = 0
) -> Float64Array | None:
    """Return the plane (a, b, c) of a floor ``z = a x + b y + c`` among points, or None where there is none.

    The plane with the most points, by random trials (RANSAC), then the plane to which most of its points are
    nearest: cables and feet of furniture lie just above the floor and do not tilt it.

    Args:
        points: float64 (k, 3), of depth images, in a frame that is about level with the floor about at 0.
        band_m: the floor lies within this of 0.
        seed: of the trials.
    """
    low = points[np.abs(points[:, 2]) < band_m]
    if len(low) < _LEAST_POINTS:
        return None
    rng, best, best_count = np.random.default_rng(seed), None, 0
    for _ in range(300):
        three = low[rng.choice(len(low), 3, replace=False)]
        try:
            plane = np.linalg.solve(np.c_[three[:, :2], np.ones(3)], three[:, 2])
        except np.linalg.LinAlgError:
            continue
        if np.hypot(plane[0], plane[1]) > np.tan(_MOST_TILT_RAD):
            continue
        count = int((np.abs(_above(low, np.asarray(plane, np.float64))) < _THIN_M).sum())
        if count > best_count:
            best, best_count = plane, count
    if best is None or best_count < _LEAST_POINTS:
        return None
    for _ in range(10):
        off = _above(low, best)
        near = np.abs(off) < 2 * _THIN_M
        root = np.sqrt(1 / (1 + (off[near] / _NOISE_M) ** 2))
        system = np.c_[low[near, :2], np.ones(near.sum())] * root[:, None]
        best = np.linalg.lstsq(system, low[near, 2] * root, rcond=None)[0]
    return np.asarray(best, np.float64)


def floor_points(
    room_from_camera: Float64Array, surface: Float64Array, band_m: float = FLOOR_BAND_M
) -> Float64Array:
    """Return four points that stand for the floor that a camera sees, (4, 3), optical frame, m.

    They lie around the middle of what it sees, the farther away the more it sees: so the slope of a small
    patch says little. (0, 3) where the camera sees no floor.

    Args:
        room_from_camera: float64 (4, 4), to a frame that is about level with the floor about at 0.
        surface: float64 (k, 3), points of a depth image, optical frame, m.
        band_m: the floor lies within this of 0.
    """
    points = surface @ room_from_camera[:3, :3].T + room_from_camera[:3, 3]
    plane = floor_of_surfaces(points, band_m)
    if plane is None:
        return np.zeros((0, 3))
    xy = points[np.abs(_above(points, plane)) < _THIN_M, :2]
    middle = xy.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(xy.T))
    reach = 1.5 * np.sqrt(np.maximum(variances, 0.0)) * axes  # columns
    xy = middle + np.concatenate([reach.T, -reach.T])
    around = np.c_[xy, xy @ plane[:2] + plane[2]]
    return np.asarray((around - room_from_camera[:3, 3]) @ room_from_camera[:3, :3], np.float64)


def floor_of_ankles(ankles: Float64Array) -> Float64Array | None:
    """Return the plane of the floor below people's ankles, float64 (k, 3) m, or None where there are too few.

    Feet that are lifted lie above it: points above count less at every round.
    """
    ankles = ankles[np.isfinite(ankles).all(axis=1)]
    if len(ankles) < _LEAST_ANKLES or np.ptp(ankles[:, :2], axis=0).min() < 0.7:
        return None
    plane, weights = np.zeros(3), np.ones(len(ankles))
    system = np.c_[ankles[:, :2], np.ones(len(ankles))]
    for _ in range(20):
        root = np.sqrt(weights)[:, None]
        plane = np.linalg.lstsq(system * root, ankles[:, 2] * root[:, 0], rcond=None)[0]
        off = _above(ankles, plane) / 0.04
        weights = 1 / (1 + off**2)
    if np.hypot(plane[0], plane[1]) > np.tan(_MOST_TILT_RAD):
        return None
    return plane - np.array([0.0, 0.0, ANKLE_HEIGHT_M])


def level_on(plane: Float64Array) -> Float64Array:
    """Return the transform, (4, 4), that puts a plane at z = 0 and turns everything as little as possible."""
    up = np.array([-plane[0], -plane[1], 1.0])
    up /= np.linalg.norm(up)
    x = np.array([1.0, 0.0, 0.0]) - up[0] * up
    x /= np.linalg.norm(x)
    out = np.eye(4)
    out[:3, :3] = np.stack([x, np.cross(up, x), up])
    out[2, 3] = -plane[2] * up[2]
    return out


def _above(points: Float64Array, plane: NDArray) -> Float64Array:
    """Return how far points are above a plane, m."""
    height = points[:, 2] - points[:, :2] @ plane[:2] - plane[2]
    return np.asarray(height / np.sqrt(1 + plane[0] ** 2 + plane[1] ** 2))
