"""People placed in space by a depth image, joint by joint."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orpose_core.geometry.lookup_plan import MOST_BEYOND_M, lookup_plan
from orpose_core.geometry.projection import back_project
from orpose_core.geometry.surfaces import body_surfaces, joint_distances
from orpose_core.skeleton import Skeleton
from orpose_core.types import Float64Array, FloatArray, Intrinsics, Poses, Resize, Source3D, Visibility


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
    """

    window_px: float = 1.5
    gap_m: float = 0.15
    min_share: float = 0.35
    torso_extent_m: float = 0.5
    torso_reach_m: float = 0.5
    sigma_px: float = 0.5
    sensor_noise_per_m: float = 0.0015

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"Metric3DConfig.{name}: expected a positive number, got {value}")


class Lookup(NamedTuple):
    """What depth says of every joint. Distances are along the joint's ray.

    Attributes:
        rays: float64 (m, n, 3), directions of length 1, optical frame.
        surface_m: float64 (m, n), distance of the surface at the joint, m, NaN = none fits the person.
        spread_m: float64 (m, n), standard deviation of the surface in the window and of what lies between
            it and the joint, m.
        beyond_m: float64 (m, n), how far the joint's neighbours lie beyond the surface, m, NaN = none known.
        distance_m: float64 (m, n), distance of the joint, m.
        across_m: float64 (m, n), its standard deviation along each of the two axes across the ray, m.
    """

    rays: Float64Array
    surface_m: Float64Array
    spread_m: Float64Array
    beyond_m: Float64Array
    distance_m: Float64Array
    across_m: Float64Array


def look_up(
    poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: Metric3DConfig | None = None
) -> Lookup:
    """Return the surface at each joint and how far behind it the joint lies; see :func:`metric_3d`."""
    if depth_m.ndim != 2 or depth_m.dtype != np.float32:
        raise ValueError(
            f"metric_3d: expected depth as float32 of shape (h, w), got {depth_m.dtype} of {depth_m.shape}"
        )
    config = config or Metric3DConfig()
    resize = Resize((intrinsics.height, intrinsics.width), (int(depth_m.shape[0]), int(depth_m.shape[1])))
    small = intrinsics.resized(resize.target_hw)
    xy_px = resize.to_target(poses.xy_px.astype(np.float64))
    plan = lookup_plan(poses.skeleton)
    lengths = np.array([config.window_px, config.gap_m, config.min_share, config.torso_extent_m,
                        config.torso_reach_m])  # fmt: skip
    camera = np.array([small.fx, small.fy, small.cx, small.cy])
    # Contiguous, or each layout would be compiled by itself.
    depth_m, xy_px, sigma_px = (
        np.ascontiguousarray(array) for array in (depth_m, xy_px, _sigma_at(poses, resize, config))
    )
    z_m, window_spread_m = body_surfaces(
        depth_m, xy_px, sigma_px, plan.order, plan.parents, plan.reach_m, plan.torso, camera, lengths,
    )  # fmt: skip
    rays = back_project(xy_px, np.ones_like(z_m), small)
    lengths_m = np.linalg.norm(rays, axis=-1)  # of a ray of depth 1
    rays, surface_m = rays / lengths_m[..., None], z_m * lengths_m
    distance_m, offset_spread_m, beyond_m = joint_distances(
        surface_m, rays, _hidden(poses), plan.order, plan.parents, plan.offsets, MOST_BEYOND_M
    )
    pixels = math.sqrt((small.fx**-2 + small.fy**-2) / 2)  # at a depth of 1
    across_m = rays[..., 2] * distance_m * pixels * sigma_px
    spread_m = np.hypot(window_spread_m, offset_spread_m)
    return Lookup(rays, surface_m, spread_m, beyond_m, distance_m, across_m)


def metric_3d(
    poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: Metric3DConfig | None = None
) -> Poses:
    """Give people their place in space from a depth image, also one of 64x48.

    For each joint: the returns around it that fit the person (the torso's depth, the length of the bone to
    the joint before) fall into surfaces; the nearest one that fills enough of the window is the body's. The
    joint lies behind it, along the ray (:data:`~orpose_core.geometry.lookup_plan.SURFACE_OFFSETS`): one that
    is seen, or of which nothing is said, by the part's mean offset; one that is hidden by more, and by still
    more if its neighbours lie beyond the surface. ``hidden_probability`` weighs the two, or ``visibility``
    decides. What stands in front of a person or what is seen past one does not fit and is left out; a joint
    with nothing left is unknown.

    Args:
        poses: px of the image that ``intrinsics`` are of.
        depth_m: float32 (h, w), metres, NaN = no return; of any size, the same rectangle of the scene.
        intrinsics: of the image that ``poses`` are in.
        config: thresholds; None = the defaults.

    Returns:
        The poses with ``xyz_cam_m``, ``xyz_root_m`` (relative to the mean of the hips, else to the pelvis
        joint, else unknown), ``source_3d`` and ``sigma_m``: root mean square over the axes of the pixel's
        footprint times ``sigma_px`` across the ray and, along it, the surface's spread, the sensor's noise
        and the offset's spread. Where a joint is absent or no depth fits: NaN and ``Source3D.NONE``.
    """
    return placed(poses, look_up(poses, depth_m, intrinsics, config), config)


def placed(poses: Poses, found: Lookup, config: Metric3DConfig | None = None) -> Poses:
    """Return people at the places that :func:`look_up` found for them; see :func:`metric_3d`."""
    config = config or Metric3DConfig()
    xyz = (found.rays * found.distance_m[..., None]).astype(np.float32)
    z_m = found.rays[..., 2] * found.distance_m
    along = found.spread_m**2 + (config.sensor_noise_per_m * z_m**2) ** 2
    sigma_m = np.sqrt((2 * found.across_m**2 + along) / 3)
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


def _hidden(poses: Poses) -> Float64Array:
    """Probability that something hides each joint, float64 (m, n); 0 where nothing is said."""
    if poses.hidden_probability is not None:
        return np.nan_to_num(poses.hidden_probability.astype(np.float64))
    if poses.visibility is not None:
        return (poses.visibility == Visibility.OCCLUDED).astype(np.float64)
    return np.zeros(poses.scores.shape)


def _sigma_at(poses: Poses, resize: Resize, config: Metric3DConfig) -> NDArray[np.float64]:
    """Standard deviation of the joints in px of the depth image, float64 (m, n)."""
    unknown = np.full(poses.scores.shape, config.sigma_px)
    if poses.sigma_px is None:
        return unknown
    scaled = poses.sigma_px.astype(np.float64) * float(np.mean(resize.scale_xy))
    return np.where(np.isfinite(scaled), scaled, unknown)
