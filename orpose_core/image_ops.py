"""Resampling to low resolution, enlarging, and normalisation.

Sizes are (height, width). A resized image covers the same rectangle; :class:`orpose_core.types.Resize` maps
coordinates from one to the other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orpose_core.types import FloatArray, Picture, RgbdFrame

LOW_RESOLUTIONS: dict[str, tuple[int, int]] = {"64x48": (48, 64), "80x60": (60, 80), "53x40": (40, 53)}
"""The low resolutions of the two papers, by name: 10x, 8x and 12x below 640x480, as (height, width)."""

MAX_PRIVATE_PIXELS = 4800
"""Width times height of the largest image in which nobody can be recognised, px: 80x60."""

DepthMethod = Literal["median", "nearest", "area", "bilinear", "bicubic"]
ColorMethod = Literal["nearest", "area", "bilinear", "bicubic"]
DEPTH_METHODS: tuple[str, ...] = get_args(DepthMethod)
COLOR_METHODS: tuple[str, ...] = get_args(ColorMethod)

# Pillow's filters are antialiased: stretched by the scale when an image shrinks. Its cubic has a = -0.5.
_PILLOW_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}

# Below this share of valid returns in its footprint, a low-resolution pixel is a hole.
_MIN_VALID_SHARE = 0.5


def parse_resolution(text: str) -> tuple[int, int]:
    """Return (height, width) of ``"64x48"`` (width first, as people write it); ValueError if it is none."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ValueError(
            f"resolution: expected WIDTHxHEIGHT such as {', '.join(LOW_RESOLUTIONS)}, got {text!r}"
        )
    return int(height), int(width)


def low_resolution_depth(
    depth_m: FloatArray, size_hw: tuple[int, int], method: DepthMethod = "median"
) -> FloatArray:
    """Shrink a depth image.

    Args:
        depth_m: float32 (H, W), metres, NaN = no return.
        size_hw: (height, width) wanted, at most that of the image. The image's own size gives a copy.
        method: ``"median"`` of the valid returns in each footprint (of an even number the nearer of the two
            in the middle), so that every value is a true return and edges do not smear into phantom
            surfaces; ``"nearest"``: the return at the footprint's centre; ``"area"``: mean of the valid
            returns; ``"bilinear"`` and ``"bicubic"`` (DepthPose, Sect. 3): antialiased, on the image with
            holes filled with 0, as the paper's 8-bit images are.

    Returns:
        float32 (h, w), metres. NaN where fewer than half of the footprint's returns are valid (of
        ``"nearest"``: where the one return is not).
    """
    if depth_m.ndim != 2 or depth_m.dtype != np.float32:
        raise ValueError(f"depth: expected float32 of shape (H, W), got {depth_m.dtype} of {depth_m.shape}")
    if method not in DEPTH_METHODS:
        raise ValueError(f"depth: expected a method of {', '.join(DEPTH_METHODS)}, got {method!r}")
    source_hw = (int(depth_m.shape[0]), int(depth_m.shape[1]))
    _check_shrinks(source_hw, size_hw, "depth")
    if size_hw == source_hw:
        return depth_m.copy()
    if method == "nearest":
        return depth_m[np.ix_(_centres(size_hw[0], source_hw[0]), _centres(size_hw[1], source_hw[1]))]
    if method == "median":
        rows, columns = _starts(size_hw[0], source_hw[0]), _starts(size_hw[1], source_hw[1])
        bits = np.ascontiguousarray(depth_m).view(np.int32)
        return _footprint_medians(bits, rows, columns, _MIN_VALID_SHARE).view(np.float32)
    valid = np.isfinite(depth_m) & (depth_m > 0)
    filled = np.where(valid, depth_m, np.float32(0))
    share = _filtered(valid.astype(np.float32), size_hw, "area")
    out = _filtered(filled, size_hw, method)
    if method == "area":
        out /= np.maximum(share, np.float32(1e-6))
    out[~((share >= _MIN_VALID_SHARE - 1e-6) & (out > 0))] = np.nan
    return out


