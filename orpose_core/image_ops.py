"""Resampling to low resolution, normalisation, and the way back to source pixels.

Sizes are (height, width). Pixel centres have integer coordinates; a resized image covers the same
rectangle, so coordinates map about the image's corner:
``x_source = (x_target + 0.5) * w_source / w_target - 0.5``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Resize:
    """The coordinate map of a resize, per axis: from ``source_hw`` to ``target_hw``."""

    source_hw: tuple[int, int]
    target_hw: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.source_hw, *self.target_hw) <= 0:
            raise ValueError(f"Resize: sizes must be positive, got {self.source_hw} to {self.target_hw}")

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Target px per source px, (x, y)."""
        return self.target_hw[1] / self.source_hw[1], self.target_hw[0] / self.source_hw[0]

    def to_target(self, xy_px: NDArray) -> NDArray:
        """Map float (..., 2) from source to target px."""
        return ((xy_px + 0.5) * np.asarray(self.scale_xy, xy_px.dtype) - 0.5).astype(xy_px.dtype)

    def to_source(self, xy_px: NDArray) -> NDArray:
        """Map float (..., 2) from target to source px."""
        return ((xy_px + 0.5) / np.asarray(self.scale_xy, xy_px.dtype) - 0.5).astype(xy_px.dtype)
