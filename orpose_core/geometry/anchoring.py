"""Lifted people placed in space by their root: measured depth at the torso, lifted joints around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orpose_core.geometry.placement import Metric3DConfig, metric_3d
from orpose_core.geometry.projection import back_project
from orpose_core.types import FloatArray, Intrinsics, Poses, Source3D

_TORSO = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
"""Joints whose depth places a person: large, and seldom occluded all four."""


def anchor_at_root(
    poses: Poses, depth_m: FloatArray, intrinsics: Intrinsics, config: Metric3DConfig | None = None
) -> Poses:
    """Give lifted people their place in space from a depth image.

    The root's depth is the median, over the torso's joints, of measured depth minus lifted offset; the root
    lies there on the ray of the pelvis in the image, and the lifted joints around it. Joints that the lifters
    do not give have the depth measured at them.

    Args:
        poses: with ``xyz_root_m``, px of the image of ``intrinsics``.
        depth_m: float32 (h, w), metres, NaN = no return.
        intrinsics: of the color image.
        config: how joints are looked up in depth; None = the defaults.

    Returns:
        The poses with ``xyz_cam_m``, ``source_3d`` (FUSED for lifted joints, DEPTH for measured ones) and
        ``sigma_m`` of measured joints. Without depth at the torso a person keeps only ``xyz_root_m``.
    """
    measured = metric_3d(poses, depth_m, intrinsics, config)
    assert measured.xyz_cam_m is not None and poses.xyz_root_m is not None
    names = [j for j in _TORSO if j in poses.skeleton.joints]
    torso = [poses.skeleton.index(j) for j in names]
    hips = [poses.skeleton.index(j) for j in names if j.endswith("hip")]
    offsets = measured.xyz_cam_m[:, torso, 2] - poses.xyz_root_m[:, torso, 2]  # (m, 4)
    z_m = np.full(len(poses), np.nan, np.float32)
    for i in range(len(poses)):
        seen = [z for z in offsets[i].tolist() if np.isfinite(z)]
        z_m[i] = np.median(seen) if seen else np.nan
    root = back_project(poses.xy_px[:, hips].mean(axis=1), z_m, intrinsics)  # (m, 3)
    lifted = root[:, None] + poses.xyz_root_m
    known = np.asarray(~np.isnan(lifted).any(axis=-1))
    no_lift = np.asarray(np.isnan(poses.xyz_root_m).any(axis=-1))
    xyz = np.where(known[..., None], lifted, np.where(no_lift[..., None], measured.xyz_cam_m, np.nan))
    there = ~np.isnan(xyz).any(axis=-1)
    source = np.where(known, Source3D.FUSED, np.where(there, Source3D.DEPTH, Source3D.NONE))
    source = np.where(~there & ~no_lift, Source3D.LIFTED, source)
    sigma = np.full(there.shape, np.nan, np.float32) if measured.sigma_m is None else measured.sigma_m
    return replace(
        poses,
        xyz_cam_m=xyz.astype(np.float32),
        source_3d=source.astype(np.uint8),
        sigma_m=np.where(source == Source3D.DEPTH, sigma, np.nan).astype(np.float32),
    )
