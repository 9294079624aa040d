"""Clutter drawn behind and in front of people.

A detector that sees people in every image learns to detect any large object. Shaded shapes of all sizes and
colors prevent this. The person of each pixel is known, so the visible part of each person remains known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClutterConfig:
    """Settings of the clutter.

    Attributes:
        probability: probability that an image gets clutter.
        most: largest number of shapes.
        largest: largest side of a shape, as a share of the longer side of the image.
        in_front: share of the shapes that are in front of people; the others are behind all people.
        most_hidden: a shape that would hide a larger share of all people's pixels is drawn behind them.
    """

    probability: float = 0.0
    most: int = 8
    largest: float = 0.8
    in_front: float = 0.25
    most_hidden: float = 0.4

    def __post_init__(self) -> None:
        for name in ("probability", "largest", "in_front", "most_hidden"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"clutter.{name}: expected a number in [0, 1], got {getattr(self, name)}")
        if self.most < 1:
            raise ValueError(f"clutter.most: expected 1 or more, got {self.most}")


def cluttered(
    rgb: NDArray[np.uint8], people: NDArray[np.int16], rng: np.random.Generator, config: ClutterConfig
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Return an image with clutter, and its map of people.

    Args:
        rgb: uint8 (H, W, 3).
        people: int16 (H, W), number of the person that each pixel shows, -1 = nobody.
        rng: random generator.
        config: settings of the clutter.
    """
    if rng.random() >= config.probability:
        return rgb, people
    image, seen = rgb.astype(np.float32), people.copy()
    for _ in range(int(rng.integers(1, config.most + 1))):
        shape = _shape(rgb.shape[:2], rng, config.largest)
        hides = shape & (seen >= 0)
        front = rng.random() < config.in_front and hides.sum() <= config.most_hidden * (people >= 0).sum()
        where = shape if front else shape & (seen < 0)
        image[where] = _surface(where, rng)
        if front:
            seen[shape] = -1
    return np.clip(image, 0, 255).astype(np.uint8), seen


def _shape(size_hw: tuple[int, int], rng: np.random.Generator, largest: float) -> NDArray[np.bool_]:
    """Return bool (H, W): an ellipse, a box seen at an angle, a bent tube or a polygon."""
    height, width = size_hw
    canvas = np.zeros((height, width), np.uint8)
    x, y = int(rng.uniform(-0.1, 1.1) * width), int(rng.uniform(-0.1, 1.1) * height)
    size = max(height, width) * math.exp(rng.uniform(math.log(0.05), math.log(max(largest, 0.051))))
    slim, angle = rng.uniform(0.15, 1.0), rng.uniform(0, 180)
    kind = int(rng.integers(4))
    if kind == 0:
        axes = max(int(size / 2), 1), max(int(slim * size / 2), 1)
        cv2.ellipse(canvas, (x, y), axes, angle, 0, 360, 1, -1)
    elif kind == 1:
        upright = rng.random() < 0.5
        corners = cv2.boxPoints(((x, y), (size, slim * size), 0.0 if upright else angle))
        corners = corners + rng.uniform(-0.12, 0.12, (4, 2)) * size
        cv2.fillConvexPoly(canvas, corners.astype(np.int32), 1)
    elif kind == 2:
        points = np.cumsum(np.vstack([[x, y], rng.uniform(-0.5, 0.5, (3, 2)) * size]), axis=0)
        thickness = max(int(0.35 * slim * size), 1)
        cv2.polylines(canvas, [points.astype(np.int32)], False, 1, thickness)
    else:
        turns = np.sort(rng.uniform(0, 2 * math.pi, 7))
        reach = size * rng.uniform(0.2, 0.5, 7)
        points = np.stack([x + reach * np.cos(turns), y + reach * np.sin(turns)], axis=1)
        cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
    return canvas.astype(bool)


def _surface(where: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the colors of a shape's pixels, float32 (k, 3): one color, shaded from a side, some striped."""
    rows, columns = np.nonzero(where)
    color = rng.uniform(10, 245, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(10, 245))
    angle, extent = rng.uniform(0, 2 * math.pi), max(where.shape)
    along = (columns * math.cos(angle) + rows * math.sin(angle)) / extent
    along = along - (along.mean() if len(along) else 0.0)
    shade = np.clip(1 + rng.uniform(0, 2.5) * along, 0.25, 1.8)
    if rng.random() < 0.2:
        period = rng.uniform(0.02, 0.15)
        shade = shade * np.where(np.sin(2 * math.pi * along / period) > 0, 1.0, rng.uniform(0.4, 0.9))
    return (shade[:, None] * color).astype(np.float32)
