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
    n = len(skeleton)
    empty = (
        np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, n)), np.zeros((0, n, 2)),
        np.zeros((0, n)), np.zeros((0, n)), np.zeros((0, n)), np.zeros((0, n, 3)),
    )  # fmt: skip
    parts = [_of_view(v, view, skeleton, config) for v, view in enumerate(views)]
    columns = [np.ascontiguousarray(np.concatenate(c)) for c in zip(empty, *parts, strict=True)]
    columns += [
        np.array([view.camera.projection for view in views]).reshape(-1, 3, 4),
        np.array([view.camera.room_from_camera[:3, 3] for view in views]).reshape(-1, 3),
        np.array([view.camera.intrinsics.fx for view in views], np.float64),
        np.array([(stamp_ns - view.stamp_ns) * 1e-9 for view in views], np.float64),
        np.array(skeleton.sigmas, np.float64),
    ]
    return Detections(*columns)


def _of_view(v: int, view: View, skeleton: Skeleton, config: FusionConfig) -> tuple[NDArray, ...]:
    """Return the columns of :class:`Detections` that a view's poses give."""
    poses = view.poses.converted(skeleton)
    xy = poses.xy_px.astype(np.float64)
    with np.errstate(invalid="ignore"):
        there = np.asarray((np.abs(xy) < 1e5).all(axis=-1))
    scores = np.where(there, np.nan_to_num(poses.scores.astype(np.float64)), 0.0)
    rows = np.flatnonzero(_once(xy, there, scores, config.twice_share, config.min_joints))
    there, scores = there[rows], scores[rows]
    xy = np.where(there[..., None], xy[rows], np.nan)
    sigma = np.where(there, -1.0, 0.0)
    if poses.sigma_px is not None:
        own = poses.sigma_px[rows].astype(np.float64)
        sigma = np.where(there & np.isfinite(own) & (own > 0), own, sigma)
    i = view.camera.intrinsics
    rays = np.ones((*xy.shape[:2], 3))
    rays[..., 0], rays[..., 1] = (xy[..., 0] - i.cx) / i.fx, (xy[..., 1] - i.cy) / i.fy
    z, sigma_z = _depths(poses, rows, there, sigma / i.fx, view.camera.depth_scale, config)
    return (
        np.full(len(rows), v, np.int64), rows, np.nan_to_num(poses.person_scores[rows].astype(np.float64)),
        scores, xy, sigma, z, sigma_z, rays @ view.camera.room_from_camera[:3, :3].T,
    )  # fmt: skip


def _depths(
    poses: Poses, rows: NDArray, there: NDArray, ray_sigma: NDArray, scale: float, config: FusionConfig
) -> tuple[Float64Array, Float64Array]:  # fmt: skip
    """Return the measured depths along the optical axis and their deviations, (d, n) m, 0 = none."""
    if poses.xyz_cam_m is None or not len(rows):
        return np.zeros(there.shape), np.zeros(there.shape)
    z = scale * poses.xyz_cam_m[rows, :, 2].astype(np.float64)
    known = there & np.isfinite(z) & (z > 0.1) & (z < 50.0)
    z = np.where(known, z, 0.0)
    sigma = np.full(z.shape, config.depth_sigma_m)
    if poses.sigma_m is not None:
        # sigma_m is the root mean square over the axes: what lies across the ray is taken out.
        own = 3 * poses.sigma_m[rows].astype(np.float64) ** 2 - 2 * (np.maximum(ray_sigma, 0) * z) ** 2
        sigma = np.where(np.isfinite(own), np.sqrt(np.maximum(own, config.least_depth_sigma_m**2)), sigma)
    if poses.visibility is not None:
        hidden = poses.visibility[rows] == Visibility.OCCLUDED
        sigma = np.where(hidden, np.maximum(sigma, _OCCLUDED_M), sigma)
    return z, np.where(known, sigma, 0.0)


@numba.njit(cache=True)
def _once(
    xy: NDArray, there: NDArray, scores: NDArray, twice_share: float, min_joints: int
) -> NDArray[np.bool_]:
    """Return who to keep, bool (m,): of two that lie on each other in an image, the one with more joints."""
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
    order = np.argsort(-worth)
    apart = np.empty(n)
    for first in range(m):
        a = order[first]
        for second in range(first + 1, m):
            b = order[second]
            if not (keep[a] and keep[b]):
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
