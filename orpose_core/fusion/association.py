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
_LEAST_ODDS = 1e-3  # that a joint says against a person, at most
_MISSED_ODDS = math.exp(-3.0)  # of a joint whose rays do not meet, or that would lie behind the camera
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
    odds, count, met = 1.0, 0, 0  # of the joints together
    ahead, spread, joints = np.empty((2, n)), np.empty((2, n)), np.empty((n, 2), np.int64)
    for j in range(n):
        k = tree.flip[j] if flipped else j
        if not (alone.sigma[a, j] > 0 and alone.sigma[b, k] > 0):
            continue
        count += 1
        gap, s, t = _ray_gap(found.centres[va], found.rays[a, j], found.centres[vb], found.rays[b, k])
        if not (_NEAR_M < s < _FAR_M and _NEAR_M < t < _FAR_M):
            odds *= _MISSED_ODDS
            continue
        variance = (s * alone.ray_sigma[a, j]) ** 2 + (t * alone.ray_sigma[b, k]) ** 2
        tail = 1 + gap * gap / (variance * _NU)
        odds *= max(2 * _T1 / (tail * tail * math.sqrt(variance)) * limits.ray_range_m, _LEAST_ODDS)
        ahead[0, met], ahead[1, met], joints[met, 0], joints[met, 1] = s, t, j, k
        met += 1
    gain = math.log(odds) * min(1.0, limits.joint_weight / max(count, 1))
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
        tail = 1 + (np.median(ahead[side, :count]) / middle) ** 2 / _NU
        gain += math.log(_T1 / (tail * tail * middle) * limits.depth_range_m)
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
    odds, count = 1.0, 0  # of the joints together
    for j in range(len(track)):
        source = tree.flip[j] if flipped else j
        if not (alone.sigma[d, source] > 0 and np.isfinite(track[j, 0])):
            continue
        count += 1
        x0, x1 = track[j, 0] - velocity[0] * age_s, track[j, 1] - velocity[1] * age_s
        x2 = track[j, 2] - velocity[2] * age_s
        depth = p[2, 0] * x0 + p[2, 1] * x1 + p[2, 2] * x2 + p[2, 3]
        if depth < _NEAR_M:
            odds *= _MISSED_ODDS
            continue
        xy = found.xy[d, source]
        u = (p[0, 0] * x0 + p[0, 1] * x1 + p[0, 2] * x2 + p[0, 3]) / depth - xy[0]
        w = (p[1, 0] * x0 + p[1, 1] * x1 + p[1, 2] * x2 + p[1, 3]) / depth - xy[1]
        square = (u * u + w * w) * (depth / found.focal[v]) ** 2
        variance = (alone.ray_sigma[d, source] * depth) ** 2 + spread_m[j] ** 2
        # Student's t in two dimensions, against somebody new, who could come anywhere.
        tail = 1 + square / (variance * _NU)
        density = 1 / (tail * tail * math.sqrt(tail) * 2 * math.pi * variance)
        odds *= max(density * limits.depth_range_m**2, _LEAST_ODDS)
    return math.log(odds) * min(1.0, limits.joint_weight / count) if count >= 2 else -10.0


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
    # Of two groups, each named by its first row: the sum of the pairs' odds, -inf = two rows are of one view.
    together = gains.copy()
    for a in range(d):
        for b in range(d):
            if view[a] == view[b]:
                together[a, b] = -np.inf
    while True:
        best, best_a, best_b = min_gain, -1, -1
        for a in range(d):
            for b in range(a + 1, d):
                if group[a] == a and group[b] == b and together[a, b] > best:
                    best, best_a, best_b = together[a, b], a, b
        if best_a < 0:
            break
        for i in range(d):
            if group[i] == best_b:
                group[i] = best_a
            together[best_a, i] += together[best_b, i]
            together[i, best_a] = together[best_a, i]
    total, fits, size = np.empty(d), np.empty(d, np.bool_), np.empty(d, np.int64)
    for _ in range(3):
        moved = False
        for a in range(d):
            total[:], fits[:], size[:] = 0.0, True, 0
            for i in range(d):
                if i != a:
                    total[group[i]] += gains[a, i]
                    fits[group[i]] = fits[group[i]] and view[i] != view[a]
                    size[group[i]] += 1
            best, target = max(total[group[a]], 0.0), -1
            for g in range(d):
                fit = g != group[a] and size[g] > 0 and fits[g]
                if fit and total[g] > best + 1e-9 and total[g] > min_gain:
                    best, target = total[g], g
            if target >= 0:
                group[a], moved = target, True
        if not moved:
            break
    return group
