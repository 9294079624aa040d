"""Pinhole projection and rigid transforms. Metres, pixels, optical frame (x right, y down, z forward)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orpose_core.types import Intrinsics


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
