"""Parameters of all nodes that take a camera's images: how the images come, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass

from orpose_core.data.reading import Reading
from orpose_ros.parameters.declaring import parameter

MOST_INPUT_PIXELS = 40_000_000
"""Default limit of compressed full-size images, px."""


@dataclass(frozen=True)
class ImageParameters:
    """How a camera's images come. The same names and defaults in every node."""

    compressed_color: bool = parameter(
        False, "Take color/image_raw/compressed (JPEG or PNG) instead of color/image_raw."
    )
    compressed_depth: bool = parameter(
        False, "Take depth/image_raw/compressedDepth (PNG or RVL) instead of depth/image_raw."
    )
    depth_unit_m: float = parameter(
        Reading.depth_unit_m, "Unit of 16-bit depth, m; 0.001 by REP 118.", low=1e-6, high=1.0
    )
    rectified: bool = parameter(
        Reading.rectified, "The images are rectified: use P of camera_info instead of K, and no distortion."
    )

    def is_compressed(self, stream: str) -> bool:
        """Return whether the images of ``"color"`` or ``"depth"`` come compressed."""
        return bool(getattr(self, f"compressed_{stream}"))

    def reading_up_to(self, most_pixels: int) -> Reading:
        """Return the settings for decoding; compressed images with more px are refused undecoded."""
        return Reading(self.depth_unit_m, self.rectified, most_pixels)
