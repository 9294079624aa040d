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


@numba.njit(cache=True)
def _beyond(j: int, surface_m: NDArray, distance_m: NDArray, rays: NDArray, trusted: NDArray) -> float:
    """Mean, over trusted joints of a person, of how far beyond joint j's surface they lie on its ray."""
    total, count = 0.0, 0
    for p in range(len(distance_m)):
        if trusted[p] and p != j:
            cosine = rays[j, 0] * rays[p, 0] + rays[j, 1] * rays[p, 1] + rays[j, 2] * rays[p, 2]
            total += cosine * distance_m[p] - surface_m[j]
            count += 1
    return total / count if count else np.nan


@numba.njit(cache=True)
def joint_distances(
    surface_m: NDArray, rays: NDArray, hidden: NDArray, order: NDArray, parents: NDArray, offsets: NDArray,
    most_beyond_m: float,
) -> tuple[NDArray, NDArray, NDArray]:  # fmt: skip
    """Distance of every joint along its ray, and how far its neighbours lie beyond its surface there.

    The torso's joints are neighbours of each other, those that are seen alone if there are any. A joint of
    a limb or the head has the first of its parents that is known. Where it is not certain whether a joint is
    hidden, it lies between the places that it would have, and their distance adds to its spread.

    Args:
        surface_m: float64 (m, n), distance of the surface along the ray, m, NaN = none.
        rays: float64 (m, n, 3), directions of length 1, optical frame.
        hidden: float64 (m, n) in [0, 1], probability that the surface is that of something before the joint.
        order: int64 (n,), parents first.
        parents: int64 (n, p), -1 = none; joints without any are the torso's.
        offsets: float64 (n, 5), a :class:`~orpose_core.geometry.lookup_plan.SurfaceOffset` for each joint.
        most_beyond_m: neighbours count as no farther beyond the surface, or before it, than this.

    Returns:
        The distance, the standard deviation of what lies between surface and joint, and the neighbours'
        distance beyond the surface; float64 (m, n), m, NaN = unknown.
    """
    people, joints = surface_m.shape
    distance_m, spread_m = surface_m + offsets[:, 0], np.full((people, joints), np.nan)
    beyond_m = np.full((people, joints), np.nan)
    for m in range(people):
        torso = (parents[:, 0] < 0) & np.isfinite(surface_m[m])
        seen = torso & (hidden[m] < 0.5)
        start = distance_m[m].copy()
        for j in order:
            if not np.isfinite(surface_m[m, j]):
                continue
            if parents[j, 0] < 0:
                beyond_m[m, j] = _beyond(j, surface_m[m], start, rays[m], seen if seen.any() else torso)
            else:
                trusted = np.zeros(joints, np.bool_)
                for p in parents[j]:
                    if p >= 0 and np.isfinite(surface_m[m, p]):
                        trusted[p] = True
                        break
                beyond_m[m, j] = _beyond(j, surface_m[m], distance_m[m], rays[m], trusted)
            mean, spread, behind, lean, behind_spread = offsets[j]
            if np.isfinite(beyond_m[m, j]):
                behind += lean * min(max(beyond_m[m, j], -most_beyond_m), most_beyond_m)
            behind = max(behind, 0.0)
            share = hidden[m, j]
            distance_m[m, j] = surface_m[m, j] + (1 - share) * mean + share * behind
            variance = (1 - share) * spread**2 + share * behind_spread**2
            spread_m[m, j] = math.sqrt(variance + share * (1 - share) * (behind - mean) ** 2)
    return distance_m, spread_m, beyond_m
