"""Cameras that are mounted on their side or upside down: frames turned upright, and poses turned back.

Networks know people who stand upright in the image. A rotation of the image is a rotation of the camera
about its optical axis, so intrinsics turn with it and metric 3D stays exact.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from orpose_core.types import FloatArray, Intrinsics, Poses, RgbdFrame

ROTATIONS = (0, 90, 180, 270)
"""By how many degrees an image can be turned clockwise."""

_ASPECT = 4 / 3


def upright(frame: RgbdFrame, rotation: int) -> RgbdFrame:
    """Turn a frame clockwise.

    Args:
        frame: as the camera gives it.
        rotation: degrees, one of :data:`ROTATIONS`.

    Returns:
        The frame as it would be if the camera hung upright. On its side (90, 270) it is padded on the right
        to the 4:3 of the networks' inputs: no return in depth, black in color.

    Raises:
        ValueError: another rotation.
    """
    if rotation not in ROTATIONS:
        raise ValueError(
            f"rotation: expected one of {', '.join(map(str, ROTATIONS))} degrees, got {rotation}"
        )
    if rotation == 0:
        return frame
    turns = -rotation // 90  # numpy turns anticlockwise
    rgb = None if frame.rgb is None else np.rot90(frame.rgb, turns)
    depth_m = None if frame.depth_m is None else np.rot90(frame.depth_m, turns)
    k = None if frame.intrinsics is None else _turned(frame.intrinsics, rotation)
    missing = 0
    if rotation != 180:
        height, width = frame.size_hw[::-1]
        missing = max(0, ceil(height * _ASPECT) - width)
    if missing:
        rgb = None if rgb is None else np.pad(rgb, ((0, 0), (0, missing), (0, 0)))
        depth_m = None if depth_m is None else np.pad(depth_m, ((0, 0), (0, missing)), constant_values=np.nan)
        k = None if k is None else replace(k, width=k.width + missing)
    return replace(
        frame,
        rgb=None if rgb is None else np.ascontiguousarray(rgb),
        depth_m=None if depth_m is None else np.ascontiguousarray(depth_m),
        intrinsics=k,
    )


def turned_back(poses: Poses, rotation: int, size_hw: tuple[int, int]) -> Poses:
    """Return the poses of an upright frame in px, and in the optical frame, of the image it was made of.

    Args:
        poses: of the frame that :func:`upright` gave.
        rotation: degrees, the same.
        size_hw: (height, width) of the camera's image.
    """
    if rotation == 0:
        return poses
    corners = _pixels_back(poses.boxes_px.reshape(-1, 2, 2), rotation, size_hw)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
    return replace(
        poses,
        xy_px=_pixels_back(poses.xy_px, rotation, size_hw),
        boxes_px=boxes,
        xyz_root_m=None if poses.xyz_root_m is None else _points_back(poses.xyz_root_m, rotation),
        xyz_cam_m=None if poses.xyz_cam_m is None else _points_back(poses.xyz_cam_m, rotation),
    )


def _turned(k: Intrinsics, rotation: int) -> Intrinsics:
    if rotation == 180:
        return replace(k, cx=k.width - 1 - k.cx, cy=k.height - 1 - k.cy)
    cx, cy = (k.height - 1 - k.cy, k.cx) if rotation == 90 else (k.cy, k.width - 1 - k.cx)
    return Intrinsics(k.fy, k.fx, cx, cy, k.height, k.width)


def _pixels_back(xy_px: FloatArray, rotation: int, size_hw: tuple[int, int]) -> FloatArray:
    """Map px of the upright image to px of the camera's; clockwise, (x, y) became (h - 1 - y, x)."""
    height, width = size_hw
    x, y = xy_px[..., 0], xy_px[..., 1]
    back = {90: (y, height - 1 - x), 180: (width - 1 - x, height - 1 - y), 270: (width - 1 - y, x)}[rotation]
    return np.stack(back, axis=-1).astype(np.float32)


def _points_back(xyz_m: FloatArray, rotation: int) -> FloatArray:
    x, y, z = xyz_m[..., 0], xyz_m[..., 1], xyz_m[..., 2]
    back = {90: (y, -x), 180: (-x, -y), 270: (-y, x)}[rotation]
    return np.stack([*back, z], axis=-1).astype(np.float32)
