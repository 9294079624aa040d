"""How the messages of a camera are read, be they heard on live topics or read from a bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from orpose_core.data import image_messages
from orpose_core.files import MILLIMETRE_M, MOST_PIXELS
from orpose_core.types import FloatArray, Intrinsics


@dataclass(frozen=True)
class Reading:
    """Settings for decoding a camera's messages.

    Attributes:
        depth_unit_m: step of 16-bit depth, m.
        rectified: whether the images are rectified, so that the camera matrix is P of camera_info, not K.
        most_pixels: compressed images with more px, according to their header, are refused before decoding.
    """

    depth_unit_m: float = MILLIMETRE_M
    rectified: bool = False
    most_pixels: int = MOST_PIXELS

    def color(self, message: Any) -> NDArray:
        """Return the color image of a message; see :func:`~orpose_core.data.image_messages.decode_color`."""
        return image_messages.decode_color(message, self.most_pixels)

    def depth(self, message: Any) -> FloatArray:
        """Return the depth image of a message; see :func:`~orpose_core.data.image_messages.decode_depth`."""
        return image_messages.decode_depth(message, self.depth_unit_m, self.most_pixels)

    def intrinsics(self, message: Any) -> Intrinsics:
        """Return the pinhole camera of a camera_info; ValueError if it is not calibrated."""
        return image_messages.intrinsics_of(message, self.rectified)

    def distortion(self, message: Any) -> tuple[str, tuple[float, ...]]:
        """Return the distortion model and its coefficients; none for rectified images."""
        model, coefficients = image_messages.distortion_of(message)
        return model, () if self.rectified else coefficients


USUAL = Reading()
"""REP 118: 16-bit depth in mm; images that are not rectified."""
