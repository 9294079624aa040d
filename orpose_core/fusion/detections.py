"""What all cameras saw at one moment, as flat arrays: one row per person and camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.config import FusionConfig
from orpose_core.fusion.rig import View
from orpose_core.skeleton import Skeleton
from orpose_core.types import Float64Array, Poses, Visibility

_OCCLUDED_M = 0.35  # the depth at a joint that is hidden is that of what hides it
_CORE = 0.885
"""Of the standard deviations that a view gives. Those are of all errors, the far ones included, for which the
solver has heavy tails of its own."""


class Detections(NamedTuple):
    """Everybody in every view, d rows; a joint that is not there is NaN with sigma 0.

    Attributes:
        camera: int64 (d,), number of the view.
        row: int64 (d,), row in the view's poses.
        person_scores: float64 (d,).
        scores: float64 (d, n), of the joints.
        xy: float64 (d, n, 2), px.
        sigma: float64 (d, n), px along one axis; negative = one that follows from the person's size.
        z: float64 (d, n), measured depth along the optical axis, m, 0 where there is none.
        sigma_z: float64 (d, n), m, 0 = not measured.
        rays: float64 (d, n, 3), room frame, from the camera to 1 m along the optical axis.
        projections: float64 (views, 3, 4), from the room to px times depth.
        centres: float64 (views, 3), the cameras' places in the room, m.
        focal: float64 (views,), px.
        age_s: float64 (views,), how long before the fused moment the view was taken; negative = after.
        oks_sigmas: float64 (n,), the skeleton's.
    """

    camera: NDArray[np.int64]
    row: NDArray[np.int64]
    person_scores: Float64Array
    scores: Float64Array
    xy: Float64Array
    sigma: Float64Array
    z: Float64Array
    sigma_z: Float64Array
    rays: Float64Array
    projections: Float64Array
    centres: Float64Array
    focal: Float64Array
    age_s: Float64Array
    oks_sigmas: Float64Array


def gather(views: Sequence[View], skeleton: Skeleton, config: FusionConfig, stamp_ns: int) -> Detections:
    """Put the people of all views into rows.

    People with fewer than ``config.min_joints`` joints, people found twice in an image, and joints whose
    numbers are not finite are left out.
    """
    n, all_poses = len(skeleton), [view.poses.converted(skeleton) for view in views]
    counts = np.array([len(poses) for poses in all_poses], np.int64)
    camera = np.repeat(np.arange(len(views)), counts)
    xy = _column(all_poses, "xy_px", (n, 2))
    with np.errstate(invalid="ignore"):
        there = np.asarray((np.abs(xy) < 1e5).all(axis=-1))
    scores = np.where(there, np.nan_to_num(_column(all_poses, "scores", (n,))), 0.0)
    kept = np.flatnonzero(_once(camera, xy, there, scores, config.twice_share, config.min_joints))
    row = kept - (np.cumsum(counts) - counts)[camera[kept]]
    camera, there = camera[kept], there[kept]
    xy = np.where(there[..., None], xy[kept], np.nan)
    own = _CORE * _column(all_poses, "sigma_px", (n,))[kept]
    sigma = np.where(there, np.where(np.isfinite(own) & (own > 0), own, -1.0), 0.0)
    cameras = [view.camera for view in views]
    lenses = np.array(
        [(c.intrinsics.fx, c.intrinsics.fy, c.intrinsics.cx, c.intrinsics.cy, c.depth_scale) for c in cameras]
    ).reshape(-1, 5)
    fx, scale = lenses[camera, :1], lenses[camera, 4:]
    rays = np.ones((*there.shape, 3))
    rays[..., :2] = (xy - lenses[camera, None, 2:4]) / lenses[camera, None, :2]
    rooms_from_cameras = np.array([c.room_from_camera for c in cameras]).reshape(-1, 4, 4)
    z, sigma_z = _depths(all_poses, kept, there, sigma / fx, scale, config)
    return Detections(
        camera,
        row,
        np.nan_to_num(_column(all_poses, "person_scores", ())[kept]),
        scores[kept],
        xy,
        sigma,
        z,
        sigma_z,
        rays @ rooms_from_cameras[camera, :3, :3].transpose(0, 2, 1),
        np.array([c.projection for c in cameras]).reshape(-1, 3, 4),
        np.ascontiguousarray(rooms_from_cameras[:, :3, 3]),
        lenses[:, 0].copy(),
        np.array([(stamp_ns - view.stamp_ns) * 1e-9 for view in views], np.float64),
        np.array(skeleton.sigmas, np.float64),
    )


def _column(all_poses: Sequence[Poses], name: str, shape: tuple[int, ...]) -> Float64Array:
    """Return an attribute of the people of all views, float64 (d, *shape); NaN where a view lacks it."""
    parts = [np.zeros((0, *shape))]
    for poses in all_poses:
        values = getattr(poses, name)
        parts.append(np.full((len(poses), *shape), np.nan) if values is None else values)
    return np.concatenate(parts, dtype=np.float64)


def _depths(
    all_poses: Sequence[Poses], kept: NDArray, there: NDArray, ray_sigma: NDArray, scale: NDArray,
    config: FusionConfig,
) -> tuple[Float64Array, Float64Array]:  # fmt: skip
    """Return the measured depths along the optical axis and their deviations, (d, n) m, 0 = none."""
    if all(poses.xyz_cam_m is None for poses in all_poses):
        return np.zeros(there.shape), np.zeros(there.shape)
    n = there.shape[1]
    z = scale * _column(all_poses, "xyz_cam_m", (n, 3))[kept, :, 2]
    known = there & np.isfinite(z) & (z > 0.1) & (z < 50.0)
    z = np.where(known, z, 0.0)
    # sigma_m is the root mean square over the axes: what lies across the ray is taken out.
    own = (
        3 * (_CORE * _column(all_poses, "sigma_m", (n,))[kept]) ** 2 - 2 * (np.maximum(ray_sigma, 0) * z) ** 2
    )
    sigma = np.sqrt(np.maximum(own, config.least_depth_sigma_m**2))
    sigma = np.where(np.isfinite(own), sigma, config.depth_sigma_m)
    hidden = _column(all_poses, "visibility", (n,))[kept] == Visibility.OCCLUDED
    sigma = np.where(hidden, np.maximum(sigma, _OCCLUDED_M), sigma)
    return z, np.where(known, sigma, 0.0)


@numba.njit(cache=True)
def _once(
    camera: NDArray, xy: NDArray, there: NDArray, scores: NDArray, twice_share: float, min_joints: int
) -> NDArray[np.bool_]:
    """Return who to keep, bool (d,): of two that lie on each other in an image, the one with more joints."""
    m, n = there.shape
    worth, extent, keep = np.zeros(m), np.zeros(m), np.ones(m, np.bool_)
    for i in range(m):
        low_x, low_y, high_x, high_y, count = np.inf, np.inf, -np.inf, -np.inf, 0
        for j in range(n):
            if there[i, j]:
                low_x, high_x = min(low_x, xy[i, j, 0]), max(high_x, xy[i, j, 0])
                low_y, high_y = min(low_y, xy[i, j, 1]), max(high_y, xy[i, j, 1])
                worth[i] += scores[i, j]
                count += 1
        keep[i] = count >= min_joints
        extent[i] = np.hypot(high_x - low_x, high_y - low_y) if count else 0.0
    order = np.argsort(-worth, kind="mergesort")  # stable: of equals the first
    apart = np.empty(n)
    for first in range(m):
        a = order[first]
        for second in range(first + 1, m):
            b = order[second]
            if camera[a] != camera[b] or not (keep[a] and keep[b]):
                continue
            both, own = 0, 0
            for j in range(n):
                own += there[b, j]
                if there[a, j] and there[b, j]:
                    apart[both] = np.hypot(xy[a, j, 0] - xy[b, j, 0], xy[a, j, 1] - xy[b, j, 1])
                    both += 1
            if both and both >= 0.6 * own:
                keep[b] = np.median(apart[:both]) > twice_share * min(extent[a], extent[b])
    return keep
