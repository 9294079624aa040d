"""Which detections of different cameras are the same person.

Every pair of detections of two cameras gets log odds: how near their joints' rays pass each other, against
rays of strangers that pass at any distance, and whether the place where they meet is where each view alone
expects its person (by depth, by the height of shoulders and hips, by size). Pairs are joined, best first,
into groups with at most one detection of each camera.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.body_prior import BodyTree
from orpose_core.fusion.config import Limits
from orpose_core.fusion.detections import Detections
from orpose_core.fusion.placing import Alone

_NU = 3.0
_T1 = 0.3675525969478614  # density of Student's t with 3 degrees of freedom at 0
_HOPELESS = -6.0  # log odds by the rays that no agreement of places makes good
_NEAR_M, _FAR_M = 0.3, 15.0  # rays that meet nearer or farther than this do not meet


@numba.njit(cache=True)
def _ray_gap(c0: NDArray, d0: NDArray, c1: NDArray, d1: NDArray) -> tuple[float, float, float]:
    """Return the distance of two rays where they are nearest, and how far along each that is."""
    a = d0[0] * d0[0] + d0[1] * d0[1] + d0[2] * d0[2]
    b = d0[0] * d1[0] + d0[1] * d1[1] + d0[2] * d1[2]
    c = d1[0] * d1[0] + d1[1] * d1[1] + d1[2] * d1[2]
    w0, w1, w2 = c0[0] - c1[0], c0[1] - c1[1], c0[2] - c1[2]
    d = d0[0] * w0 + d0[1] * w1 + d0[2] * w2
    e = d1[0] * w0 + d1[1] * w1 + d1[2] * w2
    det = a * c - b * b
    if det < 1e-9 * a * c:
        return math.inf, -1.0, -1.0
    s, t = (b * e - c * d) / det, (a * e - b * d) / det
    x = w0 + s * d0[0] - t * d1[0]
    y = w1 + s * d0[1] - t * d1[1]
    z = w2 + s * d0[2] - t * d1[2]
    return math.sqrt(x * x + y * y + z * z), s, t


@numba.njit(cache=True)
def _along(p: NDArray, x: NDArray, covariance: NDArray) -> tuple[float, float]:
    """Return a point's depth along a camera's optical axis and that depth's variance."""
    z, variance = p[2, 3], 0.0
    for a in range(3):
        z += p[2, a] * x[a]
        for b in range(3):
            variance += p[2, a] * covariance[a, b] * p[2, b]
    return z, variance


@numba.njit(cache=True)
def _pair_gain(
    a: int, b: int, flipped: bool, found: Detections, alone: Alone, tree: BodyTree, limits: Limits
) -> float:
    """Return the log odds that two detections are one person; ``flipped``: the second's sides exchanged."""
    n = found.sigma.shape[1]
    va, vb = found.camera[a], found.camera[b]
    gain, count, met = 0.0, 0, 0
    ahead, spread, joints = np.empty((2, n)), np.empty((2, n)), np.empty((n, 2), np.int64)
    for j in range(n):
        k = tree.flip[j] if flipped else j
        if not (alone.sigma[a, j] > 0 and alone.sigma[b, k] > 0):
            continue
        count += 1
        gap, s, t = _ray_gap(found.centres[va], found.rays[a, j], found.centres[vb], found.rays[b, k])
        if not (_NEAR_M < s < _FAR_M and _NEAR_M < t < _FAR_M):
            gain -= 3.0
            continue
        sigma = math.sqrt((s * alone.ray_sigma[a, j]) ** 2 + (t * alone.ray_sigma[b, k]) ** 2)
        density = _T1 * (1 + (gap / sigma) ** 2 / _NU) ** (-2.0)
        gain += math.log(max(2 * density / sigma * limits.ray_range_m, 1e-3))
        ahead[0, met], ahead[1, met], joints[met, 0], joints[met, 1] = s, t, j, k
        met += 1
    gain *= min(1.0, limits.joint_weight / max(count, 1))
    if count < 2 or met < 2 or gain < _HOPELESS:
        return -10.0
    # How far the meeting points are from where each view alone has the joints, along their rays.
    for i in range(met):
        for side in range(2):
            row = b if side else a
            j = joints[i, side]
            camera = found.projections[found.camera[row]]
            z, variance = _along(camera, alone.x[row, j], alone.covariance[row, j])
            ahead[side, i] -= z
            spread[side, i] = math.sqrt(variance + 0.01)
    count = met
    for side in range(2):
        middle = np.median(spread[side, :count])
        density = _T1 * (1 + (np.median(ahead[side, :count]) / middle) ** 2 / _NU) ** (-2.0)
        gain += math.log(density / middle * limits.depth_range_m)
    return gain


