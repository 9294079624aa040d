"""Which surface of a depth image is the body's at each joint: compiled loops over pixels."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def _torso_depth(depth_m: NDArray, xy_px: NDArray, torso: NDArray, extent_m: float) -> float:
    """Median of the fullest slab of ``extent_m`` among the torso's returns; of equal ones the nearest."""
    height, width = depth_m.shape
    samples = np.empty(5 * len(torso) + len(xy_px))
    count = 0
    for fallback in range(2):
        # Without a torso any joint of the person must do.
        for k in range(len(xy_px) if fallback else 5 * len(torso)):
            if fallback:
                x, y = xy_px[k, 0], xy_px[k, 1]
            else:
                a, b, t = torso[k // 5, 0], torso[k // 5, 1], (k % 5) / 4.0
                x = xy_px[a, 0] + t * (xy_px[b, 0] - xy_px[a, 0])
                y = xy_px[a, 1] + t * (xy_px[b, 1] - xy_px[a, 1])
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                continue
            z = depth_m[math.floor(y + 0.5), math.floor(x + 0.5)]
            if np.isfinite(z):
                samples[count] = z
                count += 1
        if count > 0:
            break
    if count == 0:
        return np.nan
    ordered = np.sort(samples[:count])
    best, first, last = 0, 0, 0
    for i in range(count):
        j = i
        while j + 1 < count and ordered[j + 1] - ordered[i] <= extent_m:
            j += 1
        if j - i + 1 > best:
            best, first, last = j - i + 1, i, j
    return ordered[(first + last) // 2]


@numba.njit(cache=True)
def _nearest_surface(z: NDArray, weights: NDArray, gap_m: float, min_share: float) -> tuple[float, float]:
    """Split returns where their depths leave a gap; median and spread of the first part heavy enough."""
    order = np.argsort(z)
    total = weights.sum()
    first = 0
    while first < len(z):
        last, weight = first, weights[order[first]]
        while last + 1 < len(z) and z[order[last + 1]] - z[order[last]] <= gap_m:
            last += 1
            weight += weights[order[last]]
        if weight >= min_share * total:
            middle, below = first, weights[order[first]]
            while below < 0.5 * weight and middle < last:
                middle += 1
                below += weights[order[middle]]
            median, squares = z[order[middle]], 0.0
            for i in range(first, last + 1):
                squares += weights[order[i]] * (z[order[i]] - median) ** 2
            return median, math.sqrt(squares / weight)
        first = last + 1
    return np.nan, np.nan


@numba.njit(cache=True)
def body_surfaces(
    depth_m: NDArray, xy_px: NDArray, sigma_px: NDArray, order: NDArray, parents: NDArray, reach_m: NDArray,
    torso: NDArray, camera: NDArray, lengths: NDArray,
) -> tuple[NDArray, NDArray]:  # fmt: skip
    """Depth of the body's surface at every joint, and its spread; float64 (m, n), NaN = none fits."""
    height, width = depth_m.shape
    window, gap_m, min_share, extent_m, torso_reach_m = lengths
    people, joints = xy_px.shape[:2]
    surface, spread = np.full((people, joints), np.nan), np.full((people, joints), np.nan)
    r = math.ceil(window)
    z, weights = np.empty((2 * r + 1) ** 2), np.empty((2 * r + 1) ** 2)
    for m in range(people):
        torso_m = _torso_depth(depth_m, xy_px[m], torso, extent_m)
        if not np.isfinite(torso_m):
            continue
        for j in order:
            x, y = xy_px[m, j, 0], xy_px[m, j, 1]
            if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
                continue
            parent = -1
            for p in parents[j]:
                if p >= 0 and np.isfinite(surface[m, p]):
                    parent = p
                    break
            reach = torso_reach_m if parents[j, 0] < 0 else 2 * torso_reach_m
            ray_x, ray_y = (x - camera[2]) / camera[0], (y - camera[3]) / camera[1]
            u, v, count = math.floor(x + 0.5), math.floor(y + 0.5), 0
            for row in range(max(0, v - r), min(height, v + r + 1)):
                for column in range(max(0, u - r), min(width, u + r + 1)):
                    d = depth_m[row, column]
                    squared = (row - y) ** 2 + (column - x) ** 2
                    if squared > window * window or not np.isfinite(d) or abs(d - torso_m) > reach:
                        continue
                    if parent >= 0:
                        zp = surface[m, parent]
                        dx = ray_x * d - (xy_px[m, parent, 0] - camera[2]) / camera[0] * zp
                        dy = ray_y * d - (xy_px[m, parent, 1] - camera[3]) / camera[1] * zp
                        if dx * dx + dy * dy + (d - zp) ** 2 > reach_m[j] ** 2:
                            continue
                    # Nearer pixels say more; half a pixel of blur on top of the joint's own uncertainty.
                    z[count] = d
                    weights[count] = math.exp(-0.5 * squared / (sigma_px[m, j] ** 2 + 0.15))
                    count += 1
            if count > 0:
                surface[m, j], spread[m, j] = _nearest_surface(z[:count], weights[:count], gap_m, min_share)
    return surface, spread
