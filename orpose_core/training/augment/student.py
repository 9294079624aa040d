"""Augmentation of a color image together with both label sets, and reduction of its resolution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from orpose_core.image_ops import enlarge, low_resolution_color
from orpose_core.types import Picture, PseudoLabels

_GREY = (116.0, 116.0, 116.0)
"""Value of pixels from outside the image: about the mean, so that no strong edge appears."""


@dataclass(frozen=True)
class ScaleConfig:
    """The factors by which the training images of the student are shrunk (ORPose Sect. 3.3).

    One of ``ranges`` is drawn with the probabilities ``shares``, then a real factor uniformly from it, with
    both ends included. (The released code draws integers and excludes the upper ends, so it never trains
    on the 12x of its own table.) The defaults are ORPose_all; ORPose_fixed_12x is ``[[12, 12]]``.

    Attributes:
        ranges: (lowest, highest) factors; 1 = not shrunk.
        shares: relative frequency of each range; empty = all equally often.
    """

    ranges: tuple[tuple[float, float], ...] = ((1.0, 1.0), (2.0, 8.0), (8.0, 12.0))
    shares: tuple[float, ...] = (0.3, 0.35, 0.35)

    def __post_init__(self) -> None:
        if not self.ranges or any(not 1 <= low <= high for low, high in self.ranges):
            raise ValueError(f"data.scale.ranges: expected 1 <= lowest <= highest each, got {self.ranges}")
        if self.shares and (len(self.shares) != len(self.ranges) or min(self.shares) < 0):
            raise ValueError(
                f"data.scale.shares: expected one for each of {self.ranges}, or none, got {self.shares}"
            )

    def draw(self, rng: np.random.Generator) -> float:
        """Return a factor."""
        shares = np.asarray(self.shares or [1.0] * len(self.ranges), np.float64)
        low, high = self.ranges[int(rng.choice(len(self.ranges), p=shares / shares.sum()))]
        return float(rng.uniform(low, high))


@dataclass(frozen=True)
class StudentAugmentConfig:
    """Settings of the augmentation. The defaults are those of the paper: mirroring only.

    Attributes:
        flip: probability of a mirrored image.
        zoom: range of the scale about the image's center, log-uniform; 3D joints do not change.
        shift: largest shift, as a share of the image's width and height.
        light: brightness and contrast change by at most this share.
        color: each channel's gain changes by at most this share.
    """

    flip: float = 0.5
    zoom: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    light: float = 0.0
    color: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"data.augment.zoom: expected a range of positive numbers, got {self.zoom}")
        for name in ("flip", "shift", "light", "color"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"data.augment.{name}: expected a number in [0, 1], got {getattr(self, name)}"
                )


def augmented(
    rgb: Picture, labels: PseudoLabels, rng: np.random.Generator, config: StudentAugmentConfig
) -> tuple[Picture, PseudoLabels]:
    """Augment an image and its labels.

    Args:
        rgb: uint8 (H, W, 3).
        labels: labels in px of the image.
        rng: random generator.
        config: settings of the augmentation.
    """
    # All numbers are drawn whatever is used, so that one setting does not change what another one does.
    flip = rng.uniform() < config.flip
    scale = float(np.exp(rng.uniform(np.log(config.zoom[0]), np.log(config.zoom[1]))))
    height, width = rgb.shape[:2]
    shift = (rng.uniform(-config.shift, config.shift, 2) * (width, height)).astype(np.float32)
    gain = 1.0 + rng.uniform(-config.light, config.light) + rng.uniform(-config.color, config.color, 3)
    bias = 255.0 * rng.uniform(-config.light, config.light) / 2
    soft, hard = labels.soft, labels.hard
    if flip:
        rgb = np.ascontiguousarray(rgb[:, ::-1])
        soft, hard = (p.mirrored(width) for p in (soft, hard))
    if scale != 1.0 or shift.any():
        centre = np.array([(width - 1) / 2, (height - 1) / 2], np.float32)
        offset = (centre - np.float32(scale) * centre + shift).astype(np.float32)
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float64)
        rgb = cast(Picture, cv2.warpAffine(
            rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=_GREY
        ))  # fmt: skip
        soft, hard = (p.moved(scale, offset, (height, width)) for p in (soft, hard))
    if config.light or config.color:
        levels = np.arange(256)[None, :, None] * gain + bias
        rgb = cast(Picture, cv2.LUT(rgb, np.clip(np.rint(levels), 0, 255).astype(np.uint8)))
    return rgb, replace(labels, soft=soft, hard=hard)


def seen_by_student(
    rgb: Picture, scale: float, original_hw: tuple[int, int], full_hw: tuple[int, int]
) -> Picture:
    """Return the input of the student: an image shrunk bilinearly, then enlarged to the network's size.

    Args:
        rgb: uint8 (H, W, 3), the whole original image at any size.
        scale: factor relative to the original; 1 = not shrunk.
        original_hw: (height, width) of 1x. An image of half that size is already 2x, so a smaller factor
            is not possible for it.
        full_hw: (height, width) of the network's input.
    """
    small_hw = int(original_hw[0] / scale), int(original_hw[1] / scale)
    if small_hw[0] < rgb.shape[0] and small_hw[1] < rgb.shape[1]:
        rgb = low_resolution_color(rgb, small_hw)
    return enlarge(rgb, full_hw)
