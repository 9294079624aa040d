"""Images of a lens that distorts, as a pinhole camera with the same K would have taken them.

The distortion models are those of ``sensor_msgs/CameraInfo``; OpenCV computes the maps.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from orpose_core.types import FloatArray, Intrinsics

_PINHOLE = ("plumb_bob", "rational_polynomial")
_FISHEYE = ("equidistant", "fisheye")
DISTORTION_MODELS = (*_PINHOLE, *_FISHEYE)
"""Models that can be corrected."""


class Undistortion:
    """Corrects the images of one camera.

    Args:
        intrinsics: of the images.
        model: one of :data:`DISTORTION_MODELS`.
        coefficients: in the order of ``CameraInfo.d``; not all zero.

    Raises:
        ValueError: another model, or a number of coefficients that it does not have.
    """

    def __init__(self, intrinsics: Intrinsics, model: str, coefficients: tuple[float, ...]) -> None:
        if model not in DISTORTION_MODELS:
            raise ValueError(
                f"camera_info: expected a distortion model of {', '.join(DISTORTION_MODELS)}, got {model!r}"
            )
        allowed = (4,) if model in _FISHEYE else (4, 5, 8, 12, 14)
        if len(coefficients) not in allowed:
            raise ValueError(
                f"camera_info: expected {' or '.join(map(str, allowed))} coefficients of {model}, "
                f"got {len(coefficients)}"
            )
        self.size_hw = intrinsics.height, intrinsics.width
        k = np.array(
            [[intrinsics.fx, 0, intrinsics.cx], [0, intrinsics.fy, intrinsics.cy], [0, 0, 1]], np.float64
        )
        d = np.array(coefficients, np.float64)
        size = intrinsics.width, intrinsics.height
        find = cv2.fisheye.initUndistortRectifyMap if model in _FISHEYE else cv2.initUndistortRectifyMap
        self._x, self._y = find(k, d, np.eye(3), k, size, cv2.CV_32FC1)

    def depth(self, depth_m: FloatArray) -> FloatArray:
        """Return the depth image corrected, float32 (H, W), m; NaN where the lens did not see.

        The nearest return is taken: a mean across an edge would be a surface that is not there.
        """
        return np.asarray(
            cv2.remap(depth_m, self._x, self._y, cv2.INTER_NEAREST, None, cv2.BORDER_CONSTANT, np.nan),
            np.float32,
        )

    def color(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the picture corrected, uint8 (H, W, 3); black where the lens did not see."""
        return np.asarray(cv2.remap(rgb, self._x, self._y, cv2.INTER_LINEAR), np.uint8)


@lru_cache(maxsize=8)
def undistortion(intrinsics: Intrinsics, model: str, coefficients: tuple[float, ...]) -> Undistortion:
    """Return the correction of a camera, the same one each time, since its maps are costly."""
    return Undistortion(intrinsics, model, coefficients)
