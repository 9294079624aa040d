"""Augmentation of a depth frame together with its poses, determined by a random generator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from orpose_core.types import FloatArray, Poses


@dataclass(frozen=True)
class AugmentConfig:
    """Settings of the augmentation of depth frames.

    Attributes:
        flip: probability of a mirrored frame.
        zoom: range of the scale about the image's center, log-uniform. Depth does not change, so this is
            like another focal length. Below 1, a border without depth appears.
        shift: largest shift, as a share of the image's width and height.
        depth_gain: depth is multiplied by 1 +- at most this (cameras differ in height and calibration).
        border: probability that a random border of the frame has no depth, as after registration.
        border_share: its largest width on each side, as a share of the image's size.
        drop: probability that random rectangles of the frame lose their depth.
    """

    flip: float = 0.5
    zoom: tuple[float, float] = (0.85, 1.4)
    shift: float = 0.08
    depth_gain: float = 0.15
    border: float = 0.2
    border_share: float = 0.08
    drop: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"data.augment.zoom: expected a range of positive numbers, got {self.zoom}")
        for name in ("flip", "border", "drop", "shift", "depth_gain", "border_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"data.augment.{name}: expected a number in [0, 1], got {getattr(self, name)}"
                )


def _in_the_image(poses: Poses) -> Poses:
    """Return people without 3D values, which the change of depth makes invalid."""
    return replace(poses, xyz_root_m=None, xyz_cam_m=None, sigma_m=None, source_3d=None)


def mirrored(depth_m: FloatArray, poses: Poses) -> tuple[FloatArray, Poses]:
    """Mirror an image left to right; left joints become right ones.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return.
        poses: in px of it. 3D values are dropped.
    """
    return np.ascontiguousarray(depth_m[:, ::-1]), _in_the_image(poses).mirrored(depth_m.shape[1])


def zoomed(depth_m: FloatArray, poses: Poses, scale: float, shift_px: FloatArray) -> tuple[FloatArray, Poses]:
    """Scale an image about its centre and shift it; pixels from outside the image have no return.

    A joint that leaves the image becomes absent; boxes are clipped to the image.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return.
        poses: in px of it. 3D values are dropped.
        scale: above 1 enlarges.
        shift_px: float (2,), x and y.
    """
    height, width = depth_m.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2], np.float32)
    offset = centre - scale * centre + shift_px
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float64)
    moved = cast(FloatArray, cv2.warpAffine(
        depth_m, matrix, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT,
        borderValue=(float("nan"),) * 4,
    ))  # fmt: skip
    return moved, _in_the_image(poses).moved(scale, offset, (height, width))


def _without_border(depth_m: FloatArray, rng: np.random.Generator, share: float) -> FloatArray:
    height, width = depth_m.shape
    top, bottom = (rng.uniform(0, share, 2) * height).astype(int)
    left, right = (rng.uniform(0, share, 2) * width).astype(int)
    out = np.full_like(depth_m, np.nan)
    inner = np.s_[top : height - bottom, left : width - right]
    out[inner] = depth_m[inner]
    return out


def _with_dropped_rectangles(depth_m: FloatArray, rng: np.random.Generator) -> FloatArray:
    height, width = depth_m.shape
    out = depth_m.copy()
    for _ in range(int(rng.integers(1, 4))):
        h, w = (rng.uniform(0.02, 0.15, 2) * (height, width)).astype(int)
        y, x = int(rng.uniform(0, height - h)), int(rng.uniform(0, width - w))
        out[y : y + h, x : x + w] = np.nan
    return out


def augmented(
    depth_m: FloatArray, poses: Poses, rng: np.random.Generator, config: AugmentConfig
) -> tuple[FloatArray, Poses]:
    """Augment a frame and its poses.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return.
        poses: people in px of the frame.
        rng: random generator.
        config: settings of the augmentation.
    """
    # All numbers are drawn whatever is used, so that one setting does not change what another one does.
    chance = rng.uniform(size=3)
    scale = float(np.exp(rng.uniform(np.log(config.zoom[0]), np.log(config.zoom[1]))))
    shift = rng.uniform(-config.shift, config.shift, 2) * depth_m.shape[::-1]
    gain = np.float32(1.0 + rng.uniform(-config.depth_gain, config.depth_gain))
    if chance[0] < config.flip:
        depth_m, poses = mirrored(depth_m, poses)
    depth_m, poses = zoomed(depth_m, poses, scale, shift.astype(np.float32))
    if chance[1] < config.border:
        depth_m = _without_border(depth_m, rng, config.border_share)
    if chance[2] < config.drop:
        depth_m = _with_dropped_rectangles(depth_m, rng)
    return depth_m * gain, poses