def low_resolution_color(rgb: Picture, size_hw: tuple[int, int], method: ColorMethod = "bilinear") -> Picture:
    """Shrink a color image.

    Args:
        rgb: uint8 (H, W, 3).
        size_hw: (height, width) wanted, at most that of the image. The image's own size gives a copy.
        method: ``"bilinear"`` (ORPose, Sect. 3) and ``"bicubic"`` are antialiased and round to 8 bit after
            each axis, exactly as Pillow does, with which the papers' images were made.

    Returns:
        uint8 (h, w, 3).
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"color: expected uint8 of shape (H, W, 3), got {rgb.dtype} of {rgb.shape}")
    if method not in COLOR_METHODS:
        raise ValueError(f"color: expected a method of {', '.join(COLOR_METHODS)}, got {method!r}")
    source_hw = (int(rgb.shape[0]), int(rgb.shape[1]))
    _check_shrinks(source_hw, size_hw, "color")
    if size_hw == source_hw:
        return rgb.copy()
    image = Image.fromarray(np.ascontiguousarray(rgb)).resize(
        (size_hw[1], size_hw[0]), _PILLOW_FILTERS[method]
    )
    return np.asarray(image, np.uint8).copy()


def enlarge(rgb: Picture, size_hw: tuple[int, int]) -> Picture:
    """Return the image at ``size_hw``, bilinear and rounded to 8 bit after each axis, as Pillow does.

    Low-resolution images "are first upsampled to match the original input size", bilinearly (ORPose
    Sect. 3.3); the released students were trained on images made so. One of that size already is returned as
    it is.
    """
    if rgb.shape[:2] == size_hw:
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR), np.uint8)


def seen_at_low_resolution(
    rgb: Picture, low_hw: tuple[int, int], full_hw: tuple[int, int], method: ColorMethod = "bilinear"
) -> Picture:
    """Return an image at ``full_hw`` that shows no more than one of ``low_hw`` holds.

    Args:
        rgb: uint8 (H, W, 3) of any size; a larger one is shrunk to ``low_hw`` first.
        low_hw: (height, width) of the low resolution.
        full_hw: (height, width) of the result.
        method: how a larger one is shrunk.
    """
    height, width = rgb.shape[:2]
    if height > low_hw[0] and width > low_hw[1]:
        rgb = low_resolution_color(rgb, low_hw, method)
    return enlarge(rgb, full_hw)


def low_resolution_frame(
    frame: RgbdFrame,
    size_hw: tuple[int, int],
    depth_method: DepthMethod = "median",
    color_method: ColorMethod = "bilinear",
) -> RgbdFrame:
    """Shrink everything that a frame has: color, depth, and the intrinsics per axis."""
    return replace(
        frame,
        rgb=None if frame.rgb is None else low_resolution_color(frame.rgb, size_hw, color_method),
        depth_m=None if frame.depth_m is None else low_resolution_depth(frame.depth_m, size_hw, depth_method),
        intrinsics=None if frame.intrinsics is None else frame.intrinsics.resized(size_hw),
    )


def private_frame(frame: RgbdFrame) -> RgbdFrame:
    """Return the frame at a size in which nobody can be recognised: at most :data:`MAX_PRIVATE_PIXELS`."""
    height, width = frame.size_hw
    scale = (MAX_PRIVATE_PIXELS / (height * width)) ** 0.5
    if scale >= 1:
        return frame
    return low_resolution_frame(frame, (max(int(height * scale), 1), max(int(width * scale), 1)))


def normalise_depth(depth_m: FloatArray, range_m: float = 8.0) -> FloatArray:
    """Scale depth to the networks' [0, 255] (DepthPose, Sect. 3).

    Args:
        depth_m: float32 (H, W), metres, NaN = no return.
        range_m: depth that becomes 255; what is farther becomes 255 as well.

    Returns:
        float32 (H, W) in [0, 255]; no return is 0. Holes stay 0: filling them was measured to hurt.
    """
    if not range_m > 0:
        raise ValueError(f"normalise_depth: expected a positive range in meters, got {range_m}")
    scaled = np.clip(depth_m, 0, np.float32(range_m)) * np.float32(255 / range_m)
    return np.nan_to_num(scaled, copy=False, nan=0.0).astype(np.float32, copy=False)


def _check_shrinks(source_hw: tuple[int, int], target_hw: tuple[int, int], what: str) -> None:
    if min(target_hw) <= 0 or target_hw[0] > source_hw[0] or target_hw[1] > source_hw[1]:
        raise ValueError(
            f"{what}: expected a low resolution of at most the image's {source_hw[1]}x{source_hw[0]}, "
            f"got {target_hw[1]}x{target_hw[0]}"
        )


def _centres(target: int, source: int) -> NDArray[np.int64]:
    """Index of the source pixel under the centre of each target pixel."""
    return ((np.arange(target) + 0.5) * source / target).astype(np.int64)


def _starts(target: int, source: int) -> NDArray[np.int64]:
    """First source pixel of each footprint, and one past the last: pixel k belongs where its centre lies."""
    # Integers, since (i s / t - 0.5) rounds wrongly in floats where a centre lies on a border.
    i = np.arange(target + 1)
    return (2 * i * source - target + 2 * target - 1) // (2 * target)


def _filtered(image: FloatArray, size_hw: tuple[int, int], method: str) -> FloatArray:
    """Resample float32 (H, W): exact overlap for ``"area"``, else a filter stretched by the scale.

    Pillow and OpenCV rather than two small matrix products: a BLAS brings its own threads, which on a busy
    machine wait for each other a hundred times longer than they compute.
    """
    if method == "area":
        return np.asarray(cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_AREA), np.float32)
    resized = Image.fromarray(image).resize(size_hw[::-1], _PILLOW_FILTERS[method])
    return np.asarray(resized, np.float32).copy()


@numba.njit(cache=True)
def _kth_smallest(values: NDArray, count: int, lowest: int, highest: int, k: int) -> int:
    """Bisect for the k-th smallest of int32 ``values[:count]``: unlike swapping, comparing vectorises."""
    low, high = lowest, highest
    while low < high:
        middle = np.int32((low + high) // 2)  # as narrow as the values, or half of the lanes are lost
        below = np.int32(0)
        for i in range(count):
            below += np.int32(values[i] <= middle)
        if below > k:
            high = int(middle)
        else:
            low = int(middle) + 1
    return low


@numba.njit(cache=True)
def _footprint_medians(bits: NDArray, rows: NDArray, columns: NDArray, min_share: float) -> NDArray:
    """Medians of float32 depth given as its bits: positive floats are ordered as the integers they look like.

    Returns:
        int32 (h, w), bits of the medians; those of NaN in a hole.
    """
    infinite, hole = np.int32(0x7F800000), np.int32(0x7FC00000)
    height, width = len(rows) - 1, len(columns) - 1
    out = np.empty((height, width), np.int32)
    cell = np.empty((np.diff(rows).max() * np.diff(columns).max()), np.int32)
    for y in range(height):
        for x in range(width):
            size = 0
            for v in range(rows[y], rows[y + 1]):
                n = columns[x + 1] - columns[x]
                cell[size : size + n] = bits[v, columns[x] : columns[x + 1]]
                size += n
            valid, lowest, highest = np.int32(0), infinite, np.int32(0)
            for i in range(size):
                good = (cell[i] > 0) & (cell[i] < infinite)
                cell[i] = cell[i] if good else infinite  # NaN sorts last
                valid += np.int32(good)
                lowest = min(lowest, cell[i])
                highest = max(highest, cell[i] if good else np.int32(0))
            if valid == 0 or valid < min_share * size:
                out[y, x] = hole
            else:
                out[y, x] = _kth_smallest(cell, size, int(lowest), int(highest), (valid - 1) // 2)
    return out
