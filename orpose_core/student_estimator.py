"""What the student needs around it: the image that it sees, and people placed in space by their root.

Low-resolution images "are first upsampled to match the original input size", bilinearly (ORPose Sect. 3.3).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orpose_core.geometry import back_project, metric_3d
from orpose_core.image_ops import low_resolution_color
from orpose_core.types import Intrinsics, Poses, Source3D

_TORSO = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
"""Joints whose depth places a person: large, and seldom occluded all four."""


def enlarge(rgb: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the image at ``size_hw``, bilinear and rounded to 8 bit after each axis, as Pillow does.

    The released students were trained on images made so; one of that size already is returned as it is.
    """
    if rgb.shape[:2] == size_hw:
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR), np.uint8)


def student_image(
    rgb: NDArray[np.uint8], input_hw: tuple[int, int], full_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return what the student sees of an image: never more than ``input_hw`` holds, at ``full_hw``.

    Args:
        rgb: uint8 (H, W, 3) of any size; a larger one is shrunk to ``input_hw`` first.
        input_hw: (height, width) of the low-resolution image that the network is meant for.
        full_hw: (height, width) that enters it.
    """
    height, width = rgb.shape[:2]
    if height > input_hw[0] and width > input_hw[1]:
        rgb = low_resolution_color(rgb, input_hw)
    return enlarge(rgb, full_hw)


def anchor_at_root(poses: Poses, depth_m: NDArray[np.float32], intrinsics: Intrinsics) -> Poses:
    """Give lifted people their place in space from a depth image.

    The root's depth is the median, over the torso's joints, of measured depth minus lifted offset; the root
    lies there on the ray of the pelvis in the image, and the lifted joints around it. Joints that the lifters
    do not give have the depth measured at them.

    Args:
        poses: with ``xyz_root_m``, px of the image of ``intrinsics``.
        depth_m: float32 (h, w), metres, NaN = no return.
        intrinsics: of the color image.

    Returns:
        The poses with ``xyz_cam_m``, ``source_3d`` (FUSED for lifted joints, DEPTH for measured ones) and
        ``sigma_m`` of measured joints. Without depth at the torso a person keeps only ``xyz_root_m``.
    """
    measured = metric_3d(poses, depth_m, intrinsics)
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
