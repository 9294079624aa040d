"""Pinhole projection and rigid transforms. Metres, pixels, optical frame (x right, y down, z forward)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.image_ops import Resize
from orpose_core.skeleton import Skeleton
from orpose_core.types import FloatArray, Intrinsics, Poses, Source3D, Visibility


def project(xyz_cam_m: NDArray, intrinsics: Intrinsics) -> NDArray:
    """Project points of the optical frame into the image.

    Args:
        xyz_cam_m: float (..., 3), metres.
        intrinsics: of the image.

    Returns:
        float (..., 2), px, of the same dtype; NaN where a point is NaN or not in front of the camera.
    """
    z = xyz_cam_m[..., 2]
    z = np.where(z > 0, z, np.nan)
    x = intrinsics.fx * xyz_cam_m[..., 0] / z + intrinsics.cx
    y = intrinsics.fy * xyz_cam_m[..., 1] / z + intrinsics.cy
    return np.stack([x, y], axis=-1).astype(xyz_cam_m.dtype)


def back_project(xy_px: NDArray, z_m: NDArray, intrinsics: Intrinsics) -> NDArray:
    """Return the points of the optical frame at depth ``z_m`` that are seen at ``xy_px``.

    Args:
        xy_px: float (..., 2), px.
        z_m: float (...), metres along the optical axis.
        intrinsics: of the image.

    Returns:
        float (..., 3), metres, of ``xy_px``'s dtype; NaN where an input is NaN.
    """
    x = (xy_px[..., 0] - intrinsics.cx) / intrinsics.fx * z_m
    y = (xy_px[..., 1] - intrinsics.cy) / intrinsics.fy * z_m
    return np.stack([x, y, np.broadcast_to(z_m, x.shape)], axis=-1).astype(xy_px.dtype)


def transform_points(target_from_source: NDArray, xyz_m: NDArray) -> NDArray:
    """Apply a rigid transform, float (4, 4), to points, float (..., 3), metres; NaN stays NaN."""
    matrix = np.asarray(target_from_source)
    return (xyz_m @ matrix[:3, :3].T + matrix[:3, 3]).astype(xyz_m.dtype)


@dataclass(frozen=True)
class Metric3DConfig:
    """How joints are looked up in a depth image; lengths in px are of that image, whatever its size.

    Attributes:
        window_px: returns at most this far from the joint are looked at; at least one in each direction.
        gap_m: returns farther apart in depth than this are different surfaces.
        min_share: the nearest surface with at least this share of the window's weight is the body's.
        torso_extent_m: the torso lies within a slab of this depth.
        torso_reach_m: joints of the torso and, where a limb's parent is unknown, twice this for limbs, lie at
            most this far in depth from the torso's median.
        sigma_px: standard deviation of joints whose own is unknown.
        sensor_noise_per_m: depth noise of the sensor is this times depth squared (structured light).
        occluded_sigma_m: added in depth where ``visibility`` says occluded: the return is the occluder's.
    """

    window_px: float = 1.5
    gap_m: float = 0.15
    min_share: float = 0.35
    torso_extent_m: float = 0.5
    torso_reach_m: float = 0.5
    sigma_px: float = 0.5
    sensor_noise_per_m: float = 0.0015
    occluded_sigma_m: float = 0.35

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"Metric3DConfig.{name}: expected a positive number, got {value}")


class SurfaceOffset(NamedTuple):
    """How far a joint lies behind the surface that the camera sees, along the ray, metres."""

    mean_m: float
    spread_m: float


# Measured by `orpose benchmark surface-offsets --frames 200` in the synthetic rooms: joint centres that are
# in view, their 2D position disturbed by 0.35 px of a 64x48 image. The spread is half of the middle 68 %.
SURFACE_OFFSETS: dict[str, SurfaceOffset] = {
    "nose": SurfaceOffset(0.026, 0.047),
    "eye": SurfaceOffset(0.026, 0.044),
    "ear": SurfaceOffset(0.029, 0.049),
    "neck": SurfaceOffset(0.081, 0.056),
    "shoulder": SurfaceOffset(0.075, 0.036),
    "elbow": SurfaceOffset(0.054, 0.044),
    "wrist": SurfaceOffset(0.032, 0.046),
    "hip": SurfaceOffset(0.127, 0.077),
    "knee": SurfaceOffset(0.086, 0.044),
    "ankle": SurfaceOffset(0.060, 0.055),
}
"""By joint name without its side."""

# Joints without a parent belong to the torso. The others lie within this distance of the first parent known:
# the bone of a tall person, and 10 cm for clothes and noise.
_TORSO = ("neck", "thorax", "spine", "pelvis", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
_HEAD_PARENTS = ("neck", "thorax", "left_shoulder", "right_shoulder")
_PARENTS: dict[str, tuple[tuple[str, ...], float]] = {
    "head": (_HEAD_PARENTS, 0.45), "head_top": (_HEAD_PARENTS, 0.55), "neck_nose": (_HEAD_PARENTS, 0.45),
    "nose": (_HEAD_PARENTS, 0.45), "eye": (_HEAD_PARENTS, 0.45), "ear": (_HEAD_PARENTS, 0.45),
    "elbow": (("shoulder",), 0.46), "wrist": (("elbow",), 0.42), "knee": (("hip",), 0.60),
    "ankle": (("knee",), 0.60),
}  # fmt: skip


def metric_3d(
    poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: Metric3DConfig | None = None
) -> Poses:
    """Give people their place in space from a depth image, also one of 64x48.

    For each joint: the returns around it that fit the person (the torso's depth, the length of the bone to
    the joint before) fall into surfaces; the nearest one that fills enough of the window is the body's. The
    joint lies behind it, along the ray, by the part's mean offset (:data:`SURFACE_OFFSETS`). What stands in
    front of a person or what is seen past one does not fit and is left out; a joint with nothing left is
    unknown.

    Args:
        poses: px of the image that ``intrinsics`` are of.
        depth_m: float32 (h, w), metres, NaN = no return; of any size, the same rectangle of the scene.
        intrinsics: of the image that ``poses`` are in.
        config: thresholds; None = the defaults.

    Returns:
        The poses with ``xyz_cam_m``, ``xyz_root_m`` (relative to the mean of the hips, else to the pelvis
        joint, else unknown), ``source_3d`` and ``sigma_m``: root mean square over the axes of the pixel's
        footprint times ``sigma_px`` across the ray and, along it, the surfaces' spread, the sensor's noise
        and the offset's spread. Where a joint is absent or no depth fits: NaN and ``Source3D.NONE``.
    """
    if depth_m.ndim != 2 or depth_m.dtype != np.float32:
        raise ValueError(
            f"metric_3d: expected depth as float32 of shape (h, w), got {depth_m.dtype} of {depth_m.shape}"
        )
    config = config or Metric3DConfig()
    resize = Resize((intrinsics.height, intrinsics.width), (int(depth_m.shape[0]), int(depth_m.shape[1])))
    small = intrinsics.resized(resize.target_hw)
    xy_px = resize.to_target(poses.xy_px.astype(np.float64))
    sigma_px = _sigma_at(poses, resize, config)
    plan = _lookup_plan(poses.skeleton)
    lengths = np.array([config.window_px, config.gap_m, config.min_share, config.torso_extent_m,
                        config.torso_reach_m])  # fmt: skip
    camera = np.array([small.fx, small.fy, small.cx, small.cy])
    surface_m, spread_m = _surfaces(
        np.ascontiguousarray(depth_m), xy_px, sigma_px, plan.order, plan.parents, plan.reach_m, plan.torso,
        camera, lengths,
    )  # fmt: skip
    offsets = np.array([_offset_of(j) for j in poses.skeleton.joints]).reshape(-1, 2)
    ray = back_project(xy_px, np.ones_like(surface_m), small)
    z_m = surface_m + offsets[:, 0] / np.linalg.norm(ray, axis=-1)
    xyz = back_project(xy_px, z_m, small).astype(np.float32)
    across_x, across_y = z_m / small.fx * sigma_px, z_m / small.fy * sigma_px
    along = spread_m**2 + (config.sensor_noise_per_m * z_m**2) ** 2 + offsets[:, 1] ** 2
    if poses.visibility is not None:
        along = along + np.where(poses.visibility == Visibility.OCCLUDED, config.occluded_sigma_m**2, 0.0)
    sigma_m = np.sqrt((across_x**2 + across_y**2 + along) / 3)
    known: NDArray[np.bool_] = np.isfinite(z_m)
    return replace(
        poses,
        xyz_cam_m=xyz,
        xyz_root_m=relative_to_root(xyz, poses.skeleton),
        sigma_m=np.where(known, sigma_m, np.nan).astype(np.float32),
        source_3d=np.where(known, Source3D.DEPTH, Source3D.NONE).astype(np.uint8),
    )


def relative_to_root(xyz_m: FloatArray, skeleton: Skeleton) -> FloatArray:
    """Return joints, float32 (m, n, 3), relative to the mean of the hips, else the pelvis joint, else NaN."""
    root = np.full((xyz_m.shape[0], 1, 3), np.nan, np.float32)
    if "pelvis" in skeleton.joints:
        root = xyz_m[:, [skeleton.index("pelvis")]]
    if "left_hip" in skeleton.joints and "right_hip" in skeleton.joints:
        hips = xyz_m[:, [skeleton.index("left_hip"), skeleton.index("right_hip")]].mean(axis=1, keepdims=True)
        root = np.where(np.isnan(hips), root, hips)
    return (xyz_m - root).astype(np.float32)


def _sigma_at(poses: Poses, resize: Resize, config: Metric3DConfig) -> NDArray[np.float64]:
    """Standard deviation of the joints in px of the depth image, float64 (m, n)."""
    unknown = np.full(poses.scores.shape, config.sigma_px)
    if poses.sigma_px is None:
        return unknown
    scaled = poses.sigma_px.astype(np.float64) * float(np.mean(resize.scale_xy))
    return np.where(np.isfinite(scaled), scaled, unknown)


def _part(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")


_OFFSET_OF_OTHERS = {
    "thorax": "neck", "spine": "hip", "pelvis": "hip", "head": "ear", "head_top": "ear", "neck_nose": "ear",
}  # fmt: skip


def _offset_of(joint: str) -> SurfaceOffset:
    part = _part(joint)
    return SURFACE_OFFSETS[part if part in SURFACE_OFFSETS else _OFFSET_OF_OTHERS[part]]


class _LookupPlan(NamedTuple):
    """In which order a skeleton's joints are looked up, and what each may lean on.

    Attributes:
        order: int64 (n,), parents first.
        parents: int64 (n, 4), indices of the joints that a joint hangs on, best first; -1 = none.
        reach_m: float64 (n,), longest distance from the parent.
        torso: int64 (k, 2), pairs of joints between which the torso is sampled.
    """

    order: NDArray[np.int64]
    parents: NDArray[np.int64]
    reach_m: NDArray[np.float64]
    torso: NDArray[np.int64]


@lru_cache(maxsize=16)
def _lookup_plan(skeleton: Skeleton) -> _LookupPlan:
    n = len(skeleton)
    parents, reach_m, rank = np.full((n, 4), -1, np.int64), np.full(n, np.inf), np.zeros(n, np.int64)
    depth_of = {"elbow": 1, "wrist": 2, "knee": 1, "ankle": 2}
    for i, joint in enumerate(skeleton.joints):
        if joint in _TORSO:
            continue
        names, reach_m[i] = _PARENTS[_part(joint)]
        side = joint[: len(joint) - len(_part(joint))]
        rank[i] = depth_of.get(_part(joint), 1)
        there = [side + p if side + p in skeleton.joints else p for p in names]
        there = [p for p in there if p in skeleton.joints]
        parents[i, : len(there)] = [skeleton.index(p) for p in there]
    spans = [
        ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"), ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"), ("neck", "left_hip"), ("neck", "right_hip"), ("neck", "pelvis"),
    ]  # fmt: skip
    torso = [(skeleton.index(a), skeleton.index(b)) for a, b in spans if {a, b} <= set(skeleton.joints)]
    return _LookupPlan(
        np.argsort(rank, kind="stable"), parents, reach_m, np.array(torso, np.int64).reshape(-1, 2)
    )


@numba.njit(cache=True)
def _torso_depth(depth_m: NDArray, xy_px: NDArray, torso: NDArray, extent_m: float) -> float:
    """Median of the fullest slab of ``extent_m`` among the torso's returns; of equal ones the nearest."""
    height, width = depth_m.shape
    samples = np.empty(5 * len(torso) + len(xy_px))
    count = 0
    for fallback in range(2):
        # Without a torso any joint of the person must do.
        for k in range(len(xy_px) if fallback else 5 * len(torso)):
            if fallback:
                x, y = xy_px[k, 0], xy_px[k, 1]
            else:
                a, b, t = torso[k // 5, 0], torso[k // 5, 1], (k % 5) / 4.0
                x = xy_px[a, 0] + t * (xy_px[b, 0] - xy_px[a, 0])
                y = xy_px[a, 1] + t * (xy_px[b, 1] - xy_px[a, 1])
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                continue
            z = depth_m[math.floor(y + 0.5), math.floor(x + 0.5)]
            if np.isfinite(z):
                samples[count] = z
                count += 1
        if count > 0:
            break
    if count == 0:
        return np.nan
    ordered = np.sort(samples[:count])
    best, first, last = 0, 0, 0
    for i in range(count):
        j = i
        while j + 1 < count and ordered[j + 1] - ordered[i] <= extent_m:
            j += 1
        if j - i + 1 > best:
            best, first, last = j - i + 1, i, j
    return ordered[(first + last) // 2]


@numba.njit(cache=True)
def _nearest_surface(z: NDArray, weights: NDArray, gap_m: float, min_share: float) -> tuple[float, float]:
    """Split returns where their depths leave a gap; median and spread of the first part heavy enough."""
    order = np.argsort(z)
    total = weights.sum()
    first = 0
    while first < len(z):
        last, weight = first, weights[order[first]]
        while last + 1 < len(z) and z[order[last + 1]] - z[order[last]] <= gap_m:
            last += 1
            weight += weights[order[last]]
        if weight >= min_share * total:
            middle, below = first, weights[order[first]]
            while below < 0.5 * weight and middle < last:
                middle += 1
                below += weights[order[middle]]
            median, squares = z[order[middle]], 0.0
            for i in range(first, last + 1):
                squares += weights[order[i]] * (z[order[i]] - median) ** 2
            return median, math.sqrt(squares / weight)
        first = last + 1
    return np.nan, np.nan


@numba.njit(cache=True)
def _surfaces(
    depth_m: NDArray, xy_px: NDArray, sigma_px: NDArray, order: NDArray, parents: NDArray, reach_m: NDArray,
    torso: NDArray, camera: NDArray, lengths: NDArray,
) -> tuple[NDArray, NDArray]:  # fmt: skip
    """Depth of the body's surface at every joint, and its spread; float64 (m, n), NaN = none fits."""
    height, width = depth_m.shape
    window, gap_m, min_share, extent_m, torso_reach_m = lengths
    people, joints = xy_px.shape[:2]
    surface, spread = np.full((people, joints), np.nan), np.full((people, joints), np.nan)
    r = math.ceil(window)
    z, weights = np.empty((2 * r + 1) ** 2), np.empty((2 * r + 1) ** 2)
    for m in range(people):
        torso_m = _torso_depth(depth_m, xy_px[m], torso, extent_m)
        if not np.isfinite(torso_m):
            continue
        for j in order:
            x, y = xy_px[m, j, 0], xy_px[m, j, 1]
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                continue
            parent = -1
            for p in parents[j]:
                if p >= 0 and np.isfinite(surface[m, p]):
                    parent = p
                    break
            reach = torso_reach_m if parents[j, 0] < 0 else 2 * torso_reach_m
            ray_x, ray_y = (x - camera[2]) / camera[0], (y - camera[3]) / camera[1]
            u, v, count = math.floor(x + 0.5), math.floor(y + 0.5), 0
            for row in range(max(0, v - r), min(height, v + r + 1)):
                for column in range(max(0, u - r), min(width, u + r + 1)):
                    d = depth_m[row, column]
                    squared = (row - y) ** 2 + (column - x) ** 2
                    if squared > window * window or not np.isfinite(d) or abs(d - torso_m) > reach:
                        continue
                    if parent >= 0:
                        zp = surface[m, parent]
                        dx = ray_x * d - (xy_px[m, parent, 0] - camera[2]) / camera[0] * zp
                        dy = ray_y * d - (xy_px[m, parent, 1] - camera[3]) / camera[1] * zp
                        if dx * dx + dy * dy + (d - zp) ** 2 > reach_m[j] ** 2:
                            continue
                    # Nearer pixels say more; half a pixel of blur on top of the joint's own uncertainty.
                    z[count] = d
                    weights[count] = math.exp(-0.5 * squared / (sigma_px[m, j] ** 2 + 0.15))
                    count += 1
            if count > 0:
                surface[m, j], spread[m, j] = _nearest_surface(z[:count], weights[:count], gap_m, min_share)
    return surface, spread
