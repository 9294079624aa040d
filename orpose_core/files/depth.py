"""Depth in files and messages: 16 bits, millimetres, 0 = no return."""

from __future__ import annotations

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from orpose_core.files.images import encoded_png, read_image, write_image

MILLIMETRE_M = 0.001
"""What one step of 16-bit depth is by REP 118, m; some cameras have steps of 0.1 or 0.25 mm."""


def metres(depth_mm: NDArray[np.uint16], unit_m: float = MILLIMETRE_M) -> NDArray[np.float32]:
    """Return depth as float32 metres, NaN = no return.

    Args:
        depth_mm: uint16, millimetres, 0 = no return.
        unit_m: what one step is instead, m.

    Returns:
        For millimetres, the float32 number nearest to them divided by 1000.
    """
    depth_m = depth_mm.astype(np.float32)
    if unit_m == MILLIMETRE_M:
        depth_m /= np.float32(1000)
    else:
        depth_m *= np.float32(unit_m)
    depth_m[depth_mm == 0] = np.nan
    return depth_m


def millimetres(depth_m: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return depth as uint16 millimetres, 0 = no return.

    Args:
        depth_m: float, metres. NaN, infinity, what is not positive, and what is beyond 65.535 m count as no
            return.
    """
    mm = np.rint(np.nan_to_num(depth_m, nan=0.0, posinf=0.0, neginf=0.0) * np.float32(1000))
    return np.where((mm > 0) & (mm <= 65535), mm, 0).astype(np.uint16)


def read_depth(path: str | os.PathLike, unit_m: float = MILLIMETRE_M) -> NDArray[np.float32]:
    """Read a grey image of 16 bits in millimetres, or of floats in metres.

    Args:
        path: of the file.
        unit_m: what one step of 16 bits is, m.

    Returns:
        float32 (H, W), metres, NaN = no return: 0, or for floats whatever is not positive and finite.

    Raises:
        ValueError: names the file and says what it is instead.
        OSError: the file cannot be read.
    """
    image = read_image(path, cv2.IMREAD_UNCHANGED)
    if image.dtype in (np.float32, np.float64):
        depth_m = (image if image.ndim == 2 else image[..., 0]).astype(np.float32)
        depth_m[~((depth_m > 0) & (depth_m < np.inf))] = np.nan
        return depth_m
    if image.dtype != np.uint16 or image.ndim != 2:
        raise ValueError(
            f"{path}: expected a depth image of one 16-bit channel (mm), "
            f"got {image.dtype} of shape {image.shape}"
        )
    return metres(image, unit_m)


def write_depth(path: str | os.PathLike, depth_m: NDArray[np.floating], *, fast: bool = False) -> None:
    """Write depth as a 16-bit PNG in millimetres, all or nothing.

    Args:
        path: of the file, ending in ``.png``.
        depth_m: float (H, W), metres; see :func:`millimetres`.
        fast: compress by run lengths alone, which suits noisy images.

    Raises:
        ValueError: another ending.
        OSError: the file could not be written.
    """
    write_image(path, encoded_png(path, millimetres(depth_m), fast))
