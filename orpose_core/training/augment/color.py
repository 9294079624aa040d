"""Augmentation of color images: an affine map, and changes of colors and sharpness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class ColorAugmentConfig:
    """Settings of the augmentation of color images.

    Attributes:
        flip: probability of a mirrored image.
        rotate_deg: largest rotation; half of the images stay upright.
        zoom: range of the scale about the center, log-uniform.
        shift: largest shift, as a share of the side.
        squash: half of the images lose up to this share of their height, as people seen from above do.
        gain: brightness is multiplied or divided by at most ``1 + gain``, each color by its square root.
        contrast: likewise, about the mean of the image.
        saturation: colors are moved toward gray or away from it by at most this share.
        gamma: exponent of at most ``1 + gamma`` or its inverse.
        noise: largest standard deviation of the noise of a pixel, of 255.
        blur: probability that the image is shrunk by a factor of up to 3 and enlarged again.
        erase: probability that one to three rectangles are filled with a color each.
    """

    flip: float = 0.5
    rotate_deg: float = 20.0
    zoom: tuple[float, float] = (0.7, 1.5)
    shift: float = 0.1
    squash: float = 0.0
    gain: float = 0.6
    contrast: float = 0.4
    saturation: float = 0.6
    gamma: float = 0.3
    noise: float = 10.0
    blur: float = 0.3
    erase: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"augment.zoom: expected a range of positive numbers, got {self.zoom}")
        for name in ("flip", "shift", "squash", "blur", "erase", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name}: expected a number in [0, 1], got {getattr(self, name)}")
        for name in ("rotate_deg", "gain", "contrast", "gamma", "noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"augment.{name}: expected 0 or more, got {getattr(self, name)}")


def _log_between(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def random_affine(
    rng: np.random.Generator, config: ColorAugmentConfig, size_hw: tuple[int, int]
) -> tuple[NDArray[np.float64], bool]:
    """Draw a map from px of an image of this size to px of the changed one, of the same size.

    Returns:
        float64 (2, 3), integer = pixel centre, and whether it mirrors.
    """
    height, width = size_hw
    angle = math.radians(rng.uniform(-config.rotate_deg, config.rotate_deg)) * (rng.random() < 0.5)
    scale = _log_between(rng, *config.zoom)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = middle + rng.uniform(-config.shift, config.shift, 2) * [width, height]
    mirrored = bool(rng.random() < config.flip)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if config.squash and rng.random() < 0.5:
        turn = turn @ np.diag([1.0, 1.0 - rng.uniform(0, config.squash)])
    if mirrored:
        turn = turn @ np.diag([-1.0, 1.0])
    return np.concatenate([turn, (moved - turn @ middle)[:, None]], axis=1), mirrored


def apply_affine(xy: NDArray, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points (..., 2) by an affine map (2, 3)."""
    return np.asarray(xy, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def random_colors(
    image: NDArray[np.uint8], rng: np.random.Generator, config: ColorAugmentConfig
) -> NDArray[np.uint8]:
    """Return an image uint8 (H, W, 3) with changed lighting, colors, noise and sharpness."""
    height, width = image.shape[:2]
    x: NDArray[np.float32] = image.astype(np.float32)
    if rng.random() < config.blur:
        factor = rng.uniform(1.0, 3.0)
        small = max(int(width / factor), 4), max(int(height / factor), 4)
        shrunk = cv2.resize(x, small, interpolation=cv2.INTER_AREA)
        x = np.asarray(cv2.resize(shrunk, (width, height)), np.float32)
    gray = (x @ _LUMA)[..., None]
    x = gray + (x - gray) * np.float32(1 + rng.uniform(-config.saturation, config.saturation))
    strength = np.float32(1 + config.gain)
    gains = strength ** rng.uniform(-1, 1) * strength ** (0.5 * rng.uniform(-1, 1, 3))
    x *= gains.astype(np.float32)
    mean = x.mean()
    x = mean + (x - mean) * np.float32((1 + config.contrast) ** rng.uniform(-1, 1))
    gamma = (1 + config.gamma) ** rng.uniform(-1, 1)
    x = np.float32(255) * np.power(np.clip(x / np.float32(255), 0, 1), np.float32(gamma))
    if config.noise:
        x += rng.standard_normal(x.shape, dtype=np.float32) * np.float32(rng.uniform(0, config.noise))
    if rng.random() < config.erase:
        _erase(x, rng)
    return np.clip(x, 0, 255).astype(np.uint8)


def _erase(image: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Fill one to three rectangles of up to 40 % of each side, in place."""
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        h, w = (max(int(side * rng.uniform(0.05, 0.4)), 1) for side in (height, width))
        y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        image[y : y + h, x : x + w] = rng.uniform(0, 255, 3)
