"""Cameras and their images: intrinsics, frames, and the coordinate map of a resize."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orpose_core.types.arrays import FloatArray, Picture, check_array


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion: focal lengths and principal point in px of a width x height image.

    Pixel centres have integer coordinates, so the image spans [-0.5, width - 0.5] x [-0.5, height - 0.5].
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"Intrinsics.{name}: expected a finite number, got {getattr(self, name)}")
        if self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"Intrinsics: focal lengths must be positive, got fx={self.fx}, fy={self.fy}")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"Intrinsics: expected a positive size, got {self.width}x{self.height}")

    def resized(self, size_hw: tuple[int, int]) -> Intrinsics:
        """Return the intrinsics of the same camera after its image was resized to ``size_hw``.

        Each axis has its own scale (640x480 is not a multiple of 53x40), and the principal point moves
        about the image's corner, not about the centre of its first pixel: ``c' = (c + 0.5) s - 0.5``.
        """
        height, width = size_hw
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            self.fx * sx, self.fy * sy, (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5, width, height
        )


@dataclass(frozen=True)
class RgbdFrame:
    """One moment of one camera.

    Attributes:
        rgb: uint8 (H, W, 3), red first, or None.
        depth_m: float32 (H, W), metres along the optical axis, NaN = no return, or None.
        intrinsics: of the images, or None where the camera is not calibrated.
        frame_id: name of the optical frame (x right, y down, z forward).
        stamp_ns: time of the exposure, nanoseconds since the epoch.
    """

    rgb: Picture | None
    depth_m: FloatArray | None
    intrinsics: Intrinsics | None
    frame_id: str = ""
    stamp_ns: int = 0

    def __post_init__(self) -> None:
        if self.rgb is None and self.depth_m is None:
            raise ValueError("RgbdFrame: expected a color or a depth image, got neither")
        if self.rgb is not None:
            check_array("RgbdFrame.rgb", self.rgb, np.uint8, (None, None, 3))
        if self.depth_m is not None:
            check_array("RgbdFrame.depth_m", self.depth_m, np.float32, (None, None))
        height, width = self.size_hw
        if self.rgb is not None and self.depth_m is not None and self.rgb.shape[:2] != self.depth_m.shape:
            raise ValueError(
                f"RgbdFrame: color is {self.rgb.shape[1]}x{self.rgb.shape[0]} but depth is "
                f"{self.depth_m.shape[1]}x{self.depth_m.shape[0]}; register the depth to the color camera"
            )
        if self.intrinsics and (self.intrinsics.width, self.intrinsics.height) != (width, height):
            raise ValueError(
                f"RgbdFrame: the image is {width}x{height} but its intrinsics are for "
                f"{self.intrinsics.width}x{self.intrinsics.height}"
            )

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) of the images in px."""
        image = self.depth_m if self.rgb is None else self.rgb
        assert image is not None  # the constructor saw to it
        return int(image.shape[0]), int(image.shape[1])


@dataclass(frozen=True)
class Resize:
    """The coordinate map of a resize, per axis: from ``source_hw`` to ``target_hw``.

    Pixel centres have integer coordinates and both images cover the same rectangle, so coordinates map about
    the image's corner: ``x_target = (x_source + 0.5) * w_target / w_source - 0.5``.
    """

    source_hw: tuple[int, int]
    target_hw: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.source_hw, *self.target_hw) <= 0:
            raise ValueError(f"Resize: sizes must be positive, got {self.source_hw} to {self.target_hw}")

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Target px per source px, (x, y)."""
        return self.target_hw[1] / self.source_hw[1], self.target_hw[0] / self.source_hw[0]

    def inverse(self) -> Resize:
        """Return the inverse map, from ``target_hw`` to ``source_hw``."""
        return Resize(self.target_hw, self.source_hw)

    def to_target(self, xy_px: NDArray) -> NDArray:
        """Map float (..., 2) from source to target px."""
        return ((xy_px + 0.5) * np.asarray(self.scale_xy, xy_px.dtype) - 0.5).astype(xy_px.dtype)

    def to_source(self, xy_px: NDArray) -> NDArray:
        """Map float (..., 2) from target to source px."""
        return self.inverse().to_target(xy_px)