@numba.njit(cache=True)
def pair_gains(
    found: Detections, alone: Alone, tree: BodyTree, limits: Limits
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log odds of all pairs, (d, d): as they are, and with the sides of one exchanged.

    Two of one view cannot be one person: -inf.
    """
    d = len(found.camera)
    straight, crossed = np.full((d, d), -np.inf), np.full((d, d), -np.inf)
    for a in range(d):
        for b in range(a + 1, d):
            if found.camera[a] != found.camera[b]:
                straight[a, b] = _pair_gain(a, b, False, found, alone, tree, limits)
                crossed[a, b] = _pair_gain(a, b, True, found, alone, tree, limits) - limits.flip_nats
                straight[b, a], crossed[b, a] = straight[a, b], crossed[a, b]
    return straight, crossed


@numba.njit(cache=True)
def _track_gain(
    track: NDArray, spread_m: NDArray, velocity: NDArray, d: int, flipped: bool, found: Detections,
    alone: Alone, tree: BodyTree, limits: Limits,
) -> float:  # fmt: skip
    """Return the log odds that a detection is somebody who is tracked; ``flipped``: its sides exchanged."""
    v = found.camera[d]
    p, age_s = found.projections[v], found.age_s[v]
    gain, count = 0.0, 0
    for j in range(len(track)):
        source = tree.flip[j] if flipped else j
        if not (alone.sigma[d, source] > 0 and np.isfinite(track[j, 0])):
            continue
        count += 1
        x0, x1 = track[j, 0] - velocity[0] * age_s, track[j, 1] - velocity[1] * age_s
        x2 = track[j, 2] - velocity[2] * age_s
        depth = p[2, 0] * x0 + p[2, 1] * x1 + p[2, 2] * x2 + p[2, 3]
        if depth < _NEAR_M:
            gain -= 3.0
            continue
        xy = found.xy[d, source]
        u = (p[0, 0] * x0 + p[0, 1] * x1 + p[0, 2] * x2 + p[0, 3]) / depth - xy[0]
        w = (p[1, 0] * x0 + p[1, 1] * x1 + p[1, 2] * x2 + p[1, 3]) / depth - xy[1]
        square = (u * u + w * w) * (depth / found.focal[v]) ** 2
        variance = (alone.ray_sigma[d, source] * depth) ** 2 + spread_m[j] ** 2
        # Student's t in two dimensions, against somebody new, who could come anywhere.
        density = (1 + square / variance / _NU) ** (-0.5 * (_NU + 2)) / (2 * math.pi * variance)
        gain += math.log(max(density * limits.depth_range_m**2, 1e-3))
    return gain * min(1.0, limits.joint_weight / count) if count >= 2 else -10.0


@numba.njit(cache=True)
def track_gains(
    tracks: NDArray, spread_m: NDArray, velocities: NDArray, found: Detections, alone: Alone, tree: BodyTree,
    limits: Limits,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the log odds, (t, d), that a detection is somebody who is tracked.

    Args:
        tracks: float64 (t, n, 3), where the joints are expected, room frame, m, NaN = unknown.
        spread_m: float64 (t, n), their deviation along one axis.
        velocities: float64 (t, 3), m/s.
        found: the detections.
        alone: each by its own view.
        tree: the body.
        limits: settings.
    """
    t = len(tracks)
    out = np.full((t, len(found.camera)), -10.0)
    for i in range(t):
        for d in range(len(found.camera)):
            for flipped in range(2):
                gain = _track_gain(tracks[i], spread_m[i], velocities[i], d, flipped == 1, found, alone, tree,
                                   limits)  # fmt: skip
                out[i, d] = max(out[i, d], gain - limits.flip_nats * flipped)
    return out


@numba.njit(cache=True)
def grouped(gains: NDArray, view: NDArray, min_gain: float) -> NDArray:
    """Return a group number per row, int64 (d,): joined best first, then single ones moved while that gains.

    Args:
        gains: float64 (d, d), log odds that two rows are one person, symmetric.
        view: int64 (d,), rows of the same view are never joined.
        min_gain: rows are joined for more than this alone.
    """
    d = len(gains)
    group = np.arange(d)
    while True:
        best, best_a, best_b = min_gain, -1, -1
        for a in range(d):
            for b in range(a + 1, d):
                if group[a] == group[b]:
                    continue
                total, fits = 0.0, True
                for i in range(d):
                    if group[i] != group[a]:
                        continue
                    for k in range(d):
                        if group[k] == group[b]:
                            total += gains[i, k]
                            fits = fits and view[i] != view[k]
                if fits and total > best:
                    best, best_a, best_b = total, a, b
        if best_a < 0:
            break
        old, new = group[best_b], group[best_a]
        for i in range(d):
            if group[i] == old:
                group[i] = new
    for _ in range(3):
        moved = False
        for a in range(d):
            here, best, target = 0.0, 0.0, -1
            for i in range(d):
                if i != a and group[i] == group[a]:
                    here += gains[a, i]
            best = max(here, 0.0)
            for candidate in range(d):
                if candidate == group[a]:
                    continue
                total, fits, size = 0.0, True, 0
                for i in range(d):
                    if group[i] == candidate and i != a:
                        total += gains[a, i]
                        fits = fits and view[i] != view[a]
                        size += 1
                if size and fits and total > best + 1e-9 and total > min_gain:
                    best, target = total, candidate
            if target >= 0:
                group[a] = target
                moved = True
        if not moved:
            break
    return group
