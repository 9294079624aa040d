"""The floor, and with it the room's frame: z up, floor at 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

ANKLE_HEIGHT_M = 0.07
"""Of a standing person's ankle over the floor, in the synthetic rooms."""
_BAND_M = 0.5  # the floor lies within this of where people's hips say it is
_THIN_M = 0.03  # points this near a plane are of it
_MOST_TILT_RAD = 0.2
_LEAST_POINTS = 200


def floor_of_surfaces(points: Float64Array, seed: int = 0) -> Float64Array | None:
    """Return the plane (a, b, c) of a floor ``z = a x + b y + c`` among points, or None where there is none.

    The plane with the most points, by random trials (RANSAC), then by least squares through its points.

    Args:
        points: float64 (k, 3), of depth images, in a frame that is about level with the floor about at 0.
        seed: of the trials.
    """
    low = points[np.abs(points[:, 2]) < _BAND_M]
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
    for _ in range(5):
        near = low[np.abs(_above(low, best)) < _THIN_M]
        best = np.linalg.lstsq(np.c_[near[:, :2], np.ones(len(near))], near[:, 2], rcond=None)[0]
    return np.asarray(best, np.float64)


def floor_of_clouds(clouds: Sequence[Float64Array]) -> Float64Array | None:
    """Return the floor that several cameras see, or None where none sees it.

    Depth cameras measure a few per mille too near or too far, each in its own way. One plane through all
    their points would lean where their floors lie above each other, so each has its own: the floor has their
    mean slope, and goes through the middle of theirs.

    Args:
        clouds: float64 (k, 3) of each camera, as :func:`floor_of_surfaces` takes them.
    """
    planes, middles = [], []
    for points in clouds:
        plane = floor_of_surfaces(points)
        if plane is not None:
            planes.append(plane)
            middles.append(np.median(points[np.abs(_above(points, plane)) < _THIN_M, :2], axis=0))
    if not planes:
        return floor_of_surfaces(np.concatenate(clouds)) if clouds else None
    slopes, places = np.array(planes), np.array(middles)
    slope = slopes[:, :2].mean(axis=0)
    heights = (slopes[:, :2] * places).sum(axis=1) + slopes[:, 2]
    return np.array([*slope, (heights - places @ slope).mean()])


def floor_of_ankles(ankles: Float64Array) -> Float64Array | None:
    """Return the plane of the floor below people's ankles, float64 (k, 3) m, or None where there are too few.

    Feet that are lifted lie above it: points above count less at every round.
    """
    ankles = ankles[np.isfinite(ankles).all(axis=1)]
    if len(ankles) < _LEAST_POINTS // 4 or np.ptp(ankles[:, :2], axis=0).min() < 0.7:
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
