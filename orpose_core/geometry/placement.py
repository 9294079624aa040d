"""People placed in space by a depth image, joint by joint."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orpose_core.geometry.lookup_plan import lookup_plan
from orpose_core.geometry.projection import back_project
from orpose_core.geometry.surfaces import body_surfaces
from orpose_core.skeleton import Skeleton
from orpose_core.types import FloatArray, Intrinsics, Poses, Resize, Source3D, Visibility


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


def metric_3d(
    poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: Metric3DConfig | None = None
) -> Poses:
    """Give people their place in space from a depth image, also one of 64x48.

    For each joint: the returns around it that fit the person (the torso's depth, the length of the bone to
    the joint before) fall into surfaces; the nearest one that fills enough of the window is the body's. The
    joint lies behind it, along the ray, by the part's mean offset
    (:data:`~orpose_core.geometry.lookup_plan.SURFACE_OFFSETS`). What stands in front of a person or what is
    seen past one does not fit and is left out; a joint with nothing left is unknown.

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
    plan = lookup_plan(poses.skeleton)
    lengths = np.array([config.window_px, config.gap_m, config.min_share, config.torso_extent_m,
                        config.torso_reach_m])  # fmt: skip
    camera = np.array([small.fx, small.fy, small.cx, small.cy])
    # Contiguous, or each layout would be compiled by itself.
    depth_m, xy_px, sigma_px = (np.ascontiguousarray(array) for array in (depth_m, xy_px, sigma_px))
    surface_m, spread_m = body_surfaces(
        depth_m, xy_px, sigma_px, plan.order, plan.parents, plan.reach_m, plan.torso, camera, lengths,
    )  # fmt: skip
    ray = back_project(xy_px, np.ones_like(surface_m), small)
    z_m = surface_m + plan.offsets[:, 0] / np.linalg.norm(ray, axis=-1)
    xyz = back_project(xy_px, z_m, small).astype(np.float32)
    across_x, across_y = z_m / small.fx * sigma_px, z_m / small.fy * sigma_px
    along = spread_m**2 + (config.sensor_noise_per_m * z_m**2) ** 2 + plan.offsets[:, 1] ** 2
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
